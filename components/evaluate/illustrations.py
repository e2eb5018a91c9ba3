"""Which videos the report shows: samples to know the data by, mistakes and sure answers to see what a model looks at. No TensorFlow."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from components.core.models.predictions import Answer, Predictions
from components.evaluate.video_facts import VideoFacts, usable

NUM_MISTAKES = 4
SAMPLES_PER_CLASS = 6
MAX_EXPLAINED = 64


@dataclasses.dataclass(frozen=True)
class ChosenVideos:
    """Ids of videos to show.

    Attributes:
        mistakes: test videos that are answered wrong, the most confident first.
        sure: of each class, the test video that is answered right most confidently.
        explained: test videos whose attribution is measured, those above among them.
        samples: train videos, several of every class, of different groups as far as there are.
    """

    mistakes: tuple[str, ...]
    sure: tuple[str, ...]
    explained: tuple[str, ...]
    samples: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Film:
    """What the model says about a test video, and a clip with what raised that answer (strips.strip) as a data URI."""

    answer: Answer
    image: str


@dataclasses.dataclass(frozen=True)
class Sample:
    """A train video, and a frame of it as a data URI."""

    video: VideoFacts
    image: str


@dataclasses.dataclass(frozen=True)
class Illustrations:
    """The pictures of a report.

    Attributes:
        mistakes: the most confident wrong answers.
        sure: the most confident right answers, one of each class.
        samples: frames of train videos.
        remark: why there are no films, or an empty string.
    """

    mistakes: tuple[Film, ...] = ()
    sure: tuple[Film, ...] = ()
    samples: tuple[Sample, ...] = ()
    remark: str = ""


def choose_videos(videos: Predictions, facts: Sequence[VideoFacts], class_names: list[str]) -> ChosenVideos:
    """Chooses what to show.

    Args:
        videos: what the model says about the test videos.
        facts: what the dataset states about its videos.
        class_names: in the order of the labels.
    """
    by_confidence = np.argsort(-videos.confidence, kind="stable")
    mistakes = [row for row in by_confidence if not videos.is_right[row]][:NUM_MISTAKES]
    right = [row for row in by_confidence if videos.is_right[row]]
    sure = [next((row for row in right if videos.labels[row] == label), None) for label in range(len(class_names))]
    rows = list(dict.fromkeys([*mistakes, *(row for row in sure if row is not None), *_spread(len(videos.labels))]))
    return ChosenVideos(
        mistakes=tuple(str(videos.video_ids[row]) for row in mistakes),
        sure=tuple(str(videos.video_ids[row]) for row in sure if row is not None),
        explained=tuple(str(videos.video_ids[row]) for row in rows[:MAX_EXPLAINED]),
        samples=tuple(video_id for name in class_names for video_id in _samples(facts, name)),
    )


def _spread(num: int) -> list[int]:
    """Returns at most MAX_EXPLAINED rows that are spread evenly."""
    return np.unique(np.linspace(0, num - 1, min(num, MAX_EXPLAINED)).round().astype(int)).tolist()


def _samples(facts: Sequence[VideoFacts], class_name: str) -> list[str]:
    """Returns videos of a class, first one of each group."""
    seen: dict[str, int] = {}
    ranked = []
    for video in usable(facts, "train"):
        if video.class_name == class_name:
            seen[video.group] = seen.get(video.group, 0) + 1
            ranked.append((seen[video.group], video.video_id))
    return [video_id for _, video_id in sorted(ranked)[:SAMPLES_PER_CLASS]]
