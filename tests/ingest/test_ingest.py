import dataclasses
import hashlib
import http.server
import json
import os
import pty
import subprocess
import sys
import termios
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from kfp import dsl

from components.core.errors import DataError, StorageError, UsageError
from components.core.records.video_records import Status, read_videos
from components.ingest.component import ingest as step
from components.ingest.ingest import IngestResult, ingest_videos
from tests.videos import numbered_frames, write_video


class Host(http.server.ThreadingHTTPServer):
    """A web server on a real socket that counts requests and can misbehave by path."""

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.requests: Counter[str] = Counter()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Host

    def do_GET(self) -> None:
        name = self.path.strip("/")
        self.server.requests[name] += 1
        if name == "gone.mp4":
            self.send_error(404)
        elif name == "busy-once.mp4" and self.server.requests[name] == 1:
            self.send_error(503)
        elif name == "always-busy.mp4":
            self.send_error(500)
        else:
            body = b"<!doctype html><p>please log in</p>" if name == "login.mp4" else self.server.content
            self.send_response(200)
            self.send_header("Content-Length", str(len(body) + (100 if name == "truncated.mp4" else 0)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "videos" / "a (1)+.mp4", numbered_frames(3))


@pytest.fixture
def host(video: Path) -> Iterator[Host]:
    server = Host(video.read_bytes())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def ingest(folder: Path, uris: list[str], storage: str | None = None, extra: str = "") -> IngestResult:
    lines = [f"v{number},{uri},covid,p{number}{extra}" for number, uri in enumerate(uris)]
    header = "video_id,uri,label,group" + (",sha256" if extra else "")
    (folder / "manifest.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return ingest_videos(str(folder / "manifest.csv"), storage or str(folder / "storage"))


def stored_names(folder: Path) -> set[str]:
    return {path.name for path in (folder / "storage" / "videos").iterdir() if path.is_file()}


def test_a_local_video_is_stored_by_its_content(tmp_path: Path, video: Path) -> None:
    result = ingest(tmp_path, ["videos/a (1)+.mp4"])
    sha256 = hashlib.sha256(video.read_bytes()).hexdigest()
    (record,) = result.records
    assert (record.status, record.sha256, record.num_bytes) == (Status.STORED, sha256, video.stat().st_size)
    assert Path(record.storage_uri).read_bytes() == video.read_bytes()
    assert stored_names(tmp_path) == {f"{sha256}.mp4"}


def test_the_extension_follows_the_content_not_the_name(tmp_path: Path) -> None:
    gif = write_video(tmp_path / "x.gif", numbered_frames(3))
    gif.rename(tmp_path / "x.mp4")
    (record,) = ingest(tmp_path, ["x.mp4"]).records
    assert record.storage_uri.endswith(".gif")


def test_equal_bytes_share_one_object(tmp_path: Path, video: Path) -> None:
    (tmp_path / "copy.mp4").write_bytes(video.read_bytes())
    result = ingest(tmp_path, [str(video), "copy.mp4"])
    assert len({record.storage_uri for record in result.records}) == 1
    assert result.num_new_objects == len(stored_names(tmp_path)) == 1


@pytest.mark.parametrize("where", ["local", "gs"])
def test_the_second_run_fetches_nothing_and_writes_the_same_bytes(
    tmp_path: Path, host: Host, video: Path, where: str, request: pytest.FixtureRequest
) -> None:
    storage = request.getfixturevalue("gs_storage") if where == "gs" else str(tmp_path / "storage")
    uris = [host.url("a.mp4"), str(video)]
    first, second = ingest(tmp_path, uris, storage), ingest(tmp_path, uris, storage)
    for number, result in enumerate((first, second)):
        result.write(tmp_path / f"{number}.jsonl", tmp_path / f"{number}.md")
    assert (tmp_path / "0.jsonl").read_bytes() == (tmp_path / "1.jsonl").read_bytes()
    assert (first.num_new_objects, second.num_new_objects) == (1, 0)
    assert host.requests["a.mp4"] == 1
    assert read_videos(tmp_path / "0.jsonl") == first.records


def test_the_list_of_videos_lies_in_the_storage_under_the_name_of_its_content(tmp_path: Path, host: Host, video: Path) -> None:
    uris = [host.url("a.mp4"), host.url("gone.mp4"), str(video), "absent.mp4"]
    first, second = ingest(tmp_path, uris), ingest(tmp_path, uris)
    assert first.videos_uri == second.videos_uri
    content = Path(first.videos_uri).read_bytes()
    assert Path(first.videos_uri) == tmp_path / "storage" / "videos" / "lists" / f"{hashlib.sha256(content).hexdigest()}.jsonl"
    assert read_videos(first.videos_uri) == [dataclasses.replace(record, fetched_at="") for record in first.records]

    for receipt in (tmp_path / "storage" / "videos" / "receipts").iterdir():
        fields = json.loads(receipt.read_text())
        receipt.write_text(json.dumps({**fields, "fetched_at": "2001-01-01T00:00:00+00:00"}))
    assert ingest(tmp_path, uris).videos_uri == first.videos_uri, "fetched at another time, the same videos"

    more = ingest(tmp_path, [*uris, "another.mp4"])
    assert more.videos_uri != first.videos_uri
    assert Path(first.videos_uri).read_bytes() == content


def test_a_local_file_that_changed_is_stored_anew(tmp_path: Path, video: Path) -> None:
    before = ingest(tmp_path, [str(video)]).records[0]
    write_video(video, numbered_frames(4))
    after = ingest(tmp_path, [str(video)]).records[0]
    assert after.sha256 == hashlib.sha256(video.read_bytes()).hexdigest() != before.sha256
    assert len(stored_names(tmp_path)) == 2


def test_what_cannot_be_had_is_counted_with_its_reason_and_the_run_goes_on(tmp_path: Path, host: Host, video: Path) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("not a video")
    names = ["gone.mp4", "login.mp4", "truncated.mp4", "always-busy.mp4"]
    uris = [*(host.url(name) for name in names), "empty.mp4", "text.mp4", "absent.mp4", str(tmp_path), str(video)]
    result = ingest(tmp_path, uris)
    assert [(record.status.value, record.reason.split(" (")[0]) for record in result.records] == [
        ("missing", "HTTP status 404"),
        ("rejected", "not a video: the content is a web page"),
        ("missing", "connection failed"),
        ("missing", "HTTP status 500, 4 times"),
        ("rejected", "the file is empty"),
        ("rejected", "not a video: the content is of no known type"),
        ("missing", "file not found"),
        ("missing", "cannot be read: Is a directory"),
        ("stored", ""),
    ]
    assert len(stored_names(tmp_path)) == 1
    assert result.metrics() == {
        "num_stored": 1,
        "num_missing": 5,
        "num_rejected": 3,
        "num_skipped": 0,
        "num_new_objects": 1,
        "num_bytes": video.stat().st_size,
    }
    result.write(tmp_path / "videos.jsonl", tmp_path / "summary.md")
    summary = (tmp_path / "summary.md").read_text()
    assert "| (not stated) | 9 | 1 | 5 | 3 |" in summary
    assert "| v0 | missing | HTTP status 404 |" in summary


def test_a_file_that_cannot_even_be_looked_up_does_not_stop_the_run(tmp_path: Path, video: Path) -> None:
    unreachable, good = ingest(tmp_path, [f"{'n' * 300}.mp4", str(video)]).records
    assert (unreachable.status, good.status) == (Status.MISSING, Status.STORED)
    assert "File name too long" in unreachable.reason


def test_a_stored_file_that_cannot_be_read_any_more_stays(tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> str:
        raise PermissionError

    before = ingest(tmp_path, [str(video)]).records
    monkeypatch.setattr("components.ingest.ingest.sha256_of", refuse)
    assert ingest(tmp_path, [str(video)]).records == before


@pytest.mark.parametrize("content", ["", "[]", '{"sha256": "0"}'])
def test_a_broken_receipt_is_an_error_that_names_it(tmp_path: Path, video: Path, content: str) -> None:
    ingest(tmp_path, [str(video)])
    (receipt,) = (tmp_path / "storage" / "videos" / "receipts").iterdir()
    receipt.write_text(content)
    with pytest.raises(DataError, match=f"{receipt.name}' is not the receipt of a video .*; delete it"):
        ingest(tmp_path, [str(video)])


def test_a_server_that_is_busy_once_is_asked_again(tmp_path: Path, host: Host) -> None:
    assert ingest(tmp_path, [host.url("busy-once.mp4")]).records[0].status is Status.STORED
    assert host.requests["busy-once.mp4"] == 2


def test_another_content_than_the_manifest_expects_is_rejected_and_not_stored(tmp_path: Path, video: Path) -> None:
    (record,) = ingest(tmp_path, [str(video)], extra=",00FF").records
    assert record.status is Status.REJECTED
    assert "the manifest says 00ff" in record.reason
    assert not list((tmp_path / "storage").rglob("*.mp4"))


def test_a_run_without_any_video_fails_and_leaves_the_reasons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "manifest.csv").write_text("video_id,uri,label,group\na,absent.mp4,covid,\nb,lost.mp4,covid,\n")
    with pytest.raises(SystemExit):
        step.python_func(
            manifest=str(tmp_path / "manifest.csv"),
            storage=str(tmp_path / "storage"),
            videos=dsl.Dataset(uri=str(tmp_path / "videos")),
            summary=dsl.Markdown(uri=str(tmp_path / "summary")),
            metrics=dsl.Metrics(),
            videos_uri=str(tmp_path / "videos_uri"),
        )
    assert "none of the 2 videos could be stored; the first one: file not found" in capsys.readouterr().err
    assert [record.reason for record in read_videos(tmp_path / "videos")] == ["file not found"] * 2
    assert "| b | missing | file not found |" in (tmp_path / "summary").read_text()


def test_bad_usage_stops_before_work(tmp_path: Path, video: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        ingest_videos(str(tmp_path / "absent.csv"), str(tmp_path / "storage"))
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        ingest(tmp_path, [str(video)], storage=str(tmp_path / "file" / "storage"))


@pytest.mark.slow
@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_a_bar_in_a_terminal_and_lines_in_a_log(tmp_path: Path, terminal: bool) -> None:
    lines = [f"v{number},{write_video(tmp_path / f'{number}.avi', numbered_frames(3, 32, 32))},covid," for number in range(12)]
    (tmp_path / "manifest.csv").write_text("\n".join(["video_id,uri,label,group", *lines, "gone,gone.mp4,covid,"]) + "\n")
    options = ["--manifest", str(tmp_path / "manifest.csv"), "--storage", str(tmp_path / "s"), "--output-folder", str(tmp_path / "o")]
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    stderr = theirs if terminal else subprocess.PIPE
    done = subprocess.run([sys.executable, "-m", "components", "ingest", *options], stderr=stderr, stdout=subprocess.DEVNULL, check=True)
    told = os.read(ours, 1 << 16).decode() if terminal else done.stderr.decode()
    os.close(ours)
    os.close(theirs)
    assert "gone: missing: file not found" in told
    assert ("/13 [" in told) == terminal
    assert ("10 of 13 videos" in told) != terminal
