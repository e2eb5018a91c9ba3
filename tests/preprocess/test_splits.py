from collections import Counter

import pytest

from components.core import storage
from components.core.errors import DataError
from components.core.records.clips import CLASS_NAMES, SPLITS
from components.preprocess.splits import assign_folds, assign_splits, read_assignments, write_assignments


def balanced(groups_per_class: int, videos_per_group: int = 2) -> dict[str, Counter[str]]:
    return {f"{name}-{n}": Counter({name: videos_per_group}) for name in CLASS_NAMES for n in range(groups_per_class)}


def parts(groups: dict[str, Counter[str]], splits: dict[str, str], name: str) -> dict[str, float]:
    total = sum(counts[name] for counts in groups.values())
    return {split: sum(groups[group][name] for group in groups if splits[group] == split) / total for split in SPLITS}


def test_every_class_is_divided_56_14_30_when_groups_allow() -> None:
    groups = balanced(50)
    splits = assign_splits(groups, {}, {}, 0.3, 0.2, seed=0)
    for name in CLASS_NAMES:
        assert parts(groups, splits, name) == {"train": 0.56, "validation": 0.14, "test": 0.3}


def test_unequal_groups_come_near_to_the_ratio() -> None:
    groups = {f"{name}-{n}": Counter({name: 1 + (n * 7) % 6}) for name in CLASS_NAMES for n in range(12)}
    splits = assign_splits(groups, {}, {}, 0.3, 0.2, seed=0)
    for name in CLASS_NAMES:
        assert parts(groups, splits, name) == pytest.approx({"train": 0.56, "validation": 0.14, "test": 0.3}, abs=0.08)


@pytest.mark.parametrize("seed", range(5))
def test_three_groups_a_class_reach_all_splits(seed: int) -> None:
    groups = balanced(3)
    splits = assign_splits(groups, {}, {}, 0.3, 0.2, seed)
    assert all(set(parts(groups, splits, name).values()) == {1 / 3} for name in CLASS_NAMES)


def test_the_same_seed_gives_the_same_splits_whatever_the_order_of_the_videos() -> None:
    groups = balanced(9)
    backwards = dict(reversed(groups.items()))
    assert assign_splits(groups, {}, {}, 0.3, 0.2, seed=3) == assign_splits(backwards, {}, {}, 0.3, 0.2, seed=3)
    assert assign_splits(groups, {}, {}, 0.3, 0.2, seed=3) != assign_splits(groups, {}, {}, 0.3, 0.2, seed=4)


def test_groups_keep_their_split_as_data_grows() -> None:
    before = assign_splits(balanced(8), {}, {}, 0.3, 0.2, seed=0)
    after = assign_splits(balanced(16), {}, before, 0.3, 0.2, seed=99)
    assert {group: after[group] for group in before} == before
    for name in CLASS_NAMES:
        assert parts(balanced(16), after, name) == pytest.approx({"train": 0.56, "validation": 0.14, "test": 0.3}, abs=0.07)


def test_a_group_of_two_classes_is_placed_once() -> None:
    groups = {**balanced(4), "both": Counter({"covid": 2, "normal": 5})}
    assert assign_splits(groups, {}, {}, 0.3, 0.2, seed=0)["both"] in SPLITS


def test_grades_are_divided_where_classes_leave_it_open() -> None:
    groups = balanced(40)
    grades = {group: Counter({"b_lines yes" if n % 4 == 0 else "b_lines no": 2}) for n, group in enumerate(sorted(groups)) if n % 2 == 0}
    splits = assign_splits(groups, grades, {}, 0.3, 0.2, seed=0)
    folds = assign_folds(groups, grades, 5, seed=0)
    for name in ("b_lines yes", "b_lines no"):
        assert parts(grades, splits, name) == pytest.approx({"train": 0.56, "validation": 0.14, "test": 0.3}, abs=0.05)
        assert Counter(folds[group] for group in grades if grades[group][name]) == dict.fromkeys(range(5), 6)
    for name in CLASS_NAMES:
        assert parts(groups, splits, name) == pytest.approx({"train": 0.56, "validation": 0.14, "test": 0.3}, abs=0.02)


def test_a_grade_that_only_one_group_has_is_no_obstacle() -> None:
    groups = balanced(4)
    assert set(assign_splits(groups, {"covid-0": {"severity 3": 1}}, {}, 0.3, 0.2, seed=0).values()) == set(SPLITS)


def test_a_class_that_cannot_reach_every_split_is_an_error() -> None:
    groups = balanced(4)
    earlier = {group: "train" for group in groups if group.startswith("covid")}
    with pytest.raises(DataError, match="no division of the groups gives the validation split a video of class covid"):
        assign_splits(groups, {}, earlier, 0.3, 0.2, seed=0)


def test_assignments_are_kept_in_storage(tmp_path, gs_storage: str) -> None:
    for root in (str(tmp_path), gs_storage):
        assert read_assignments(root) == {}
        write_assignments(root, {"é": "train", "b": "test"})
        write_assignments(root, {"b": "test", "c": "validation"})
        assert read_assignments(root) == {"é": "train", "b": "test", "c": "validation"}


def test_what_another_run_assigns_at_the_same_time_is_kept(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = storage.write_if_unchanged
    others = iter([{"theirs": "test"}])

    def after_another_run(uri: str, data: bytes, generation: str) -> None:
        for other in others:
            write_assignments(str(tmp_path), other)
        real(uri, data, generation)

    monkeypatch.setattr(storage, "write_if_unchanged", after_another_run)
    write_assignments(str(tmp_path), {"ours": "train"})
    assert read_assignments(str(tmp_path)) == {"theirs": "test", "ours": "train"}


def test_a_group_keeps_its_split_against_another_run(tmp_path) -> None:
    write_assignments(str(tmp_path), {"a": "train"})
    with pytest.raises(DataError, match="assigned the group 'a' to train while this one assigned it to test"):
        write_assignments(str(tmp_path), {"a": "test", "b": "train"})
    assert read_assignments(str(tmp_path)) == {"a": "train"}


@pytest.mark.parametrize("text", [b"", b"{", b"null", b'[["a", "train"]]', b'{"a": "training"}', b'{"a": ["train"]}'])
def test_a_damaged_table_is_an_error(tmp_path, text: bytes) -> None:
    storage.write_bytes(str(tmp_path / "splits.json"), text)
    with pytest.raises(DataError, match="not a table of groups and splits"):
        read_assignments(str(tmp_path))


def test_folds_divide_every_class_evenly_and_no_group() -> None:
    groups = balanced(10, videos_per_group=3)
    folds = assign_folds(groups, {}, 5, seed=0)
    for name in CLASS_NAMES:
        assert Counter(folds[group] for group in groups if groups[group][name]) == dict.fromkeys(range(5), 2)


def test_folds_of_unequal_groups_are_nearly_even_and_follow_the_seed() -> None:
    groups = {f"{name}-{n}": Counter({name: 1 + (n * 7) % 6}) for name in CLASS_NAMES for n in range(20)}
    folds = assign_folds(groups, {}, 5, seed=1)
    for name in CLASS_NAMES:
        videos = [sum(counts[name] for group, counts in groups.items() if folds[group] == fold) for fold in range(5)]
        assert max(videos) - min(videos) <= 2
    assert folds == assign_folds(dict(reversed(groups.items())), {}, 5, seed=1)
    assert folds != assign_folds(groups, {}, 5, seed=2)


def test_more_folds_than_groups_of_a_class_leave_it_out_of_some() -> None:
    folds = assign_folds(balanced(3), {}, 5, seed=0)
    for name in CLASS_NAMES:
        assert len({fold for group, fold in folds.items() if group.startswith(name)}) == 3
