import dataclasses
from pathlib import Path

import pytest

from components.core import storage
from components.core.errors import UsageError
from components.core.records.manifest import ManifestRow
from components.core.records.video_records import Status, VideoRecord, write_videos
from components.predict.inputs import list_videos, split_videos


@pytest.fixture(params=["local", "gs"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "videos") if request.param == "local" else request.getfixturevalue("gs_storage")


def test_a_folder_gives_its_videos_in_order_and_nothing_else(root: str) -> None:
    for name in ("b.mp4", "a/c.MOV", "notes.txt", "a/d.gif"):
        storage.write_bytes(storage.join(root, name), b"x")
    tasks = list_videos([root])
    assert [task.uri for task in tasks] == [storage.join(root, name) for name in ("a/c.MOV", "a/d.gif", "b.mp4")]
    assert [task.position for task in tasks] == [0, 1, 2]


def test_a_video_that_is_named_twice_counts_once(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    assert len(list_videos([str(tmp_path / "a.mp4"), str(tmp_path)])) == 1


def test_rows_that_share_a_file_or_an_address_are_all_kept(tmp_path: Path) -> None:
    left = ManifestRow("left", "https://example.org/a.mp4", "covid", "p", crop=(0, 0, 50, 90))
    right = dataclasses.replace(left, video_id="right", crop=(50, 0, 50, 90))
    gone = [VideoRecord(dataclasses.replace(left, video_id=name), Status.MISSING, "HTTP 404") for name in ("gone-1", "gone-2")]
    halves = [VideoRecord(row, Status.STORED, "", "gs://bucket/videos/0.mp4") for row in (left, right)]
    write_videos(tmp_path / "videos.jsonl", [*halves, *gone])
    tasks = list_videos([str(tmp_path / "videos.jsonl")] * 2)
    assert [(task.position, task.video_id, task.crop) for task in tasks] == [
        (0, "left", (0, 0, 50, 90)),
        (1, "right", (50, 0, 50, 90)),
        (2, "gone-1", (0, 0, 50, 90)),
        (3, "gone-2", (0, 0, 50, 90)),
    ]


def test_videos_are_split_as_a_shell_does() -> None:
    assert split_videos("a.mp4 'b c.mp4'") == ["a.mp4", "b c.mp4"]
    with pytest.raises(UsageError, match=r"cannot be split into URIs \(No closing quotation\); quote them"):
        split_videos("it's.mp4")


def test_a_manifest_gives_ids_and_crops_and_tells_what_is_on_the_web(tmp_path: Path) -> None:
    manifest = tmp_path / "m.csv"
    manifest.write_text('video_id,uri,label,group,crop\na,a.mp4,covid,,"1,2,30,40"\nb,https://example.org/b.mp4,normal,,\n')
    first, second = list_videos([str(manifest)])
    assert (first.video_id, first.uri, first.crop, first.obstacle) == ("a", str(tmp_path / "a.mp4"), (1, 2, 30, 40), "")
    assert second.obstacle == "it is on the web; run ingest first and give its videos.jsonl"


@pytest.mark.parametrize("name", ["videos.jsonl", "videos"])
def test_the_output_of_ingest_is_a_manifest_too(tmp_path: Path, name: str) -> None:
    row = ManifestRow("a", "https://example.org/a.mp4", "covid", "p")
    stored = VideoRecord(row, Status.STORED, "", "gs://bucket/videos/0.mp4")
    missing = VideoRecord(dataclasses.replace(row, video_id="b", uri="https://example.org/b.mp4"), Status.MISSING, "HTTP 404")
    write_videos(tmp_path / name, [stored, missing])
    first, second = list_videos([str(tmp_path / name)])
    assert (first.video_id, first.uri, first.obstacle) == ("a", "gs://bucket/videos/0.mp4", "")
    assert second.obstacle == "missing at ingest: HTTP 404"


def test_what_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        list_videos([str(tmp_path / "absent.mp4")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no video"):
        list_videos([str(tmp_path / "empty")])
    with pytest.raises(UsageError, match="no video to predict"):
        list_videos([])
