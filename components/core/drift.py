"""Statistics of a clip dataset, and the drift between two: whether new videos differ from those that a model was trained on.

`statistics.json` in a dataset:

    schema      per field of a video: its kind, a name or a number
    videos      how many are used
    names       per field with names: how many videos have each
    numbers     per field with numbers: minimum, quartiles, maximum, mean

Drift is measured by the population stability index over the used videos, Σ (b − a) · ln (b / a) over the shares a and b of each name, or of
each quintile of the first dataset. As a rule (Siddiqi, "Credit Risk Scorecards", 2006) 0.1 is a small and 0.25 a large shift. Few videos
differ by chance, therefore the labels "first" and "second" are shuffled, too: p is the share of shuffles with an index as large.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.core.errors import DataError
from components.core.shards import VIDEOS_NAME, read_json_lines

NAMES = ("class_name", "source", "probe", "sector")
NUMBERS = ("brightness", "frames_per_second", "width_px", "height_px", "read_s")
SMALL_SHIFT, LARGE_SHIFT = 0.1, 0.25
MAX_P = 0.05
NUM_BINS = 5
NUM_SHUFFLES = 1000

Video = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class FieldDrift:
    """How much a field differs between two datasets.

    Attributes:
        field: its name in videos.jsonl.
        index: the population stability index.
        p: how often chance gives as large an index.
        largest: what changed most, in words.
    """

    field: str
    index: float
    p: float
    largest: str

    @property
    def reading(self) -> str:
        """The result in words."""
        if self.index < SMALL_SHIFT or self.p > MAX_P:
            return "no shift beyond chance"
        return "large shift" if self.index >= LARGE_SHIFT else "some shift"


def used_videos(dataset_path: Path) -> list[Video]:
    """Returns the lines of a dataset's videos.jsonl that gave clips.

    Raises:
        DataError: there is no such file, or it was written by another version.
    """
    try:
        videos = [video for video in read_json_lines(dataset_path / VIDEOS_NAME) if video["num_clips"]]
        missing = {field for video in videos for field in (*NAMES, *NUMBERS) if field not in video}
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{str(dataset_path)!r} has no readable {VIDEOS_NAME}; give the output of preprocess.") from None
    if missing or not videos:
        lack = f"lacks {', '.join(sorted(missing))}" if missing else "has no used video"
        raise DataError(f"the {VIDEOS_NAME} of {str(dataset_path)!r} {lack}; run preprocess again.")
    return videos


def statistics_of(videos: Sequence[Video]) -> dict[str, Any]:
    """Returns what statistics.json holds."""
    return {
        "schema": {**dict.fromkeys(NAMES, "name"), **dict.fromkeys(NUMBERS, "number")},
        "videos": len(videos),
        "names": {field: dict(sorted(Counter(video[field] for video in videos).items())) for field in NAMES},
        "numbers": {field: _summary(np.array([video[field] for video in videos], float)) for field in NUMBERS},
    }


def drift(first: Sequence[Video], second: Sequence[Video]) -> list[FieldDrift]:
    """Returns how much the second dataset differs from the first, field by field."""
    return [_of_names(field, first, second) for field in NAMES] + [_of_numbers(field, first, second) for field in NUMBERS]


def _summary(values: np.ndarray) -> dict[str, float]:
    names = ("minimum", "lower_quartile", "median", "upper_quartile", "maximum")
    quartiles = dict(zip(names, np.quantile(values, [0, 0.25, 0.5, 0.75, 1]), strict=True))
    return {name: round(float(value), 3) for name, value in {**quartiles, "mean": values.mean()}.items()}


def _of_names(field: str, first: Sequence[Video], second: Sequence[Video]) -> FieldDrift:
    names = sorted({str(video[field]) for video in (*first, *second)})
    a, b = (np.array([names.index(str(video[field])) for video in videos]) for videos in (first, second))
    shares = [np.bincount(side, minlength=len(names)) / len(side) for side in (a, b)]
    most = int(np.abs(shares[1] - shares[0]).argmax())
    largest = f"{names[most] or 'not stated'}: {shares[0][most]:.0%} → {shares[1][most]:.0%}"
    return FieldDrift(field, *_index_and_p(a, b, len(names)), largest)


def _of_numbers(field: str, first: Sequence[Video], second: Sequence[Video]) -> FieldDrift:
    a, b = (np.array([video[field] for video in videos], float) for videos in (first, second))
    edges = np.unique(np.quantile(a, np.linspace(0, 1, NUM_BINS + 1)[1:-1]))
    bins = [np.searchsorted(edges, side, side="left") for side in (a, b)]
    return FieldDrift(field, *_index_and_p(bins[0], bins[1], len(edges) + 1), f"median: {np.median(a):g} → {np.median(b):g}")


def _index_and_p(a: np.ndarray, b: np.ndarray, num_cells: int) -> tuple[float, float]:
    together = np.concatenate([a, b])
    generator = np.random.default_rng(0)
    index = _stability_index(a, b, num_cells)
    shuffles = (generator.permutation(together) for _ in range(NUM_SHUFFLES))
    as_large = sum(_stability_index(shuffled[: len(a)], shuffled[len(a) :], num_cells) >= index - 1e-12 for shuffled in shuffles)
    return round(index, 3), (as_large + 1) / (NUM_SHUFFLES + 1)


def _stability_index(a: np.ndarray, b: np.ndarray, num_cells: int) -> float:
    """Returns the index of two samples of cell numbers; half a video is added to every cell, so that none is empty."""
    one, other = ((np.bincount(side, minlength=num_cells) + 0.5) / (len(side) + num_cells / 2) for side in (a, b))
    return float(((other - one) * np.log(other / one)).sum())
