import dataclasses
from pathlib import Path

import numpy as np
import pytest

from components.core.errors import DataError
from components.core.records.clips import ClipRecord
from components.preprocess.leaks import check_leaks
from tests.clip_datasets import SHAPE, clip_record, write_dataset

FRAMES = np.zeros(SHAPE, np.uint8)


@dataclasses.dataclass
class Video:
    video_id: str
    group: str
    sha256: str
    near_duplicates: list[str] = dataclasses.field(default_factory=list)


def dataset(folder: Path, train: list[ClipRecord], test: list[ClipRecord]) -> Path:
    return write_dataset(folder / "dataset", {"train": train, "validation": [], "test": test})


def videos(*ids: str) -> list[Video]:
    return [Video(video_id, f"group-{video_id}", f"sha-{video_id}") for video_id in ids]


def test_videos_of_different_groups_and_files_do_not_leak(tmp_path: Path) -> None:
    clips = [clip_record(FRAMES, 0, "a", 0), clip_record(FRAMES, 0, "a", 1)]
    check_leaks(dataset(tmp_path, clips, [clip_record(FRAMES, 0, "b")]), videos("a", "b"))


def test_clips_of_one_video_on_two_sides_are_a_leak(tmp_path: Path) -> None:
    path = dataset(tmp_path, [clip_record(FRAMES, 0, "a", 0)], [clip_record(FRAMES, 0, "a", 1)])
    with pytest.raises(DataError, match="leak: the video 'a' is in"):
        check_leaks(path, videos("a"))


def test_a_group_on_two_sides_is_a_leak_whether_the_clips_or_the_list_name_it(tmp_path: Path) -> None:
    path = dataset(tmp_path, [clip_record(FRAMES, 0, "a")], [clip_record(FRAMES, 0, "b")])
    listed = videos("a", "b")
    listed[1].group = "group-a"
    with pytest.raises(DataError, match=r"leak: the group 'group-a' is in test \(video 'b'\) and in train \(video 'a'\)"):
        check_leaks(path, listed)
    hidden = dataclasses.replace(clip_record(FRAMES, 0, "b"), group="group-a")
    with pytest.raises(DataError, match="leak: the group 'group-a'"):
        check_leaks(dataset(tmp_path / "other", [clip_record(FRAMES, 0, "a")], [hidden]), videos("a", "b"))


def test_one_file_on_two_sides_is_a_leak(tmp_path: Path) -> None:
    path = dataset(tmp_path, [clip_record(FRAMES, 0, "a")], [clip_record(FRAMES, 0, "b")])
    listed = videos("a", "b")
    listed[1].sha256 = "sha-a"
    with pytest.raises(DataError, match="leak: the file 'sha-a' is in"):
        check_leaks(path, listed)


def test_near_duplicates_on_two_sides_are_a_leak(tmp_path: Path) -> None:
    path = dataset(tmp_path, [clip_record(FRAMES, 0, "a")], [clip_record(FRAMES, 0, "b")])
    listed = videos("a", "b")
    listed[0].near_duplicates, listed[1].near_duplicates = ["b"], ["a"]
    with pytest.raises(DataError, match="leak: the recording 'a = b' is in"):
        check_leaks(path, listed)
