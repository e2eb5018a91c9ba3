"""What a user has downloaded by hand is taken before any host is asked."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.core import storage
from components.core.records.manifest import ManifestRow
from components.core.records.video_records import Status
from components.ingest.drop_in import DropIn
from components.ingest.ingest import IngestResult, Options, ingest_videos
from components.ingest.outcomes import RejectedError
from tests.ingest.web import Host, filled_video, serving, zipped

COLUMNS = "video_id,uri,via,label,group,file"


@pytest.fixture
def host() -> Iterator[Host]:
    with serving({}) as server:
        yield server


def ingest(folder: Path, rows: list[str], drop_in: str) -> IngestResult:
    (folder / "manifest.csv").write_text("\n".join([COLUMNS, *rows]) + "\n")
    return ingest_videos(str(folder / "manifest.csv"), str(folder / "storage"), Options(drop_in=drop_in))


def rows_of(host: Host) -> list[str]:
    return [
        f"by-id,{host.url('/1.mp4')},,covid,,clip.mp4",
        f"by-name,{host.url('/2.mp4')},direct,covid,,Day 1.gif",
        f"in-zip,{host.url('/transfer')}#B%20lines/Confluent%20B%20lines.mp4,transfer-page,covid,,Confluent B lines.mp4",
        f"id-in-zip,{host.url('/view')}#222.mp4,google-drive,covid,,clip.mp4",
        f"vimeo,{host.url('/3')},vimeo,covid,,Core.mp4",
    ]


FILES = {
    "mine/by-id.mp4": filled_video("mp4", 1),
    "Day 1.gif": filled_video("gif", 2),
    "butterfly.zip": zipped({"Published/B lines/Confluent B lines.mp4": filled_video("mp4", 3)}),
    "deep/clarius.ZIP": zipped({"id-in-zip.mp4": filled_video("mp4", 4)}),
    "Core.mp4": filled_video("mp4", 5),
    "notes.txt": b"nothing",
}
CONTENTS = [filled_video("mp4", 1), filled_video("gif", 2), filled_video("mp4", 3), filled_video("mp4", 4), filled_video("mp4", 5)]


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_the_folder_comes_before_a_storage_that_holds_a_video(tmp_path: Path, scheme: str, request: pytest.FixtureRequest) -> None:
    root = request.getfixturevalue(f"{scheme}_storage")
    storage.write_bytes(f"{root}/a.mp4", filled_video("mp4", 1))
    storage.write_bytes(str(tmp_path / "by-hand" / "a.mp4"), filled_video("mp4", 2))
    (record,) = ingest(tmp_path, [f"a,{root}/a.mp4,,covid,,"], str(tmp_path / "by-hand")).records
    assert Path(record.storage_uri).read_bytes() == filled_video("mp4", 2)


@pytest.mark.parametrize("where", ["local", "gs"])
def test_files_and_zips_are_found_and_no_host_is_asked(tmp_path: Path, host: Host, where: str, request: pytest.FixtureRequest) -> None:
    drop_in = f"{request.getfixturevalue('gs_storage')}/by-hand" if where == "gs" else str(tmp_path / "by-hand")
    for name, content in FILES.items():
        storage.write_bytes(storage.join(drop_in, name), content)
    result = ingest(tmp_path, rows_of(host), drop_in)
    assert [(record.status.value, record.reason) for record in result.records] == [("stored", "")] * 5
    assert [Path(record.storage_uri).read_bytes() for record in result.records] == CONTENTS
    assert host.requests == []


@pytest.mark.parametrize("where", ["local", "gs"])
def test_a_file_that_is_too_large_is_rejected(tmp_path: Path, where: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue("gs_storage") if where == "gs" else str(tmp_path / "by-hand")
    storage.write_bytes(storage.join(folder, "by-id.mp4"), bytes(1001))
    row = ManifestRow("by-id", "https://example.org/1.mp4", "covid", "p")
    with DropIn(folder, [row]) as drop_in:
        with pytest.raises(RejectedError, match="larger than the limit of 1e-06 GB"):
            drop_in.copy(row, tmp_path / "copy", 1000)
        assert not (tmp_path / "copy").exists()
        assert drop_in.copy(row, tmp_path / "copy", 1001)


def test_a_local_file_of_the_manifest_that_is_too_large_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "large.mp4").touch()
    os.truncate(tmp_path / "large.mp4", 2_000_000_001)
    (record,) = ingest(tmp_path, ["large,large.mp4,,covid,,"], "").records
    assert (record.status, record.reason) == (Status.REJECTED, "larger than the limit of 2 GB")


def test_a_name_that_two_rows_have_belongs_to_neither(tmp_path: Path, host: Host) -> None:
    (tmp_path / "by-hand").mkdir()
    (tmp_path / "by-hand" / "clip.mp4").write_bytes(filled_video("mp4", 1))
    (tmp_path / "by-hand" / "Core.mp4").write_bytes(filled_video("mp4", 5))
    result = ingest(tmp_path, [rows_of(host)[0], rows_of(host)[4], f"c,{host.url('/c.mp4')},,covid,,clip.mp4"], str(tmp_path / "by-hand"))
    assert [record.status for record in result.records] == [Status.MISSING, Status.STORED, Status.MISSING]


def test_of_two_files_of_one_name_the_folder_decides(tmp_path: Path, host: Host) -> None:
    (tmp_path / "by-hand").mkdir()
    files = {"Published/B lines/Confluent B lines.mp4": filled_video("mp4", 1), "Other/Confluent B lines.mp4": filled_video("mp4", 2)}
    (tmp_path / "by-hand" / "a.zip").write_bytes(
        zipped({**files, "x/Day 1.gif": filled_video("gif", 3), "y/Day 1.gif": filled_video("gif", 4)})
    )
    undecided, decided = ingest(tmp_path, rows_of(host)[1:3], str(tmp_path / "by-hand")).records
    assert (undecided.status, undecided.reason) == (Status.MISSING, "2 files of the drop-in folder are named 'Day 1.gif'")
    assert Path(decided.storage_uri).read_bytes() == filled_video("mp4", 1)


def test_unusable_files_are_rejected_with_the_reason(tmp_path: Path, host: Host) -> None:
    (tmp_path / "by-hand").mkdir()
    (tmp_path / "by-hand" / "by-id.mp4").write_bytes(b"<html>log in</html>")
    (tmp_path / "by-hand" / "b.zip").write_bytes(zipped({"../Day 1.gif": filled_video("gif")}))
    (tmp_path / "by-hand" / "broken.zip").write_bytes(b"not a zip")
    (tmp_path / "by-hand" / "Core.mp4").write_bytes(filled_video("mp4", 5))
    result = ingest(tmp_path, [rows_of(host)[0], rows_of(host)[1], rows_of(host)[4]], str(tmp_path / "by-hand"))
    assert [(record.status.value, record.reason.split(":")[0]) for record in result.records] == [
        ("rejected", "not a video"),
        ("rejected", "unsafe name in the zip file"),
        ("stored", ""),
    ]
