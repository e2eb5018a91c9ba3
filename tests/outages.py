"""A proxy in front of an object store's emulator, which can be stopped, and spoils requests as real stores and networks do."""

import collections
import contextlib
import http.client
import http.server
import socket
import struct
import threading
import time
from urllib.parse import urlsplit

# What becomes of a request, beside an HTTP status that is answered.
RESET, LOST_ANSWER, CUT_BODY, SLOW = "reset", "lost answer", "cut body", "slow"
SLOW_S = 0.8


class Proxy:
    """Forwards HTTP requests.

    Attributes:
        url: where it listens, also after it was stopped and started again.
        faults: what becomes of the next requests, first come first served; None lets one through.
        requests: method and path of every request that came.
    """

    def __init__(self, upstream_url: str) -> None:
        self.upstream = urlsplit(upstream_url).netloc
        self.faults: collections.deque[int | str | None] = collections.deque()
        self.requests: list[str] = []
        self._port = 0
        self._stop_at: tuple[int, float | None] | None = None
        self._lock = threading.Lock()
        self.start()
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Lets connections in."""
        self._server = _Server(("127.0.0.1", self._port), _Handler)
        self._server.proxy = self
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Breaks all connections and refuses new ones."""
        self._server.shutdown()
        self._server.server_close()
        for connection in tuple(self._server.connections):
            _reset(connection)

    def stop_for(self, seconds: float) -> None:
        """Stops it, and starts it again after a while."""
        self.stop()
        threading.Timer(seconds, self.start).start()

    def stop_after(self, num_requests: int, seconds: float | None = None) -> None:
        """Lets so many more requests through before it stops, for a while or until it is started."""
        self._stop_at = len(self.requests) + num_requests, seconds

    def take(self, request: str) -> int | str | None:
        """Notes a request and returns what becomes of it."""
        with self._lock:
            self.requests.append(request)
            if self._stop_at and len(self.requests) > self._stop_at[0]:
                (_, seconds), self._stop_at = self._stop_at, None
                self.stop() if seconds is None else self.stop_for(seconds)
            return self.faults.popleft() if self.faults else None


class _Server(http.server.ThreadingHTTPServer):
    proxy: Proxy
    allow_reuse_address = True

    def __init__(self, *arguments: object) -> None:
        self.connections: set[socket.socket] = set()
        super().__init__(*arguments)  # type: ignore[arg-type]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # it holds a body back for 40 ms

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            super().handle()

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        proxy = self.server.proxy
        fault = proxy.take(f"{self.command} {self.path}")
        if isinstance(fault, int):
            self._answer(fault, {}, b"" if self.command == "HEAD" else b"<Error><Code>Played</Code></Error>")
            return
        if fault == RESET:
            _reset(self.connection)
            self.close_connection = True
            return
        if fault == SLOW:
            time.sleep(SLOW_S)
        upstream = http.client.HTTPConnection(proxy.upstream)
        upstream.request(self.command, self.path, body, dict(self.headers))
        response = upstream.getresponse()
        content = response.read()
        if fault == LOST_ANSWER:
            _reset(self.connection)
            self.close_connection = True
            return
        self._answer(response.status, dict(response.getheaders()), content, cut=fault == CUT_BODY)
        upstream.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = _forward

    def _answer(self, status: int, headers: dict[str, str], content: bytes, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

    def log_message(self, *_: object) -> None: ...


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()
