"""Zip files from the internet: what is dangerous in them is refused, and nothing is ever written but the one file that was asked for."""

import io
import stat
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from components.ingest import archives
from components.ingest.outcomes import MissingError, RejectedError
from tests.ingest.web import filled_video, zipped

VIDEO = filled_video("mp4")
LIMIT = 1_000_000


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "in" / "a.zip"


def extracted(archive: Path, content: bytes, name: str, max_bytes: int = LIMIT) -> bytes:
    archive.parent.mkdir(exist_ok=True)
    archive.write_bytes(content)
    target = archive.parent / "video"
    archives.extract(archive, name, target, max_bytes)
    return target.read_bytes()


def everything_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("stored", ["B lines/a.mp4", "Published/B lines/a.mp4", "Published\\B lines\\a.mp4"])
def test_a_file_is_found_whatever_folders_stand_above(archive: Path, stored: str) -> None:
    assert extracted(archive, zipped({stored: VIDEO, "Other/a.mp4": b"no"}), "B lines/a.mp4") == VIDEO


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"b.mp4": VIDEO}, "not in the zip file: 'a.mp4'"),
        ({"x/a.mp4": VIDEO, "y/a.mp4": VIDEO}, "2 files of the zip file are named 'a.mp4'"),
        ({"a.mp4/": b""}, "not in the zip file"),
    ],
)
def test_a_file_that_is_not_there_or_not_alone_is_missing(archive: Path, files: dict[str, bytes], reason: str) -> None:
    with pytest.raises(MissingError, match=reason):
        extracted(archive, zipped(files), "a.mp4")


def test_no_name_is_the_name_of_no_file(archive: Path) -> None:
    with pytest.raises(MissingError, match="not in the zip file: ''"):
        extracted(archive, zipped({".": VIDEO}), "")


def test_a_name_that_is_not_utf_8_is_damage(archive: Path) -> None:
    content = zipped({"ä.mp4": VIDEO}).replace("ä".encode(), b"\xff\xff")
    with pytest.raises(RejectedError, match="the zip file cannot be read"):
        extracted(archive, content, "a.mp4")
    assert archives.names(archive) == []


@pytest.mark.parametrize("stored", ["../../a.mp4", "/etc/a.mp4", "x/../../a.mp4", "..\\a.mp4"])
def test_a_path_that_leads_out_is_refused(archive: Path, tmp_path: Path, stored: str) -> None:
    with pytest.raises(RejectedError, match="unsafe name in the zip file"):
        extracted(archive, zipped({stored: VIDEO}), "a.mp4")
    assert everything_below(tmp_path) == ["in/a.zip"]


def test_a_symbolic_link_is_refused(archive: Path) -> None:
    buffer = io.BytesIO()
    link = zipfile.ZipInfo("a.mp4")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(link, "/etc/passwd")
    with pytest.raises(RejectedError, match="symbolic link"):
        extracted(archive, buffer.getvalue(), "a.mp4")


def test_a_bomb_is_refused_before_it_is_unpacked(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(RejectedError, match="zip bomb: it grows more than 200 times"):
        extracted(archive, zipped({"a.mp4": bytes(900_000)}), "a.mp4")
    assert everything_below(tmp_path) == ["in/a.zip"]


def test_a_bomb_that_lies_about_its_size_is_stopped(archive: Path) -> None:
    """The directory of the zip says 5000 bytes; there are 100 times as many."""
    content = bytes(range(256)) * 2000
    honest = zipped({"a.mp4": content})
    lying = honest.replace(len(content).to_bytes(4, "little"), (5000).to_bytes(4, "little"))
    assert lying != honest
    with pytest.raises(RejectedError):
        extracted(archive, lying, "a.mp4")
    assert (archive.parent / "video").stat().st_size <= 5000


def test_a_file_over_the_limit_is_refused(archive: Path) -> None:
    with pytest.raises(RejectedError, match="larger than the limit of 1e-06 GB"):
        extracted(archive, zipped({"a.mp4": VIDEO}), "a.mp4", max_bytes=1000)


def test_a_zip_in_the_zip_is_refused(archive: Path) -> None:
    with pytest.raises(RejectedError, match="an archive in the zip file"):
        extracted(archive, zipped({"a.mp4": zipped({"a.mp4": VIDEO})}), "a.mp4")


def test_too_many_files_are_refused(archive: Path) -> None:
    with pytest.raises(RejectedError, match="more than 10000 files"):
        extracted(archive, zipped({f"{number}.mp4": b"" for number in range(10_001)}), "1.mp4")


@pytest.mark.parametrize("announced", [1_000_000, 1])
def test_a_million_entries_are_refused_before_an_object_is_made_of_each(archive: Path, announced: int) -> None:
    """Their list alone takes 47 MB; whatever the zip says of their number, zipfile goes by the size of the list."""
    entry = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    num_bytes = 1_000_000 * len(entry)
    end_64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, announced, announced, num_bytes, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, num_bytes, 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    archive.parent.mkdir()
    archive.write_bytes(entry * 1_000_000 + end_64 + locator + end)
    tracemalloc.start()
    try:
        with pytest.raises(RejectedError, match="the list of files in the zip file is larger than 4 MB"):
            archives.extract(archive, "1.mp4", archive.parent / "video", LIMIT)
        assert archives.names(archive) == []
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>expired</html>", zipped({"a.mp4": VIDEO})[:-30], zipped({"a.mp4": VIDEO})[:60] + b"????" + zipped({"a.mp4": VIDEO})[64:]],
    ids=["empty", "page", "cut", "damaged"],
)
def test_a_damaged_zip_is_refused(archive: Path, content: bytes) -> None:
    with pytest.raises(RejectedError, match="the zip file cannot be read"):
        extracted(archive, content, "a.mp4")
