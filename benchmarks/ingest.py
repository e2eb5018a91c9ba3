"""How fast ingest is against a plain loop, how fast a run is that finds nothing new, and whether its memory grows.

    python -m benchmarks.ingest [--files 2000] [--bytes 300000] [--latency-ms 0]

A web server in a process of its own serves the files from loopback: one small video, filled up to the length that is asked for by a box
that no player looks into, which holds the file's number. The plain loop calls `requests.get` for one file after another and writes what
comes; ingest also checks, hashes, stores by content and writes a receipt for each. Each measurement is a process of its own, so that its
peak memory is its own.

Measured on two cores that others used too, six runs, 2000 files of 300 kB: plain loop 5.1–14.1 s, first run 5.6–7.6 s (level with the loop:
loopback has no latency to hide), second run 0.3–1.0 s; peak memory 98 MB, 93 MB with a tenth of the files, 92 MB with files 100 times as
large. 500 files with 30 ms of latency, one run: plain loop 19.6 s, first run 4.5 s, second run 0.1 s.
"""

import argparse
import http.server
import multiprocessing
import resource
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from components.core.records.video_records import Status
from components.ingest.ingest import ingest_videos
from tests.videos import numbered_frames, write_video

BLOCK = 1 << 16


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers /<number>-<bytes>.mp4 with a video of that many bytes, which no other number has."""

    protocol_version = "HTTP/1.1"
    latency_s = 0.0
    video = b""

    def do_GET(self) -> None:
        """Sends the bytes."""
        name = self.path.strip("/").removesuffix(".mp4")
        num_bytes = int(name.split("-")[1])
        time.sleep(self.latency_s)
        # A box of ISO/IEC 14496-12: its length, its type, anything.
        start = self.video + struct.pack(">I4s", num_bytes - len(self.video), b"free") + name.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(num_bytes))
        self.end_headers()
        self.wfile.write(start)
        for position in range(len(start), num_bytes, BLOCK):
            self.wfile.write(bytes(min(BLOCK, num_bytes - position)))

    def log_message(self, *_: object) -> None:
        """Keeps quiet."""


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--bytes", type=int, default=300_000)
    parser.add_argument("--latency-ms", type=float, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _Handler.video = write_video(Path(folder) / "video.mp4", numbered_frames(14)).read_bytes()
    _Handler.latency_s = options.latency_ms / 1000
    server = _Server(("127.0.0.1", 0), _Handler)
    process = multiprocessing.get_context("fork").Process(target=server.serve_forever, daemon=True)
    process.start()
    base = f"http://127.0.0.1:{server.server_port}"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        many = _manifest(root / "many.csv", base, options.files, options.bytes)
        few = _manifest(root / "few.csv", base, options.files // 10, options.bytes)
        large = _manifest(root / "large.csv", base, 4, 100 * options.bytes)
        _report("plain loop of requests.get", _plain_loop, many, root / "plain")
        _report("ingest, first run", _ingest, many, root / "storage")
        _report("ingest, second run", _ingest, many, root / "storage")
        _report("ingest, a tenth of the files", _ingest, few, root / "few")
        _report("ingest, 4 files 100 times as large", _ingest, large, root / "large")
    process.terminate()


def _manifest(path: Path, base: str, num_files: int, num_bytes: int) -> Path:
    lines = [f"v{number},{base}/{number}-{num_bytes}.mp4,covid," for number in range(num_files)]
    path.write_text("\n".join(["video_id,uri,label,group", *lines]))
    return path


def _plain_loop(manifest: str, folder: str) -> None:
    Path(folder).mkdir()
    for line in Path(manifest).read_text().splitlines()[1:]:
        video_id, uri, *_ = line.split(",")
        (Path(folder) / f"{video_id}.mp4").write_bytes(requests.get(uri, timeout=60).content)


def _ingest(manifest: str, folder: str) -> None:
    not_stored = [record.reason for record in ingest_videos(manifest, folder).records if record.status is not Status.STORED]
    assert not not_stored, not_stored[0]


def _report(title: str, function: Callable[[str, str], Any], manifest: Path, folder: Path) -> None:
    queue: Any = multiprocessing.get_context("spawn").Queue()
    process = multiprocessing.get_context("spawn").Process(target=_measured, args=(queue, function, str(manifest), str(folder)))
    process.start()
    seconds, megabytes = queue.get()
    process.join()
    print(f"{title:<36} {seconds:7.1f} s   peak {megabytes:5.0f} MB", flush=True)


def _measured(queue: Any, function: Callable[[str, str], Any], manifest: str, folder: str) -> None:
    start = time.perf_counter()
    function(manifest, folder)
    queue.put((time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


if __name__ == "__main__":
    main()
