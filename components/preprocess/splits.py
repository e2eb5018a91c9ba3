"""Splits: which groups go to train, validation and test.

A group is never divided, and keeps its split for life: assignments are kept in `<storage>/splits.json`, {group: split}.
"""

import json
from collections.abc import Mapping

import numpy as np

from components.core import storage
from components.core.clips import CLASS_NAMES, SPLITS
from components.core.errors import DataError

SPLITS_NAME = "splits.json"
# Orders of the groups that are tried; the work grows with tries × groups.
MAX_TRIES = 200
MAX_PLACEMENTS = 20_000


def assign_splits(
    videos_by_class: Mapping[str, Mapping[str, int]],
    earlier: Mapping[str, str],
    test_fraction: float,
    validation_fraction: float,
    seed: int,
) -> dict[str, str]:
    """Assigns every group to a split, so that each class is divided in the wanted ratio, counted in videos and in groups.

    Groups are placed one by one, the largest first, where they bring the counts nearest to their targets; groups of one size are tried
    in many orders, drawn from the seed, and the best result is taken.

    Args:
        videos_by_class: per group, its number of videos per class name.
        earlier: splits of groups that were assigned before; they are kept.
        test_fraction: part of all videos for test.
        validation_fraction: part of the rest for validation.
        seed: of the orders that are tried.

    Returns:
        The split of every group in `videos_by_class`.

    Raises:
        DataError: no division gives every split a video of every class.
    """
    groups = sorted(videos_by_class)
    counts = np.array([[videos_by_class[group].get(name, 0) for name in CLASS_NAMES] for group in groups], dtype=float)
    # Videos and groups of each class, side by side: shape [groups, 2 × classes], as parts of their totals.
    parts = np.concatenate([counts / counts.sum(axis=0), (counts > 0) / (counts > 0).sum(axis=0)], axis=1)
    targets = np.array([(1 - test_fraction) * (1 - validation_fraction), (1 - test_fraction) * validation_fraction, test_fraction])
    pinned = np.array([SPLITS.index(earlier[group]) if group in earlier else -1 for group in groups])
    generator = np.random.default_rng(seed)
    tries = max(1, min(MAX_TRIES, MAX_PLACEMENTS // len(groups)))
    attempts = (_place(parts, targets, pinned, generator.permutation(len(groups))) for _ in range(tries))
    _, best = min(attempts, key=lambda attempt: attempt[0])
    _check_every_split(counts, best)
    return {group: SPLITS[split] for group, split in zip(groups, best, strict=True)}


def _place(parts: np.ndarray, targets: np.ndarray, pinned: np.ndarray, order: np.ndarray) -> tuple[float, np.ndarray]:
    """Places the groups, the largest first and else in the given order; returns the distance from the targets and the placement."""
    placement = pinned.copy()
    totals = np.stack([parts[pinned == split].sum(axis=0) for split in range(len(targets))])
    largest_first = order[np.argsort(-parts[order].sum(axis=1), kind="stable")]
    for group in largest_first[pinned[largest_first] < 0]:
        distances = [
            _distance(totals + parts[group] * (np.arange(len(targets)) == split)[:, None], targets) for split in range(len(targets))
        ]
        placement[group] = int(np.argmin(distances))
        totals[placement[group]] += parts[group]
    return _distance(totals, targets), placement


def _distance(totals: np.ndarray, targets: np.ndarray) -> float:
    """Returns how far the parts in every split are from the wanted ones; an empty cell weighs more than any imbalance."""
    return float(((totals - targets[:, None]) ** 2).sum() + 10 * (totals == 0).sum())


def _check_every_split(counts: np.ndarray, placement: np.ndarray) -> None:
    for split, split_name in enumerate(SPLITS):
        for name, num_videos in zip(CLASS_NAMES, counts[placement == split].sum(axis=0), strict=True):
            if not num_videos:
                raise DataError(
                    f"no division of the groups gives the {split_name} split a video of class {name}; add groups of that class."
                )


def read_assignments(storage_uri: str) -> dict[str, str]:
    """Returns the splits that earlier runs assigned.

    Raises:
        DataError: the file is damaged.
    """
    uri = storage.join(storage_uri, SPLITS_NAME)
    if not storage.exists(uri):
        return {}
    try:
        assignments = dict(json.loads(storage.read_bytes(uri)))
    except ValueError:
        assignments = {"": ""}
    if not set(assignments.values()) <= set(SPLITS):
        raise DataError(f"{uri!r} is not a table of groups and splits; restore it, or delete it to split anew.")
    return assignments


def write_assignments(storage_uri: str, assignments: Mapping[str, str]) -> None:
    """Keeps the splits of all groups for later runs."""
    text = json.dumps(assignments, indent=0, sort_keys=True, ensure_ascii=False)
    storage.write_bytes(storage.join(storage_uri, SPLITS_NAME), (text + "\n").encode())
