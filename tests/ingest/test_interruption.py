"""A run that is killed again and again ends with exactly the objects of an undisturbed run, and continues files that it had begun."""

import hashlib
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from components.core.records.video_records import Status
from components.ingest.ingest import ingest_videos
from tests.ingest.web import Page, Route, filled_video, serving, zipped

pytestmark = pytest.mark.slow
NUM_FILES = 50
NUM_KILLS = 20
VIDEOS = {f"/{number}.mp4": filled_video("mp4", number, 300_000) for number in range(NUM_FILES)}
MEMBERS = {f"{number}.mp4": filled_video("mp4", 1000 + number, 200_000) for number in range(4)}
ROUTES: dict[str, Route] = {
    **{path: Page(content, headers={"ETag": f'"{path}"'}, chunk_pause_s=0.1) for path, content in VIDEOS.items()},
    "/transfer": Page(b'<a href="all.zip">'),
    "/all.zip": Page(zipped(MEMBERS), headers={"ETag": '"z"'}, chunk_pause_s=0.1),
}


def manifest_of(folder: Path, url: Callable[[str], str]) -> str:
    lines = [f"v{path},{url(path)},,covid," for path in VIDEOS]
    lines += [f"z{name},{url('/transfer')}#{name},transfer-page,normal," for name in MEMBERS]
    (folder / "manifest.csv").write_text("\n".join(["video_id,uri,via,label,group", *lines]))
    return str(folder / "manifest.csv")


def final_names(storage: Path) -> set[str]:
    return {path.name for path in (storage / "videos").glob("*.*") if path.is_file() and not path.name.startswith(".")}


def killed(context: ForkServerContext, manifest: str, storage: str, after_s: float) -> bool:
    """Runs ingest in a process of its own, and tells whether the kill came before its end."""
    process = context.Process(target=ingest_videos, args=(manifest, storage))
    process.start()
    process.join(after_s)
    alive = process.is_alive()
    if alive and process.pid:
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    return alive


def _warm_up(context: ForkServerContext) -> None:
    """Lets the server import what its processes need."""
    process = context.Process(target=time.sleep, args=(0,))
    process.start()
    process.join()


def test_twenty_kills_change_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["components.ingest.ingest"])
    _warm_up(context)
    storage, random_source = tmp_path / "storage", random.Random(7)
    with serving(ROUTES) as host:
        manifest = manifest_of(tmp_path, host.url)
        num_killed = 0
        for _ in range(NUM_KILLS):
            num_killed += killed(context, manifest, str(storage), random_source.uniform(0.1, 0.5))
            for name in final_names(storage):
                assert hashlib.sha256((storage / "videos" / name).read_bytes()).hexdigest() == name.removesuffix(".mp4")
        before_last = time.monotonic()
        result = ingest_videos(manifest, str(storage))
    assert num_killed == NUM_KILLS
    assert result.count(Status.STORED) == NUM_FILES + len(MEMBERS)
    expected = {f"{hashlib.sha256(content).hexdigest()}.mp4" for content in (*VIDEOS.values(), *MEMBERS.values())}
    assert final_names(storage) == expected
    assert len(list((storage / "videos" / "receipts").glob("[!.]*.json"))) == len(expected)
    continued = [request for request in host.requests if request.headers["Range"] and request.time_s < before_last]
    assert len(continued) > 3
