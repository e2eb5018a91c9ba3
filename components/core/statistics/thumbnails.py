"""What can be told of a finding with much less than a network: a ridge regression on a thumbnail of the mean frame."""

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from components.core.models.predictions import Floats, Integers
from components.core.records.findings import NOT_STATED

THUMBNAIL_PX = 16


def thumbnail_of(clip: np.ndarray) -> Floats:
    """Returns the mean frame of a clip [frames, height, width, 3] uint8 in THUMBNAIL_PX² cells, flat; the sides are multiples of that."""
    mean = clip[..., 0].mean(axis=0, dtype=np.float64)
    height, width = (side // THUMBNAIL_PX for side in mean.shape)
    return mean.reshape(THUMBNAIL_PX, height, THUMBNAIL_PX, width).mean(axis=(1, 3)).ravel()


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
