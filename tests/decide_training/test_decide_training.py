import dataclasses
import datetime
import json
from pathlib import Path

import pytest

from components.core.errors import DataError, UsageError
from components.core.records.manifest import ManifestRow
from components.core.records.training_record import TrainingRecord, read_record, write_record
from components.core.records.video_records import Status, VideoRecord, VideoSet, write_videos
from components.core.registry.champion import Champion
from components.decide_training.decide_training import decide, decide_on
from components.record_training.record_training import record

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
CHAMPION = Champion("20260101T000000Z-1a2b3c4d", "1a2b3c4d", 0.7, "2026-01-01T00:00:00+00:00")


def video(video_id: str, class_name: str = "covid", sha256: str = "", group: str = "g", status: Status = Status.STORED) -> VideoRecord:
    return VideoRecord(ManifestRow(video_id, f"{video_id}.mp4", class_name, group), status, sha256=sha256 or video_id)


def last(days_ago: float = 1, fingerprint: str = "same") -> TrainingRecord:
    return TrainingRecord(fingerprint, 9, "dataset", (NOW - datetime.timedelta(days=days_ago)).isoformat())


@pytest.mark.parametrize(
    ("changes", "needed", "reason"),
    [
        ({}, False, "The 10 videos and their labels are those of the last training"),
        ({"force": True}, True, "It was asked for"),
        ({"last": None}, True, "It is not known what was trained on before"),
        ({"videos": VideoSet("other", 10)}, True, "have changed: 10 videos now, 9 at the last training"),
        ({"champion": None}, True, "There is no champion yet"),
        ({"last": last(days_ago=30)}, True, "The last training was 30 days ago, and at most 30 are allowed"),
        ({"last": last(days_ago=29.9)}, False, "The 10 videos"),
        ({"last": last(days_ago=300), "max_age_days": 0}, False, "The 10 videos"),
    ],
)
def test_the_decision_names_its_reason(changes: dict, needed: bool, reason: str) -> None:
    arguments = {"videos": VideoSet("same", 10), "last": last(), "champion": CHAMPION, "max_age_days": 30, "force": False}
    decision = decide_on(**{**arguments, **changes}, now=NOW)
    assert decision.needed is needed
    assert reason in decision.reason
    assert decision.reason in decision.to_markdown()


def test_the_fingerprint_is_of_bytes_labels_and_groups_of_stored_videos_only() -> None:
    videos = [video("a"), video("b", "normal"), video("c", status=Status.MISSING)]
    same = VideoSet.of(videos)
    assert VideoSet.of([videos[1], videos[0]]) == same
    assert VideoSet.of([video("renamed", sha256="a"), videos[1]]) == same
    for changed in (
        [video("a", "normal"), videos[1]],
        [video("a", group="h"), videos[1]],
        [video("a", sha256="x"), videos[1]],
        [videos[0]],
        [*videos, video("d")],
    ):
        assert VideoSet.of(changed) != same


def test_a_recorded_training_is_found_again(tmp_path: Path) -> None:
    videos = [video("a"), video("b", status=Status.REJECTED)]
    write_videos(tmp_path / "videos", videos)
    listed = dataclasses.asdict(VideoSet.of(videos))
    (tmp_path / "evaluation").write_text(json.dumps({"dataset_fingerprint": "abc", "listed_videos": listed}))
    written = record(tmp_path / "evaluation", str(tmp_path / "storage"))
    assert (written.num_videos, written.dataset_fingerprint) == (1, "abc")
    assert read_record(str(tmp_path / "storage")) == written
    assert decide(tmp_path / "videos", str(tmp_path / "storage"), 30, force=False).reason == "There is no champion yet."
    # What was trained on counts, not what was seen when it was decided to train.
    write_videos(tmp_path / "videos", [*videos, video("c")])
    assert "have changed: 2 videos now, 1 at" in decide(tmp_path / "videos", str(tmp_path / "storage"), 30, force=False).reason


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"dataset_fingerprint": "abc"}', '{"dataset_fingerprint": "abc", "listed_videos": {}}']
)
def test_what_is_no_evaluation_is_not_recorded(tmp_path: Path, content: str) -> None:
    (tmp_path / "evaluation").write_text(content)
    with pytest.raises(DataError, match="evaluation' is not an evaluation of this pipeline"):
        record(tmp_path / "evaluation", str(tmp_path / "storage"))
    assert read_record(str(tmp_path / "storage")) is None


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"videos_fingerprint":"","num_videos":1,"dataset_fingerprint":"","finished_at":"x"}']
)
def test_a_broken_record_is_an_error_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "last_training.json").write_bytes(content)
    with pytest.raises(DataError, match=r"last_training\.json"):
        read_record(str(tmp_path))


def test_an_age_out_of_range_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="max_age_days must be at least 0"):
        decide(tmp_path / "videos", str(tmp_path), -1, force=False)


def test_the_record_is_replaced(tmp_path: Path) -> None:
    for record_to_write in (last(3), last(2, "other")):
        write_record(str(tmp_path), record_to_write)
        assert read_record(str(tmp_path)) == record_to_write
