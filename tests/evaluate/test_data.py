"""What is read from videos.jsonl, and what is made of it: flow, leaks and slices; and the log of a training."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from components.core.errors import DataError
from components.core.models.predictions import Predictions
from components.evaluate.data_flow import data_flow
from components.evaluate.slices import slice_scores
from components.evaluate.training_log import read_history
from components.evaluate.video_facts import VideoFacts, read_video_facts

CLASS_NAMES = ["covid", "normal"]
LINE = {
    "video_id": "a", "class_name": "covid", "group": "p", "source": "s", "license": "CC0", "split": "train", "num_clips": 2, "reason": "",
}  # fmt: skip


def write(folder: Path, *lines: dict[str, object]) -> list[VideoFacts]:
    (folder / "videos.jsonl").write_text("".join(json.dumps({**LINE, **line}) + "\n" for line in lines))
    return read_video_facts(folder)


def test_what_is_not_stated_is_absent(tmp_path: Path) -> None:
    bare, full = write(
        tmp_path,
        {"video_id": "bare", "source": "", "license": ""},
        {"video_id": "full", "probe": "linear", "sex": "female", "width_px": 640, "container": "gif", "sha256": "0", "near_duplicates": []},
    )
    assert (bare.source, bare.license, bare.descriptions, bare.traits) == ("(not stated)", "(not stated)", {}, {})
    assert (bare.sha256, bare.near_duplicates) == (None, None)
    assert full.descriptions == {"probe": "linear", "sex": "female"}
    assert full.traits == {"width in px": 640, "container": "gif"}


@pytest.mark.parametrize("text", [None, "{}", "no json"])
def test_a_dataset_without_its_list_of_videos_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "videos.jsonl").write_text(text)
    with pytest.raises(DataError, match="run preprocess again"):
        read_video_facts(tmp_path)


def test_the_flow_counts_every_stage_and_every_reason(tmp_path: Path) -> None:
    gone = {"num_clips": 0, "split": ""}
    facts = write(
        tmp_path,
        {"video_id": "1"},
        {"video_id": "2", "class_name": "normal", "split": "test", "group": "q", "license": "CC BY 4.0"},
        {"video_id": "3", **gone, "reason": "missing at ingest: 404"},
        {"video_id": "4", **gone, "reason": "too short"},
        {"video_id": "5", **gone, "reason": "too short"},
    )
    flow = data_flow(facts, CLASS_NAMES)
    assert (flow.listed, flow.stored, flow.usable) == (5, 4, 2)
    assert flow.reasons == {"too short": 2, "missing at ingest: 404": 1}
    assert flow.licences == {"CC BY 4.0": 1, "CC0": 1}
    assert flow.splits["test"].videos_by_class == {"covid": 0, "normal": 1}
    assert (flow.splits["train"].videos, flow.splits["train"].clips, flow.splits["validation"].videos) == (1, 2, 0)


def test_leaks_are_found_by_group_content_and_likeness(tmp_path: Path) -> None:
    facts = write(
        tmp_path,
        {"video_id": "1", "group": "p", "sha256": "x", "near_duplicates": ["3"]},
        {"video_id": "2", "group": "p", "sha256": "y", "near_duplicates": [], "split": "test"},
        {"video_id": "3", "group": "q", "sha256": "x", "near_duplicates": ["1"], "split": "validation"},
        {"video_id": "4", "group": "q", "sha256": "z", "near_duplicates": [], "split": "validation"},
    )
    groups, contents, duplicates = data_flow(facts, CLASS_NAMES).leaks
    assert (groups.num_offences, groups.examples) == (1, ("1 (train), 2 (test)",))
    assert (contents.num_offences, contents.examples) == (1, ("1 (train), 3 (validation)",))
    assert (duplicates.num_offences, duplicates.was_checked) == (1, True)


def test_a_copy_of_a_copy_on_the_other_side_is_found(tmp_path: Path) -> None:
    facts = write(
        tmp_path,
        {"video_id": "1", "group": "p", "near_duplicates": ["2"]},
        {"video_id": "2", "group": "q", "near_duplicates": ["1", "3"]},
        {"video_id": "3", "group": "r", "near_duplicates": ["2"], "split": "test"},
    )
    duplicates = data_flow(facts, CLASS_NAMES).leaks[-1]
    assert (duplicates.num_offences, duplicates.examples) == (1, ("2 (train), 3 (test)",))


def test_what_the_dataset_does_not_state_is_not_said_to_be_free_of_leaks(tmp_path: Path) -> None:
    groups, contents, duplicates = data_flow(write(tmp_path, {"video_id": "1"}), CLASS_NAMES).leaks
    assert (groups.was_checked, contents.was_checked, duplicates.was_checked) == (True, False, False)


def make_videos(tmp_path: Path, **columns: list[object]) -> tuple[Predictions, list[VideoFacts]]:
    """Twelve test videos of as many groups, half of each class; the last three are answered wrong."""
    labels = np.tile([0, 1], 6)
    predicted = np.where(np.arange(12) < 9, labels, 1 - labels)
    ids = np.array([f"{number:02}" for number in range(12)])
    lines = [
        {
            "video_id": video_id,
            "class_name": CLASS_NAMES[label],
            "group": video_id,
            "split": "test",
            **{k: v[row] for k, v in columns.items()},
        }
        for row, (video_id, label) in enumerate(zip(ids.tolist(), labels, strict=True))
    ]
    return Predictions(labels, np.eye(2)[predicted], ids, ids, np.full(12, "s")), write(tmp_path, *lines)


def test_slices_are_counted_scored_and_marked_when_small(tmp_path: Path) -> None:
    videos, facts = make_videos(tmp_path, probe=["linear"] * 8 + ["convex"] * 4, sex=[""] * 12)
    slices = {(part.dimension, part.value): part for part in slice_scores(videos, facts, CLASS_NAMES, 100, 0)}
    assert {dimension for dimension, _ in slices} == {"source", "probe", "length"}, "sex is not stated"
    convex, linear = slices["probe", "convex"], slices["probe", "linear"]
    assert (convex.num_videos, convex.num_right, convex.accuracy.value, convex.is_small) == (4, 1, 0.25, True)
    assert convex.accuracy.interval is None
    assert (linear.num_videos, linear.accuracy.value, linear.is_small) == (8, 1.0, False)
    assert slices["source", "s"].accuracy.interval is not None


def test_ages_and_lengths_are_put_into_spans(tmp_path: Path) -> None:
    ages: list[object] = [17, 18, 39, 40, 64, 65, 90, "unknown", "", 1, 2, 3]
    videos, facts = make_videos(tmp_path, age=ages, read_s=[0.5, 2.9, 3, 5.9, 6, 11, 12, 40, 1, 1, 1, 1])
    slices = slice_scores(videos, facts, CLASS_NAMES, 0, 0)
    by_dimension = {name: {part.value: part.num_videos for part in slices if part.dimension == name} for name in ("age", "length")}
    assert by_dimension["age"] == {"0–18 years": 4, "18–40 years": 2, "40–65 years": 2, "65 years or more": 2, "(not stated)": 2}
    assert by_dimension["length"] == {"0–3 s": 6, "3–6 s": 2, "6–12 s": 2, "12 s or more": 2}


def test_values_may_hold_any_text_and_numbers_come_in_order(tmp_path: Path) -> None:
    values: list[object] = [" ", "–", "1.2.3", "²", "10 MHz", "5 MHz", "linear", "", *["linear"] * 4]
    videos, facts = make_videos(tmp_path, probe=values)
    probes = [part.value for part in slice_scores(videos, facts, CLASS_NAMES, 0, 0) if part.dimension == "probe"]
    assert probes == ["1.2.3", "5 MHz", "10 MHz", " ", "linear", "²", "–", "(not stated)"]


def test_a_slice_of_one_class_has_no_macro_f1(tmp_path: Path) -> None:
    videos, facts = make_videos(tmp_path, probe=["linear", "convex"] * 6)
    assert {part.macro_f1 for part in slice_scores(videos, facts, CLASS_NAMES, 0, 0) if part.dimension == "probe"} == {None}
    assert dataclasses.asdict(slice_scores(videos, facts, CLASS_NAMES, 0, 0)[0])["macro_f1"] is not None


def test_the_log_of_a_training_is_read_by_columns(tmp_path: Path) -> None:
    assert read_history(tmp_path) == {}
    (tmp_path / "pruning_log.csv").write_text("epoch,loss\n1,0.9\n2,0.7\n")
    assert read_history(tmp_path) == {"epoch": [1, 2], "loss": [0.9, 0.7]}


@pytest.mark.parametrize("content", [b"epoch,loss\n1,high\n", b"epoch,loss\n1\n", b"epoch,loss\n1,2,3\n", b"epoch,\xff\n1,2\n"])
def test_a_log_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "training_log.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"training_log\.csv' is not a log of a training"):
        read_history(tmp_path)
