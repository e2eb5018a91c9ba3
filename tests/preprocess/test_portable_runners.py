"""Preprocess on portable runners: a job server and worker processes that share nothing but an object store."""

import dataclasses
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components.core import storage
from components.core.records import clips
from components.core.records.video_records import write_videos
from components.preprocess.preprocess import build_dataset
from tests.preprocess.test_preprocess import SETTINGS, build, content, stored
from tests.videos import CODECS, numbered_frames

ROOT = Path(__file__).parents[2]
Start = Callable[[list[str], int], None]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a server in a folder of its own and waits until it listens on its port."""
    servers: list[subprocess.Popen[bytes]] = []

    def start_server(command: list[str], port: int) -> None:
        folder = tmp_path / f"server-{port}"
        folder.mkdir()
        with (folder / "log").open("wb") as log:
            servers.append(subprocess.Popen(command, cwd=folder, stdout=log, stderr=log))
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            assert servers[-1].poll() is None, (folder / "log").read_text()
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.2)
        raise TimeoutError(f"{command[0]} does not listen: {(folder / 'log').read_text()}")

    yield start_server
    for server in servers:
        server.terminate()
        server.wait(30)


def python_job_server(port: int) -> list[str]:
    return [sys.executable, "-m", "apache_beam.runners.portability.local_job_service_main", f"--port={port}"]


def prism_job_server(port: int) -> list[str]:
    prism = shutil.which("prism")
    if not prism:
        pytest.skip("Beam's Prism runner is not on the PATH; `make test-prism` builds it")
    return [prism, f"-job_port={port}", "-serve_http=false"]


@pytest.mark.slow
@pytest.mark.parametrize("job_server", [python_job_server, prism_job_server])
def test_workers_that_share_only_storage_write_the_bytes_of_the_direct_runner(
    tmp_path: Path, s3_storage: str, monkeypatch: pytest.MonkeyPatch, start: Start, job_server: Callable[[int], list[str]]
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    # The pool starts workers as `python`.
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    job_port, pool_port = free_port(), free_port()
    start(job_server(job_port), job_port)
    start([sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={pool_port}"], pool_port)
    local, remote = [], []
    for n, name in enumerate(clips.CLASS_NAMES * 4):
        record = stored(tmp_path, f"{name}-{n}", name, numbered_frames(20 + n), sorted(CODECS)[n % len(CODECS)])
        uri = storage.join(s3_storage, "videos", Path(record.storage_uri).name)
        storage.put_file(Path(record.storage_uri), uri)
        local.append(record)
        remote.append(dataclasses.replace(record, storage_uri=uri))
    expected = [build(tmp_path / f"direct-{n}", local, num_workers=n) for n in (1, 2)]
    options = (
        f"--runner=PortableRunner --job_endpoint=127.0.0.1:{job_port} --environment_type=EXTERNAL "
        f"--environment_config=127.0.0.1:{pool_port} --sdk_worker_parallelism=2"
    )
    write_videos(tmp_path / "videos.jsonl", remote)
    built = build_dataset(tmp_path / "videos.jsonl", s3_storage, tmp_path / "dataset", SETTINGS, 1, options)
    assert content(built.path) == content(expected[0].path) == content(expected[1].path)
    assert not storage.exists(storage.join(s3_storage, "work"))
