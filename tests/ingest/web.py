"""Web servers on real sockets that play the hosts of videos: pages, zips, redirects, ranges, logins and faults."""

import contextlib
import dataclasses
import functools
import http.server
import io
import socket
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path

from tests.videos import numbered_frames, write_video


@dataclasses.dataclass
class Page:
    """What a path gives.

    Attributes:
        body: the whole content.
        status: HTTP status.
        headers: more headers; `ETag` makes the page one that can be continued.
        break_after: bytes after which the connection is reset.
        announced: what Content-Length says instead of the truth.
        chunk_pause_s: pause after every 64 kB.
        heeds_if_range: whether a part is given of the right file only.
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    break_after: int | None = None
    announced: int | None = None
    chunk_pause_s: float = 0
    heeds_if_range: bool = True


@dataclasses.dataclass(frozen=True)
class Request:
    """A request as it came."""

    path: str
    headers: Message
    time_s: float


Route = Page | Callable[[Request], Page]


class Host(http.server.ThreadingHTTPServer):
    """A host; `routes` may be changed while it runs."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, routes: dict[str, Route]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.routes = routes
        self.requests: list[Request] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    def handle_error(self, *_: object) -> None:
        """A client that goes away is none of the host's business."""


@contextlib.contextmanager
def serving(routes: dict[str, Route]) -> Iterator[Host]:
    host = Host(routes)
    threading.Thread(target=host.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield host
    finally:
        host.shutdown()
        host.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Host
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        request = Request(self.path, self.headers, time.monotonic())
        self.server.requests.append(request)
        route = self.server.routes.get(self.path, Page(b"gone", 404))
        page = route(request) if callable(route) else route
        etag = page.headers.get("ETag", "")
        if etag and self.headers.get("If-None-Match") == etag:
            page = Page(status=304)
        start = self._start(page, etag)
        self.send_response(206 if start else page.status)
        for name, value in page.headers.items():
            self.send_header(name, value)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(page.body) - 1}/{len(page.body)}")
        self.send_header("Content-Length", str(len(page.body) - start if page.announced is None else page.announced))
        self.end_headers()
        self._send(page, start)

    def _start(self, page: Page, etag: str) -> int:
        wanted = self.headers.get("Range", "")
        if page.status == 200 and etag and wanted and (not page.heeds_if_range or self.headers.get("If-Range", etag) == etag):
            return int(wanted.removeprefix("bytes=").rstrip("-"))
        return 0

    def _send(self, page: Page, start: int) -> None:
        end = len(page.body) if page.break_after is None else start + page.break_after
        for position in range(start, min(end, len(page.body)), 1 << 16):
            self.wfile.write(page.body[position : min(position + (1 << 16), end)])
            time.sleep(page.chunk_pause_s)
        if page.break_after is not None or page.announced is not None:
            self.close_connection = True

    def log_message(self, *_: object) -> None: ...


def zipped(files: dict[str, bytes]) -> bytes:
    """Returns a zip file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def filled_video(kind: str, seed: int = 0, num_bytes: int = 2000) -> bytes:
    """Returns a tiny video, filled up with bytes that no decoder looks at; of about `num_bytes`, and another one for each seed."""
    video = _tiny_video(kind)
    noise = bytes((position * 31 + seed * 7 + (position >> 8) * seed) % 251 for position in range(4096))
    length = max(16, num_bytes - len(video))
    # A box of free space (ISO 14496-12); the other kinds end before it.
    filling = length.to_bytes(4, "big") + b"free" + seed.to_bytes(4, "big") + noise * (length // len(noise) + 1)
    return video + filling[:length]


@functools.cache
def _tiny_video(kind: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return write_video(Path(folder) / f"v.{kind}", numbered_frames(2, 32, 32)).read_bytes()


@contextlib.contextmanager
def dead_host() -> Iterator[tuple[str, list[float]]]:
    """Plays a host that closes every connection without an answer; gives its address, and the times at which it was asked."""
    asked: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def close_all() -> None:
            with contextlib.suppress(OSError):  # the block is over
                while True:
                    server.accept()[0].close()
                    asked.append(time.monotonic())

        threading.Thread(target=close_all, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}", asked
        server.shutdown(socket.SHUT_RDWR)
