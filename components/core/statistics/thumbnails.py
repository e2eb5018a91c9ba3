"""What can be told with much less than a network: from a thumbnail of the mean frame, and of what changes over time.

A finding is told by a ridge regression on 16 × 16 cells of the mean frame; the class by a logistic regression on 14 × 14 cells of the mean
and of the deviation over time, the strongest of the shortcuts in benchmarks/shortcuts.py.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from components.core.models.predictions import Floats, Integers
from components.core.records.findings import NOT_STATED

THUMBNAIL_PX = 16
MOVING_THUMBNAIL_PX = 14


def thumbnail_of(clip: np.ndarray) -> Floats:
    """Returns the mean frame of a clip [frames, height, width, 3] uint8 in THUMBNAIL_PX² cells, flat; the sides are multiples of that."""
    return _cells(clip[..., 0].mean(axis=0, dtype=np.float64)[None], THUMBNAIL_PX)[0]


def small_frames_of(clip: np.ndarray) -> Floats:
    """Returns every frame of a clip [frames, height, width, 3] uint8 in MOVING_THUMBNAIL_PX² cells, [frames, cells]; as thumbnail_of."""
    return _cells(clip[..., 0], MOVING_THUMBNAIL_PX)


def moving_thumbnail_of(small_frames: Sequence[Floats]) -> Floats:
    """Returns the mean and the deviation over time of small_frames_of all clips of a video, [2 · cells]."""
    frames = np.concatenate(small_frames)
    return np.concatenate([frames.mean(axis=0), frames.std(axis=0)])


def _cells(frames: np.ndarray, side: int) -> Floats:
    num, height, width = frames.shape
    return frames.reshape(num, side, height // side, side, width // side).mean(axis=(2, 4), dtype=np.float64).reshape(num, -1)


def expected_by_thumbnail(known: Floats, grades: Integers, asked: Floats) -> Floats:
    """Returns the grade of a finding that thumbnails make expect; only its order means something.

    Args:
        known: thumbnails to learn from, [n, cells].
        grades: what is stated of them, or NOT_STATED, [n].
        asked: other thumbnails, [m, cells].

    Returns:
        [m]; zeros where fewer than two grades are stated.
    """
    is_stated = grades != NOT_STATED
    if len(np.unique(grades[is_stated])) < 2:
        return np.zeros(len(asked))
    ridge = make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(1, 5, 9)))
    return ridge.fit(known[is_stated], grades[is_stated]).predict(asked)


def classes_by_thumbnail(known: Floats, labels: Integers, asked: Floats, num_classes: int) -> Floats:
    """Returns the probabilities of the classes that thumbnails give, [m, classes].

    Args:
        known: moving_thumbnail_of videos to learn from, [n, 2 · cells].
        labels: of them, at least two different ones, [n].
        asked: other ones, [m, 2 · cells].
        num_classes: how many classes there are.
    """
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=1000, random_state=0))
    probabilities = np.zeros((len(asked), num_classes))
    probabilities[:, np.unique(labels)] = linear.fit(known, labels).predict_proba(asked)
    return probabilities
