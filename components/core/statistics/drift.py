"""Statistics of a clip dataset, and the drift between two: whether new videos differ from those that a model was trained on.

`statistics.json` in a dataset:

    schema      per field of a video: its kind, a name or a number
    videos      how many are used
    names       per field with names: how many videos have each
    numbers     per field with numbers: minimum, quartiles, maximum, mean

A finding (core.records.findings) is a field where it is stated, and is compared where both datasets state it, over the videos that do.

Drift is measured by the population stability index, Σ (b − a) · ln (b / a) over the shares a and b of each name, or of each quintile of
both datasets together. As a rule (Siddiqi, "Credit Risk Scorecards", 2006) 0.1 is a small and 0.25 a large shift. Videos of one group
resemble each other: a group of n videos counts as √n, between the one piece of evidence and the n that it may be.

Few groups differ by chance, therefore they are shuffled, too. Which dataset a group is in, or that it is in both, is dealt anew over the
groups; a group is never split. A group whose videos differ between the datasets stays in both, and the datasets swap them or not. A group
that is the same in both speaks against a shift. All fields are judged at once, by the smallest p of any field in a shuffle (Westfall and
Young, "Resampling-Based Multiple Testing", 1993, step-down): where nothing has shifted, 5 % of all comparisons name a field, not 5 % of
the fields. benchmarks/drift.py counts it, and how large a shift is found.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.core.errors import DataError
from components.core.models.predictions import Floats
from components.core.records.findings import FINDINGS
from components.core.records.shards import VIDEOS_NAME, read_json_lines

NAMES = ("class_name", "source", "probe", "sector")
NUMBERS = ("brightness", "frames_per_second", "width_px", "height_px", "read_s")
SMALL_SHIFT, LARGE_SHIFT = 0.1, 0.25
MAX_P = 0.05
NUM_BINS = 5
NUM_SHUFFLES = 2000

Video = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class FieldDrift:
    """How much a field differs between two datasets.

    Attributes:
        field: its name in videos.jsonl.
        index: the population stability index.
        p: how often chance gives any field an index that is as rare.
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


@dataclasses.dataclass(frozen=True, eq=False)
class _Shuffles:
    """The videos of both datasets in parts, each of one group, and which dataset has which part; row 0 is how things are.

    Attributes:
        parts: of each, its videos.
        in_first, in_second: [1 + NUM_SHUFFLES, parts], 1 or 0.
    """

    parts: list[list[Video]]
    in_first: Floats
    in_second: Floats


def used_videos(dataset_path: Path) -> list[Video]:
    """Returns the lines of a dataset's videos.jsonl that gave clips.

    Raises:
        DataError: there is no such file, or it was written by another version.
    """
    try:
        videos = [video for video in read_json_lines(dataset_path / VIDEOS_NAME) if video["num_clips"]]
        missing = {field for video in videos for field in ("group", *NAMES, *NUMBERS) if field not in video}
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{str(dataset_path)!r} has no readable {VIDEOS_NAME}; give the output of preprocess.") from None
    if missing or not videos:
        lack = f"lacks {', '.join(sorted(missing))}" if missing else "has no used video"
        raise DataError(f"the {VIDEOS_NAME} of {str(dataset_path)!r} {lack}; run preprocess again.")
    return videos


def statistics_of(videos: Sequence[Video]) -> dict[str, Any]:
    """Returns what statistics.json holds."""
    names = (*NAMES, *_stated(videos))
    return {
        "schema": {**dict.fromkeys(names, "name"), **dict.fromkeys(NUMBERS, "number")},
        "videos": len(videos),
        "names": {field: dict(sorted(Counter(video[field] for video in videos).items())) for field in names},
        "numbers": {field: _summary(np.array([video[field] for video in videos], float)) for field in NUMBERS},
    }


def by_group(videos: Sequence[Video]) -> dict[str, list[Video]]:
    """Returns the videos of each group."""
    groups: dict[str, list[Video]] = {}
    for video in videos:
        groups.setdefault(video["group"], []).append(video)
    return groups


def drift(first: Sequence[Video], second: Sequence[Video]) -> list[FieldDrift]:
    """Returns how much the second dataset differs from the first, field by field."""
    shuffles = _shuffle(first, second)
    videos = [video for part in shuffles.parts for video in part]
    findings = [name for name in _stated(first) if name in _stated(second)]
    fields = {field: _cells_of_names([str(video[field]) for video in videos]) for field in NAMES}
    fields |= {name: _cells_of_grades([video.get(name, "") for video in videos]) for name in findings}
    fields |= {field: _cells_of_numbers([video[field] for video in videos]) for field in NUMBERS}
    indices = np.stack([_stability_indices(cells, shuffles) for cells in fields.values()], axis=1)
    changes = [_change_of_names(field, first, second) for field in NAMES]
    changes += [_change_of_names(name, *([video for video in side if video.get(name)] for side in (first, second))) for name in findings]
    changes += [_change_of_numbers(field, first, second) for field in NUMBERS]
    rows = zip(fields, indices[0], _adjusted_p(indices), changes, strict=True)
    return [FieldDrift(field, round(float(index), 3), float(p), change) for field, index, p, change in rows]


def too_few_groups(first: Sequence[Video], second: Sequence[Video]) -> bool:
    """Tells whether the datasets differ in so few groups that no shift whatever could be told from chance."""
    shuffles = _shuffle(first, second)
    sides = shuffles.in_first, shuffles.in_second
    is_like_now = np.logical_and.reduce([(side == side[0]).all(axis=1) for side in sides])
    is_mirrored = np.logical_and.reduce([(side == other[0]).all(axis=1) for side, other in zip(sides, sides[::-1], strict=True)])
    return bool((is_like_now | is_mirrored).mean() > MAX_P)


def _stated(videos: Sequence[Video]) -> list[str]:
    """Returns the findings that are stated of any video."""
    return [finding.name for finding in FINDINGS if any(video.get(finding.name) for video in videos)]


def _summary(values: np.ndarray) -> dict[str, float]:
    names = ("minimum", "lower_quartile", "median", "upper_quartile", "maximum")
    quartiles = dict(zip(names, np.quantile(values, [0, 0.25, 0.5, 0.75, 1]), strict=True))
    return {name: round(float(value), 3) for name, value in {**quartiles, "mean": values.mean()}.items()}


def _shuffle(first: Sequence[Video], second: Sequence[Video]) -> _Shuffles:
    before, after = by_group(first), by_group(second)
    changed = [group for group in before if group in after and _facts(before[group]) != _facts(after[group])]
    dealt = [group for group in {**before, **after} if group not in changed]
    membership = np.array([[group in before, group in after] for group in dealt], np.float64).reshape(-1, 2)
    rng = np.random.default_rng(0)
    orders = np.concatenate([np.arange(len(dealt))[None], rng.permuted(np.tile(np.arange(len(dealt)), (NUM_SHUFFLES, 1)), axis=1)])
    kept = np.concatenate([np.ones((1, len(changed))), rng.integers(2, size=(NUM_SHUFFLES, len(changed)))])
    return _Shuffles(
        parts=[after.get(group) or before[group] for group in dealt] + [side[group] for side in (before, after) for group in changed],
        in_first=np.concatenate([membership[orders, 0], kept, 1 - kept], axis=1),
        in_second=np.concatenate([membership[orders, 1], 1 - kept, kept], axis=1),
    )


def _facts(videos: Sequence[Video]) -> list[str]:
    findings = [finding.name for finding in FINDINGS]
    return sorted(str([*(video[field] for field in (*NAMES, *NUMBERS)), *(video.get(name, "") for name in findings)]) for video in videos)


def _cells_of_names(values: Sequence[str]) -> Floats:
    """Returns which name each value is, [values, names], 1 or 0."""
    names, cells = np.unique(values, return_inverse=True)
    return np.eye(len(names))[cells]


def _cells_of_grades(grades: Sequence[str]) -> Floats:
    """Returns which grade each value is, [values, grades], 1 or 0; only zeros where none is stated."""
    return _cells_of_names(grades) * np.array([[bool(grade)] for grade in grades])


def _cells_of_numbers(values: Sequence[float]) -> Floats:
    """Returns in which quintile of all each value is, [values, quintiles], 1 or 0."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, NUM_BINS + 1)[1:-1]))
    return np.eye(len(edges) + 1)[np.searchsorted(edges, values, side="left")]


def _stability_indices(cells: Floats, shuffles: _Shuffles) -> Floats:
    """Returns the index of a field in each shuffle, [shuffles]; half a group is added to every cell, so that none is empty."""
    sizes = np.array([len(part) for part in shuffles.parts])
    evidence = np.add.reduceat(cells, np.cumsum(sizes) - sizes) / np.sqrt(sizes)[:, None]
    counts = (side @ evidence + 0.5 for side in (shuffles.in_first, shuffles.in_second))
    one, other = (count / count.sum(axis=1, keepdims=True) for count in counts)
    return ((other - one) * np.log(other / one)).sum(axis=1)


def _adjusted_p(indices: Floats) -> Floats:
    """Returns the p of each field for how things are, [fields], corrected for the number of fields; `indices` is [shuffles, fields]."""
    # Equal arrangements differ by the last bits of a sum.
    columns = indices.round(9).T
    p = np.stack([1 - np.searchsorted(np.sort(column), column) / len(column) for column in columns], axis=1)
    order = np.argsort(p[0])
    smallest = np.minimum.accumulate(p[:, order[::-1]], axis=1)[:, ::-1]
    adjusted = np.empty(len(order))
    adjusted[order] = np.maximum.accumulate((smallest <= smallest[0]).mean(axis=0))
    return adjusted


def _change_of_names(field: str, first: Sequence[Video], second: Sequence[Video]) -> str:
    one, other = (Counter(str(video[field]) for video in videos) for videos in (first, second))
    shares = {name: (one[name] / len(first), other[name] / len(second)) for name in sorted(one | other)}
    most = max(shares, key=lambda name: abs(shares[name][1] - shares[name][0]))
    return f"{most or 'not stated'}: {shares[most][0]:.0%} → {shares[most][1]:.0%}"


def _change_of_numbers(field: str, first: Sequence[Video], second: Sequence[Video]) -> str:
    one, other = (np.median([video[field] for video in videos]) for videos in (first, second))
    return f"median: {one:g} → {other:g}"
