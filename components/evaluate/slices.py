"""How a model does on parts of the test videos: by source, probe, class detail, sex, age and length, as far as the dataset states them."""

import dataclasses
import re
from collections.abc import Callable, Sequence

import numpy as np

from components.core.models.predictions import NO_SOURCE as NOT_STATED
from components.core.models.predictions import Bools, Predictions
from components.core.statistics.bootstrap import Estimate, draw_weights, percentile_interval
from components.evaluate.metrics import score
from components.evaluate.video_facts import VideoFacts

# Fewer groups than this are told as counts only: an interval from them would look surer than it is.
MIN_GROUPS = 5
AGE_STARTS = (0, 18, 40, 65)
LENGTH_STARTS_S = (0, 3, 6, 12)

_LEADING_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")


@dataclasses.dataclass(frozen=True)
class Slice:
    """A part of the test videos.

    Attributes:
        dimension: what the videos are told apart by.
        value: what these videos have in common.
        num_videos: how many there are.
        num_groups: of how many groups.
        num_right: how many are answered right.
        accuracy: the part that is right; without an interval when the slice is small.
        macro_f1: over the classes in the slice; None when there is one class only.
        is_small: whether there are fewer than MIN_GROUPS groups.
    """

    dimension: str
    value: str
    num_videos: int
    num_groups: int
    num_right: int
    accuracy: Estimate
    macro_f1: float | None
    is_small: bool


def slice_scores(
    videos: Predictions, facts: Sequence[VideoFacts], class_names: list[str], num_bootstrap: int, seed: int
) -> tuple[Slice, ...]:
    """Returns the slices of every dimension about which the dataset states something, numbers first and by size.

    Args:
        videos: what a model says about the test videos.
        facts: what the dataset states about its videos.
        class_names: in the order of the labels.
        num_bootstrap: replicates behind the intervals.
        seed: of the replicates.
    """
    by_id = {video.video_id: video for video in facts}
    slices = []
    for dimension, value_of in DIMENSIONS.items():
        values = np.array([value_of(by_id[video_id]) for video_id in videos.video_ids.tolist()])
        if set(values.tolist()) == {NOT_STATED}:
            continue
        for value in sorted(set(values.tolist()), key=_order):
            slices.append(_slice(dimension, value, videos, values == value, class_names, num_bootstrap, seed))
    return tuple(slices)


def _slice(dimension: str, value: str, videos: Predictions, chosen: Bools, class_names: list[str], num_bootstrap: int, seed: int) -> Slice:
    members = videos.where(chosen)
    is_small = members.num_groups < MIN_GROUPS
    interval = None
    if num_bootstrap and not is_small:
        weights = draw_weights(members.groups, num_bootstrap, seed)
        interval = percentile_interval(weights @ members.is_right / weights.sum(axis=1))
    scores = score(members, class_names)
    return Slice(
        dimension=dimension,
        value=value,
        num_videos=len(members.labels),
        num_groups=members.num_groups,
        num_right=int(members.is_right.sum()),
        accuracy=Estimate(scores.accuracy, interval),
        macro_f1=scores.macro_f1 if len(set(members.labels.tolist())) > 1 else None,
        is_small=is_small,
    )


def _order(value: str) -> tuple[bool, float, str]:
    """Numbers first and by size, what is not stated last."""
    number = _LEADING_NUMBER.match(value)
    return value == NOT_STATED, float(number[0]) if number else np.inf, value


def _described(name: str) -> Callable[[VideoFacts], str]:
    return lambda video: video.descriptions.get(name, NOT_STATED)


def _age(video: VideoFacts) -> str:
    try:
        return _span(float(video.descriptions["age"]), AGE_STARTS, "years")
    except (KeyError, ValueError):
        return NOT_STATED


def _length(video: VideoFacts) -> str:
    seconds = video.traits.get("length in s")
    if isinstance(seconds, int | float):
        return _span(seconds, LENGTH_STARTS_S, "s")
    return f"{video.num_clips} clip{'s' if video.num_clips > 1 else ''}"


def _span(number: float, starts: tuple[int, ...], unit: str) -> str:
    """Returns the span that a number lies in: `18–40 years` holds 18 and not 40."""
    position = max(index for index, start in enumerate(starts) if start <= max(number, starts[0]))
    if position + 1 == len(starts):
        return f"{starts[-1]} {unit} or more"
    return f"{starts[position]}–{starts[position + 1]} {unit}"


DIMENSIONS: dict[str, Callable[[VideoFacts], str]] = {
    "source": lambda video: video.source,
    "probe": _described("probe"),
    "class detail": _described("class detail"),
    "sex": _described("sex"),
    "age": _age,
    "length": _length,
}
