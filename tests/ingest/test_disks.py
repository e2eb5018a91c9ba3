"""Disks of this machine that fail, and names that they allow."""

import json
import logging
import os
import threading
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components.core.errors import DiskError
from components.core.records.video_records import Status
from components.ingest.ingest import IngestResult, Options, ingest_videos
from tests.disks import Disk
from tests.ingest.web import Host, Page, filled_video, serving, zipped

LARGE_BYTES = 300_000
NUM_VIDEOS = 6
MakeDisk = Callable[..., Disk]


@pytest.fixture
def host() -> Iterator[Host]:
    with serving({}) as server:
        yield server


@pytest.fixture(params=["local files", "host", "loose drop-in", "zipped drop-in", "transfer page"])
def source(request: pytest.FixtureRequest, host: Host, tmp_path: Path) -> tuple[list[str], Options]:
    """Rows for videos of each kind of source, and the options to have them."""
    videos = {f"v{number}.mp4": filled_video("mp4", number, LARGE_BYTES) for number in range(NUM_VIDEOS)}
    uris = {name: host.url(f"/{name}") for name in videos}
    drop_in = tmp_path / "drop-in"
    drop_in.mkdir()
    if request.param == "local files":
        uris = {name: str(tmp_path / name) for name in videos}
    if request.param in ("local files", "loose drop-in"):
        for name, content in videos.items():
            ((drop_in if "drop-in" in request.param else tmp_path) / name).write_bytes(content)
    elif request.param == "host":
        host.routes |= {f"/{name}": Page(content, headers={"ETag": '"a"'}) for name, content in videos.items()}
    elif request.param == "zipped drop-in":
        (drop_in / "all.zip").write_bytes(zipped(videos))
    elif request.param == "transfer page":
        host.routes |= {"/all": Page(b'<a href="/all.zip">'), "/all.zip": Page(zipped(videos))}
        rows = [f"v{number},{host.url('/all')}#v{number}.mp4,transfer-page,covid," for number in range(NUM_VIDEOS)]
        return rows, Options()
    return [f"{Path(name).stem},{uri},,covid," for name, uri in uris.items()], Options(drop_in=str(drop_in))


def ingest(folder: Path, rows: list[str], storage_uri: Path, options: Options | None = None) -> IngestResult:
    (folder / "manifest.csv").write_text("\n".join(["video_id,uri,via,label,group", *rows]) + "\n", encoding="utf-8")
    return ingest_videos(str(folder / "manifest.csv"), str(storage_uri), options)


def test_a_full_disk_ends_the_step_blames_no_video_and_keeps_nothing_unfinished(
    tmp_path: Path, make_disk: MakeDisk, source: tuple[list[str], Options], caplog: pytest.LogCaptureFixture
) -> None:
    rows, options = source
    disk = make_disk(8 << 20)
    disk.fill(left_bytes=200_000)
    with caplog.at_level(logging.INFO), pytest.raises(DiskError, match=f"^the disk that holds '{disk.path}/storage.*' is full: free some "):
        ingest(tmp_path, rows, disk.path / "storage", options)
    assert disk.files() == []
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING and "missing" in record.getMessage()]
    disk.free()
    assert ingest(tmp_path, rows, disk.path / "storage", options).count(Status.STORED) == NUM_VIDEOS


def test_a_disk_that_fills_up_keeps_the_videos_that_were_stored(tmp_path: Path, make_disk: MakeDisk, host: Host) -> None:
    disk = make_disk(8 << 20)
    host.routes |= {f"/{number}.mp4": Page(filled_video("mp4", number, LARGE_BYTES)) for number in range(NUM_VIDEOS)}
    rows = [f"v{number},{host.url(f'/{number}.mp4')},,covid," for number in range(NUM_VIDEOS)]
    ingest(tmp_path, rows[:2], disk.path)
    disk.fill(left_bytes=200_000)
    with pytest.raises(DiskError):
        ingest(tmp_path, rows, disk.path)
    disk.free()
    host.requests.clear()
    assert ingest(tmp_path, rows, disk.path).count(Status.STORED) == NUM_VIDEOS
    assert not {"/0.mp4", "/1.mp4"} & set(host.paths())


def test_a_full_disk_ends_the_step_while_a_slow_download_is_under_way(tmp_path: Path, make_disk: MakeDisk, host: Host) -> None:
    disk = make_disk(8 << 20)
    disk.fill(left_bytes=300_000)
    host.routes |= {"/slow.mp4": Page(filled_video("mp4", 1, LARGE_BYTES), headers={"ETag": '"a"'}, chunk_pause_s=60)}
    (tmp_path / "large.mp4").write_bytes(filled_video("mp4", 2, 2 * LARGE_BYTES))
    errors: list[BaseException] = []

    def run() -> None:
        try:
            ingest(tmp_path, [f"slow,{host.url('/slow.mp4')},,covid,", "large,large.mp4,,covid,"], disk.path)
        except DiskError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert len(errors) == 1
    assert disk.files() == []


def test_a_read_only_storage_is_told_before_any_source_is_asked(tmp_path: Path, make_disk: MakeDisk, host: Host) -> None:
    disk = make_disk(1 << 20)
    disk.remount("ro")
    with pytest.raises(DiskError, match=r"is read-only: make it writable, or give another place\.$"):
        ingest(tmp_path, [f"a,{host.url('/a.mp4')},,covid,"], disk.path)
    assert host.requests == []


def test_a_source_that_cannot_be_read_is_that_videos_own(tmp_path: Path) -> None:
    """Reading the first byte of a process's memory is an input/output error (proc(5)), whoever asks."""
    (tmp_path / "good.mp4").write_bytes(filled_video("mp4"))
    bad, good = ingest(tmp_path, ["bad,/proc/self/mem,,covid,", "good,good.mp4,,covid,"], tmp_path / "storage").records
    assert (bad.status, bad.reason) == (Status.MISSING, "cannot be read: Input/output error")
    assert good.status is Status.STORED


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_source_that_may_not_be_read_is_that_videos_own(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(filled_video("mp4"))
    (tmp_path / "a.mp4").chmod(0)
    (record,) = ingest(tmp_path, ["a,a.mp4,,covid,"], tmp_path / "storage").records
    assert (record.status, record.reason) == (Status.MISSING, "cannot be read: Permission denied")


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_storage_that_may_not_be_written_ends_the_step(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(filled_video("mp4"))
    partial = tmp_path / "storage" / "videos" / ".partial"
    partial.mkdir(parents=True)
    partial.chmod(0o500)
    with pytest.raises(DiskError, match="may not be written"):
        ingest(tmp_path, ["a,a.mp4,,covid,"], tmp_path / "storage")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("place", ["local", "drop-in", "zip"])
def test_a_name_is_found_in_either_normal_form(tmp_path: Path, host: Host, form: str, place: str) -> None:
    other = "NFD" if form == "NFC" else "NFC"
    named, there = (unicodedata.normalize(each, "José/Müller.mp4") for each in (form, other))
    folder = tmp_path / "drop-in"
    (folder / there).parent.mkdir(parents=True)
    if place == "zip":
        (folder / "all.zip").write_bytes(zipped({there: filled_video("mp4")}))
    else:
        (folder / there).write_bytes(filled_video("mp4"))
    uri = f"drop-in/{named}" if place == "local" else host.url("/gone.mp4")
    rows = [f"{Path(named).stem},{uri},,covid,"]
    for _ in range(2):
        (record,) = ingest(tmp_path, rows, tmp_path / "storage", Options(drop_in=str(folder))).records
        assert (record.status, record.reason) == (Status.STORED, "")


def test_a_folder_whose_name_is_not_utf8_is_carried_through(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/M\xfcller"
    folder = Path(os.fsdecode(name))
    folder.mkdir()
    (folder / "a.mp4").write_bytes(filled_video("mp4"))
    for _ in range(2):
        result = ingest(folder, ["a,a.mp4,,covid,"], folder / "storage")
        assert result.count(Status.STORED) == 1
    result.write(tmp_path / "videos.jsonl", tmp_path / "summary.md")
    record = json.loads((tmp_path / "videos.jsonl").read_bytes().decode("utf-8"))
    assert os.fsencode(record["uri"]) == name + b"/a.mp4"
    with open(os.fsencode(record["storage_uri"]), "rb") as file:
        assert file.read() == filled_video("mp4")
