"""What can be told without looking at the lung: classifiers that see leftovers of a video only, fitted and scored on the model's own split.

A baseline that comes close to the model is a warning: the model may have learned the leftover. Each is fitted on the train videos and
scored on the test videos. It is also fitted anew for every source, on the videos of the other sources, and scored on those of that one:
what falls there was knowledge about sources. The network itself is not trained anew for that; cross-validation does so elsewhere.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from components.core.models.predictions import Floats, Predictions
from components.evaluate.metrics import Scores, score
from components.evaluate.video_facts import VideoFacts, usable

MAJORITY, SOURCE, METADATA, BORDER = "majority", "source", "metadata", "border"
# Side of the image whose outermost pixels are the border.
BORDER_SIZE_PX = 56

Features = Callable[[VideoFacts], Any]


@dataclasses.dataclass(frozen=True)
class Baseline:
    """A classifier that sees a leftover only.

    Attributes:
        name: majority, source, metadata or border.
        sees: what it sees, in words.
        scores: of the test videos, or None.
        reason: why there are no scores, or an empty string.
        held_out: of all usable videos, each by a classifier that was fitted without its source; None where that cannot be done.
        held_out_reason: why not, or an empty string.
    """

    name: str
    sees: str
    scores: Scores | None
    reason: str
    held_out: Scores | None
    held_out_reason: str


def border_features(clip: np.ndarray) -> Floats:
    """Returns the outermost pixels of the mean frame.

    Args:
        clip: [frames, height, width, 3] uint8 with equal channels; height and width are multiples of BORDER_SIZE_PX.

    Returns:
        [4 · BORDER_SIZE_PX − 4]
    """
    mean = clip[..., 0].mean(axis=0, dtype=np.float64)
    height, width = mean.shape[0] // BORDER_SIZE_PX, mean.shape[1] // BORDER_SIZE_PX
    small = mean.reshape(BORDER_SIZE_PX, height, BORDER_SIZE_PX, width).mean(axis=(1, 3))
    return ring(small)


def ring(image: np.ndarray) -> np.ndarray:
    """Returns the outermost pixels of an image [side, side], [4 · side − 4]."""
    return np.concatenate([image[0], image[-1], image[1:-1, 0], image[1:-1, -1]])


def fit_baselines(
    facts: Sequence[VideoFacts], borders: dict[str, Floats], class_names: list[str], num_bootstrap: int, seed: int
) -> tuple[Baseline, ...]:
    """Fits and scores all baselines.

    Args:
        facts: what the dataset states about its videos.
        borders: border_features of every usable video, by its id.
        class_names: in the order of the labels.
        num_bootstrap: replicates behind the intervals.
        seed: of the replicates and of the classifiers.
    """
    videos = [video for video in usable(facts) if video.class_name in class_names]
    train, test = usable(videos, "train"), usable(videos, "test")
    traits = sorted({name for video in videos for name in video.traits})

    def scored(answers: Predictions) -> Scores:
        return score(answers, class_names, num_bootstrap, seed)

    def baseline(
        name: str, sees: str, features: Features, make: Callable[[], Any], reason: str = "", held_out_reason: str = ""
    ) -> Baseline:
        held_out_reason = reason or held_out_reason or _reason_against_holding_out(videos)
        return Baseline(
            name=name,
            sees=sees,
            scores=None if reason else scored(_answers(train, test, features, make, class_names)),
            reason=reason,
            held_out=None if held_out_reason else scored(_held_out_answers(videos, features, make, class_names)),
            held_out_reason=held_out_reason,
        )

    def linear() -> Any:
        return LogisticRegression(C=0.1, class_weight="balanced", max_iter=2000, random_state=seed)

    def forest() -> Any:
        return RandomForestClassifier(100, class_weight="balanced", random_state=seed)

    return (
        baseline(
            MAJORITY, "nothing: it always gives the most frequent class", lambda video: [0], lambda: DummyClassifier(strategy="prior")
        ),
        baseline(
            SOURCE,
            "the name of the source",
            lambda video: {"source": video.source},
            lambda: make_pipeline(DictVectorizer(sparse=False), linear()),
            held_out_reason="the name of an unknown source tells nothing",
        ),
        baseline(
            METADATA,
            f"the file's {', '.join(traits)}" if traits else "properties of the file",
            lambda video: video.traits,
            lambda: make_pipeline(DictVectorizer(sparse=False), forest()),
            reason="" if traits else "the dataset states nothing about the files",
        ),
        baseline(
            BORDER,
            "the outermost pixels of the frames",
            lambda video: borders[video.video_id],
            lambda: make_pipeline(StandardScaler(), linear()),
        ),
    )


def _reason_against_holding_out(videos: list[VideoFacts]) -> str:
    for source in (sources := sorted({video.source for video in videos})):
        if len({video.class_name for video in _without_source(videos, source)}) < 2:
            return f"without {source} fewer than two classes are left" if len(sources) > 1 else "there is one source only"
    return ""


def _held_out_answers(videos: list[VideoFacts], features: Features, make: Callable[[], Any], class_names: list[str]) -> Predictions:
    parts = [
        _answers(_without_source(videos, source), [video for video in videos if video.source == source], features, make, class_names)
        for source in sorted({video.source for video in videos})
    ]
    columns = ("labels", "probabilities", "video_ids", "groups", "sources")
    labels, probabilities, *known = (np.concatenate([getattr(part, name) for part in parts]) for name in columns)
    return Predictions(labels, probabilities, *known)


def _without_source(videos: list[VideoFacts], source: str) -> list[VideoFacts]:
    """Returns the videos that share neither the source nor a group with it."""
    groups = {video.group for video in videos if video.source == source}
    return [video for video in videos if video.source != source and video.group not in groups]


def _answers(
    fitted_on: list[VideoFacts], asked: list[VideoFacts], features: Features, make: Callable[[], Any], class_names: list[str]
) -> Predictions:
    labels = {name: label for label, name in enumerate(class_names)}
    classifier = make().fit([features(video) for video in fitted_on], [labels[video.class_name] for video in fitted_on])
    probabilities = np.zeros((len(asked), len(class_names)))
    probabilities[:, classifier.classes_] = classifier.predict_proba([features(video) for video in asked])
    return Predictions(
        labels=np.array([labels[video.class_name] for video in asked]),
        probabilities=probabilities,
        video_ids=np.array([video.video_id for video in asked]),
        groups=np.array([video.group for video in asked]),
        sources=np.array([video.source for video in asked]),
    )
