import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.drift import Groups, Shift, alarms, drawn, halves
from components.core.errors import DataError
from components.core.records.manifest import read_manifest
from components.core.statistics.drift import NAMES, NUMBERS, by_group, drift, statistics_of, too_few_groups, used_videos


def videos(num: int, seed: int, brightness: float = 60, source: str = "a", per_group: int = 1) -> list[dict]:
    rng = np.random.default_rng(seed)
    return [
        {
            "video_id": f"v{number}",
            "group": f"patient-{seed}-{number // per_group}",
            "num_clips": 1,
            "class_name": ("covid", "normal")[number % 2],
            "source": source if number % 4 else "b",
            "probe": "convex",
            "sector": "convex",
            "brightness": float(rng.normal(brightness, 5)),
            "frames_per_second": float(rng.choice([10, 25, 30])),
            "width_px": 640,
            "height_px": 480,
            "read_s": float(rng.uniform(1, 5)),
        }
        for number in range(num)
    ]


def test_the_index_is_that_of_the_formula() -> None:
    first = [{**video, "class_name": name} for video, name in zip(videos(100, 0), ["covid"] * 50 + ["normal"] * 50, strict=True)]
    second = [{**video, "class_name": name} for video, name in zip(videos(100, 0), ["covid"] * 80 + ["normal"] * 20, strict=True)]
    result = next(field for field in drift(first, second) if field.field == "class_name")
    a, b = (50.5 / 101, 50.5 / 101), (80.5 / 101, 20.5 / 101)
    assert result.index == pytest.approx(sum((y - x) * math.log(y / x) for x, y in zip(a, b, strict=True)), abs=1e-3)
    assert result.reading == "large shift"
    assert result.largest == "covid: 50% → 80%"


def test_two_samples_of_one_kind_have_no_shift() -> None:
    assert {field.reading for field in drift(videos(60, 1), videos(40, 2))} == {"no shift beyond chance"}


def test_what_changed_is_named_and_nothing_else() -> None:
    readings = {field.field: field.reading for field in drift(videos(80, 1), videos(80, 2, brightness=75, source="c"))}
    assert {field for field, reading in readings.items() if reading == "large shift"} == {"brightness", "source"}


def graded(members: list[dict], share: float) -> list[dict]:
    """B-lines in a share of the videos; of every fifth video nothing is stated."""
    return [{**video, "b_lines": "" if n % 5 == 4 else "yes" if n % 100 < 100 * share else "no"} for n, video in enumerate(members)]


def test_findings_are_compared_where_both_state_them() -> None:
    readings = {field.field: field for field in drift(graded(videos(100, 1), 0.2), graded(videos(100, 2), 0.7))}
    assert readings["b_lines"].reading == "large shift"
    assert readings["b_lines"].largest == "no: 80% → 30%"
    assert "a_lines" not in readings
    assert "b_lines" not in {field.field for field in drift(graded(videos(100, 1), 0.2), videos(100, 2))}


def test_videos_without_a_statement_are_no_shift_of_a_finding() -> None:
    second = graded(videos(100, 2), 0.5)
    sparse = [{**video, "b_lines": video["b_lines"] if n % 3 == 0 else ""} for n, video in enumerate(second)]
    readings = {field.field: field.reading for field in drift(graded(videos(100, 1), 0.5), sparse)}
    assert readings["b_lines"] == "no shift beyond chance"


def rates(draws: list[tuple[Groups, Groups]], shift: Shift) -> Any:
    """How often any field is named, and how often the shifted one."""
    return np.mean([alarms(first, second, shift) for first, second in draws], axis=0)


def test_videos_that_come_in_groups_give_a_false_alarm_in_five_of_a_hundred_comparisons() -> None:
    rng = np.random.default_rng(1)
    any_field, _ = rates([drawn(None, 12, rng) for _ in range(100)], Shift())
    assert any_field <= 0.05 + 2 * (0.05 * 0.95 / 100) ** 0.5


@pytest.mark.parametrize("shift", [Shift("probe", "linear"), Shift("source", "elsewhere", 0.5), Shift("brightness", 40)], ids=str)
def test_a_shift_of_whole_groups_is_found(shift: Shift) -> None:
    rng = np.random.default_rng(2)
    _, found = rates([drawn(None, 15, rng) for _ in range(20)], shift)
    assert found >= 0.9


@pytest.mark.real_data
def test_halves_of_the_real_videos_differ_by_chance_only(real_manifest: Path) -> None:
    """Names as the manifest states them, and no numbers; benchmarks/drift.py takes a whole dataset."""
    rows = read_manifest(str(real_manifest))
    unknown = {**dict.fromkeys(NAMES, ""), **dict.fromkeys(NUMBERS, 0.0)}
    real = [{**unknown, "group": row.group, "class_name": row.class_name, "source": row.source, "probe": row.probe} for row in rows]
    groups, rng = list(by_group(real).values()), np.random.default_rng(0)
    any_field, _ = rates([halves(groups, rng) for _ in range(100)], Shift())
    assert any_field <= 0.05 + 2 * (0.05 * 0.95 / 100) ** 0.5


def test_a_dataset_that_has_grown_is_compared_by_what_is_new() -> None:
    old = videos(20, 1)
    assert {field.reading for field in drift(old, old + videos(20, 2))} == {"no shift beyond chance"}
    readings = {field.field: field.reading for field in drift(old, old + videos(20, 2, brightness=90))}
    assert {field for field, reading in readings.items() if reading != "no shift beyond chance"} == {"brightness"}


def test_patients_who_are_seen_again_are_compared_with_themselves() -> None:
    """Brightness grows by as much as it differs between patients."""
    first = [
        {**video, "brightness": value} for video, value in zip(videos(20, 1), np.random.default_rng(0).normal(100, 20, 20), strict=True)
    ]
    again = [{**video, "brightness": video["brightness"] + 20} for video in first]
    others = [{**video, "group": f"other {video['group']}"} for video in again]
    named = [[field.field for field in drift(first, second) if field.reading != "no shift beyond chance"] for second in (again, others)]
    assert named == [["brightness"], []]
    assert {field.p for field in drift(first, first)} == {1.0}


@pytest.mark.parametrize(("num", "too_few"), [(2, True), (3, True), (4, False), (20, False)])
def test_so_few_groups_that_nothing_could_be_shown_are_told(num: int, too_few: bool) -> None:
    """Two times 3 groups can be dealt in 20 ways, half of them mirrored; two times 4 in 70."""
    assert too_few_groups(videos(num, 1), videos(num, 2)) is too_few
    assert too_few_groups(videos(num, 1), videos(num, 1))


def test_videos_of_one_patient_are_one_piece_of_evidence() -> None:
    """Six patients of twenty videos; the three of the second dataset are brighter, which one deal in ten does, too."""
    first, second = videos(60, 1, brightness=40, per_group=20), videos(60, 2, brightness=120, per_group=20)
    assert next(field.p for field in drift(first, second) if field.field == "brightness") >= 0.09


def test_statistics_count_and_summarise() -> None:
    statistics = statistics_of(videos(8, 0))
    assert statistics["names"]["source"] == {"a": 6, "b": 2}
    assert statistics["numbers"]["width_px"]["median"] == 640
    assert set(statistics["schema"]) == {*statistics["names"], *statistics["numbers"]}


def test_a_folder_that_is_no_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="give the output of preprocess"):
        used_videos(tmp_path)
    (tmp_path / "videos.jsonl").write_text(json.dumps({"num_clips": 2, "class_name": "covid"}) + "\n")
    with pytest.raises(DataError, match="lacks brightness"):
        used_videos(tmp_path)
