"""Zip files that were damaged on their way: each is a reason for its rows, or gives the very video; never a traceback or a hang."""

import io
import random
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from components.core.records.video_records import Status
from components.ingest.ingest import Options, ingest_videos
from tests.ingest.web import Page, Route, filled_video, serving

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
LIMIT_S = 60


def archive(name: str, content: bytes, method: int) -> bytes:
    """Returns a zip file with a video and a text beside it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        file.writestr("notes/readme.txt", "not a video " * 20)
        file.writestr(f"videos/{name}", content)
    return buffer.getvalue()


def flipped(data: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 20))):
        # Every other one in the directory at the end, where the offsets and sizes are.
        start = rng.choice((0, max(0, len(data) - 300)))
        damaged[rng.randrange(start, len(data))] ^= rng.randrange(1, 256)
    return bytes(damaged)


def cut(data: bytes, rng: random.Random) -> bytes:
    start, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return rng.choice((data[:end], data[start:], data[:start] + data[end:]))


def doubled(data: bytes, rng: random.Random) -> bytes:
    start, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return rng.choice((data + data, data[:end] + data[start:]))


DAMAGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (flipped, cut, doubled)


@pytest.mark.parametrize("num_zips", [200, pytest.param(2000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("way", ["drop-in", "transfer page"])
def test_damaged_zips_are_told_row_by_row(tmp_path: Path, num_zips: int, way: str) -> None:
    rng = random.Random(num_zips)
    videos = {f"v{number}.mp4": filled_video("mp4", number, 2000) for number in range(num_zips)}
    zips = {
        name: DAMAGES[number % len(DAMAGES)](archive(name, content, METHODS[number // len(DAMAGES) % len(METHODS)]), rng)
        for number, (name, content) in enumerate(videos.items())
    }
    (tmp_path / "drop-in").mkdir()
    routes: dict[str, Route] = {}
    for name, content in zips.items():
        if way == "drop-in":
            (tmp_path / "drop-in" / f"{name}.zip").write_bytes(content)
        else:
            routes |= {f"/{name}": Page(f'<a href="/{name}.zip">'.encode()), f"/{name}.zip": Page(content)}
    with serving(routes) as host:
        rows = [f"{Path(name).stem},{host.url(f'/{name}')}#videos/{name},transfer-page,covid," for name in videos]
        (tmp_path / "manifest.csv").write_text("\n".join(["video_id,uri,via,label,group", *rows]) + "\n")
        start_s = time.monotonic()
        result = ingest_videos(str(tmp_path / "manifest.csv"), str(tmp_path / "storage"), Options(drop_in=str(tmp_path / "drop-in")))
    assert time.monotonic() - start_s < LIMIT_S * num_zips / 200
    for record, content in zip(result.records, videos.values(), strict=True):
        if record.status is Status.STORED:
            assert Path(record.storage_uri).read_bytes() == content
        else:
            assert record.reason
    statuses = {record.status for record in result.records}
    assert statuses == {Status.STORED, Status.MISSING, Status.REJECTED}
    assert [path.name for path in (tmp_path / "storage" / "videos" / ".partial").iterdir()] == ["lock"]
