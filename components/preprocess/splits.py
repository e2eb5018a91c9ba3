"""Splits: which groups go to train, validation and test; and folds: which groups go to which part of a cross-validation.

A group is never divided, and keeps its split for life: assignments are kept in `<storage>/splits.json`, {group: split}. Folds are dealt
out anew for every dataset, over the groups of all splits.
"""

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from components.core import storage
from components.core.errors import DataError
from components.core.records.clips import SPLITS
from components.core.storage.small_objects import ABSENT, Generation

SPLITS_NAME = "splits.json"
# Orders of the groups that are tried; the work grows with tries × groups.
MAX_TRIES = 200
MAX_PLACEMENTS = 20_000
# What it costs when a class or a grade is absent from a part, where a difference of all its videos costs 1: a class must reach every split.
COST_OF_ABSENT_CLASS, COST_OF_ABSENT_GRADE = 10, 1

Counts: TypeAlias = Mapping[str, Mapping[str, int]]


def assign_splits(
    videos_by_class: Counts,
    videos_by_grade: Counts,
    earlier: Mapping[str, str],
    test_fraction: float,
    validation_fraction: float,
    seed: int,
) -> dict[str, str]:
    """Assigns every group to a split, so that each class is divided in the wanted ratio, counted in videos and in groups.

    Args:
        videos_by_class: per group, its number of videos per class name.
        videos_by_grade: likewise per grade of a finding, which are divided as well as that allows; groups may be absent.
        earlier: splits of groups that were assigned before; they are kept.
        test_fraction: part of all videos for test.
        validation_fraction: part of the rest for validation.
        seed: of the orders that are tried.

    Returns:
        The split of every group in `videos_by_class`.

    Raises:
        DataError: no division gives every split a video of every class.
    """
    targets = [(1 - test_fraction) * (1 - validation_fraction), (1 - test_fraction) * validation_fraction, test_fraction]
    pinned = {group: SPLITS.index(earlier[group]) for group in videos_by_class if group in earlier}
    assigned = {group: SPLITS[part] for group, part in _divide(videos_by_class, videos_by_grade, targets, pinned, seed).items()}
    _check_every_split(videos_by_class, assigned)
    return assigned


def merged_assignments(earlier: Mapping[str, str], merged: Mapping[str, str]) -> dict[str, str]:
    """Returns the earlier splits of groups that have become one with others.

    Args:
        earlier: the splits that groups have for life.
        merged: the name of the group that each group is now part of.

    Raises:
        DataError: groups that are one now are on different sides for life.
    """
    sides: dict[str, dict[str, str]] = {}
    for group, name in merged.items():
        if group in earlier:
            sides.setdefault(name, {})[group] = earlier[group]
    for members in sides.values():
        if len(set(members.values())) > 1:
            listed = ", ".join(f"{group!r} in {split}" for group, split in sorted(members.items()))
            raise DataError(
                f"groups that earlier runs have put on different sides hold copies of one recording: {listed}. Take the copies out "
                f"of the manifest (`exclude`), or take these groups out of {SPLITS_NAME} in the storage and train a new champion."
            )
    return {name: next(iter(members.values())) for name, members in sides.items()}


def assign_folds(videos_by_class: Counts, videos_by_grade: Counts, num_folds: int, seed: int) -> dict[str, int]:
    """Assigns every group to a fold, so that each class is divided evenly; a class of fewer groups is absent from some folds.

    Args:
        videos_by_class: per group, its number of videos per class name.
        videos_by_grade: likewise per grade of a finding; groups may be absent.
        num_folds: number of folds.
        seed: of the orders that are tried.

    Returns:
        The fold, from 0, of every group in `videos_by_class`.
    """
    return _divide(videos_by_class, videos_by_grade, [1 / num_folds] * num_folds, {}, seed)


def _divide(
    videos_by_class: Counts, videos_by_grade: Counts, targets: Sequence[float], pinned: Mapping[str, int], seed: int
) -> dict[str, int]:
    """Divides groups into parts, each class and grade in the wanted ratio, counted in videos and in groups.

    Groups are placed one by one, the largest first, where they bring the counts nearest to their targets; groups of one size are tried
    in many orders, drawn from the seed, and the best result is taken.

    Args:
        videos_by_class: per group, its number of videos per class name.
        videos_by_grade: likewise per grade of a finding.
        targets: the wanted size of every part, as a fraction of the whole.
        pinned: the parts of groups that are not placed but stay.
        seed: of the orders that are tried.

    Returns:
        The number of the part of every group.
    """
    groups = sorted(videos_by_class)
    by_class, by_grade = (_table(counts, groups) for counts in (videos_by_class, videos_by_grade))
    counts = np.concatenate([by_class, by_grade], axis=1)
    # Videos and groups of each class and grade, side by side: shape [groups, 2 × (classes + grades)], as shares of their totals.
    shares = np.concatenate([counts / counts.sum(axis=0), (counts > 0) / (counts > 0).sum(axis=0)], axis=1)
    costs = np.tile(np.repeat([COST_OF_ABSENT_CLASS, COST_OF_ABSENT_GRADE], [by_class.shape[1], by_grade.shape[1]]), 2)
    fixed = np.array([pinned.get(group, -1) for group in groups])
    generator = np.random.default_rng(seed)
    tries = max(1, min(MAX_TRIES, MAX_PLACEMENTS // len(groups)))
    attempts = (_place(shares, costs, np.array(targets), fixed, generator.permutation(len(groups))) for _ in range(tries))
    _, best = min(attempts, key=lambda attempt: attempt[0])
    return {group: int(part) for group, part in zip(groups, best, strict=True)}


def _table(counts: Counts, groups: Sequence[str]) -> np.ndarray:
    """Returns the counts as an array [groups, names], the names in their order."""
    names = sorted({name for of_group in counts.values() for name in of_group})
    return np.array([[counts.get(group, {}).get(name, 0) for name in names] for group in groups], dtype=float).reshape(len(groups), -1)


def _place(shares: np.ndarray, costs: np.ndarray, targets: np.ndarray, fixed: np.ndarray, order: np.ndarray) -> tuple[float, np.ndarray]:
    """Places the groups, the largest first and else in the given order; returns the distance from the targets and the placement."""
    placement = fixed.copy()
    parts = np.arange(len(targets))
    totals = np.stack([shares[fixed == part].sum(axis=0) for part in parts])
    largest_first = order[np.argsort(-shares[order].sum(axis=1), kind="stable")]
    for group in largest_first[fixed[largest_first] < 0]:
        distances = [_distance(totals + shares[group] * (parts == part)[:, None], costs, targets) for part in parts]
        placement[group] = int(np.argmin(distances))
        totals[placement[group]] += shares[group]
    return _distance(totals, costs, targets), placement


def _distance(totals: np.ndarray, costs: np.ndarray, targets: np.ndarray) -> float:
    """Returns how far the shares of every part are from the wanted ones; an empty cell weighs more than any imbalance."""
    return float(((totals - targets[:, None]) ** 2).sum() + (costs * (totals == 0)).sum())


def _check_every_split(videos_by_class: Counts, assigned: Mapping[str, str]) -> None:
    for split in SPLITS:
        present = {name for group, counts in videos_by_class.items() if assigned[group] == split for name in counts}
        for name in sorted({name for counts in videos_by_class.values() for name in counts} - present):
            raise DataError(f"no division of the groups gives the {split} split a video of class {name}; add groups of that class.")


def read_assignments(storage_uri: str) -> dict[str, str]:
    """Returns the splits that earlier runs assigned.

    Raises:
        DataError: the file is damaged.
    """
    return _read(storage.join(storage_uri, SPLITS_NAME))[0]


def write_assignments(storage_uri: str, assignments: Mapping[str, str]) -> None:
    """Keeps the splits of groups for later runs, beside those that another run has written at the same time.

    Raises:
        DataError: another run has assigned one of the groups to another split at the same time.
        StorageError: the storage cannot be written.
    """
    uri = storage.join(storage_uri, SPLITS_NAME)
    while True:
        kept, generation = _read(uri)
        for group in sorted(kept.keys() & assignments.keys()):
            if kept[group] != assignments[group]:
                raise DataError(
                    f"another run assigned the group {group!r} to {kept[group]} while this one assigned it to {assignments[group]}; "
                    "run preprocess again."
                )
        text = json.dumps({**kept, **assignments}, indent=0, sort_keys=True, ensure_ascii=False)
        with contextlib.suppress(storage.ConflictError):
            storage.write_if_unchanged(uri, (text + "\n").encode(), generation)
            return


def _read(uri: str) -> tuple[dict[str, str], Generation]:
    data, generation = storage.read_with_generation(uri)
    if generation == ABSENT:
        return {}, generation
    try:
        assignments = json.loads(data)
    except ValueError:
        assignments = None
    if not isinstance(assignments, dict) or not all(split in SPLITS for split in assignments.values()):
        raise DataError(f"{uri!r} is not a table of groups and splits; restore it, or delete it to split anew.")
    return assignments, generation
