"""Hosts that misbehave: every fault ends as a counted row with a reason, nothing under a final name, and the run goes on."""

import dataclasses
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components.core.errors import DataError
from components.core.records.selection import Selection
from components.core.records.video_records import Status
from components.ingest import hosts
from components.ingest.hosts import USER_AGENT
from components.ingest.ingest import IngestResult, Options, ingest_videos
from components.ingest.sources import direct
from tests.ingest.web import Host, Page, Request, Route, dead_host, filled_video, serving

GOOD = filled_video("mp4", 1)


@pytest.fixture
def host() -> Iterator[Host]:
    with serving({"/good.mp4": Page(GOOD)}) as server:
        yield server


def manifest_of(folder: Path, uris: list[str]) -> str:
    lines = [f"v{number},{uri},covid," for number, uri in enumerate(uris)]
    (folder / "manifest.csv").write_text("\n".join(["video_id,uri,label,group", *lines]) + "\n", encoding="utf-8")
    return str(folder / "manifest.csv")


def ingest(folder: Path, uris: list[str], options: Options | None = None) -> IngestResult:
    return ingest_videos(manifest_of(folder, uris), str(folder / "storage"), options)


def objects(folder: Path) -> dict[str, bytes]:
    """Returns what stands under final names."""
    return {path.name: path.read_bytes() for path in (folder / "storage" / "videos").iterdir() if path.is_file()}


def receipts(folder: Path) -> list[Path]:
    return list((folder / "storage" / "videos" / "receipts").glob("*.json"))


def once(first: Page, then: Page) -> Callable[[Request], Page]:
    pages = iter([first])
    return lambda request: next(pages, then)


def redirect(request: Request) -> Page:
    return Page(b"", 302, {"Location": "/login"})


FAULTS: dict[str, tuple[Route, str, str]] = {
    "not found": (Page(b"gone", 404), "missing", "HTTP status 404"),
    "forbidden": (Page(b"no", 403), "missing", "HTTP status 403"),
    "later": (
        Page(b"", 429, {"Retry-After": "3600"}),
        "missing",
        "HTTP status 429, and not to be asked again for 3600 s",
    ),
    "reset in mid-file": (Page(GOOD, break_after=500), "missing", "connection failed (ChunkedEncodingError), 4 times"),
    "truncated": (Page(GOOD, announced=len(GOOD) + 10), "missing", "connection failed (ChunkedEncodingError), 4 times"),
    "wrong type": (
        Page(b'{"error": "quota"}', headers={"Content-Type": "video/mp4"}),
        "rejected",
        "not a video: the content is of no known type",
    ),
    "a picture": (Page(b"\x89PNG\r\n\x1a\n" + bytes(50)), "rejected", "not a video: the content is image/png"),
    "login page": (redirect, "rejected", "not a video: the content is a web page"),
    "10 GB": (Page(GOOD, announced=10_000_000_000), "rejected", "larger than the limit of 2 GB"),
    "empty": (Page(b""), "rejected", "the file is empty"),
    "unchanged, though nobody asked": (Page(status=304), "missing", "HTTP status 304"),
    "redirect to no address": (Page(b"", 302, {"Location": "http://[half"}), "missing", "not a usable URL (ValueError)"),
}


@pytest.mark.parametrize(("route", "status", "reason"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_a_counted_row_and_the_run_goes_on(tmp_path: Path, host: Host, route: Route, status: str, reason: str) -> None:
    host.routes |= {"/bad.mp4": route, "/login": Page(b"<!DOCTYPE html><title>Log in</title>")}
    bad, good = ingest(tmp_path, [host.url("/bad.mp4"), host.url("/good.mp4")]).records
    assert (bad.status.value, bad.reason) == (status, reason)
    assert good.status is Status.STORED
    assert list(objects(tmp_path).values()) == [GOOD]
    assert len(receipts(tmp_path)) == 1
    assert [path.name for path in (tmp_path / "storage" / "videos" / ".partial").iterdir()] == ["lock"]


def test_a_dead_host_is_left_alone_after_three_videos(tmp_path: Path, host: Host) -> None:
    with dead_host() as (dead, asked):
        records = ingest(tmp_path, [*(f"http://{dead}/{number}.mp4" for number in range(30)), host.url("/good.mp4")]).records
    assert [record.status for record in records] == [*[Status.MISSING] * 30, Status.STORED]
    assert {record.reason for record in records[:30]} == {f"{dead} does not answer"}
    # Each of the eight threads may be at a video when the third is given up, and two went on to another after the first two.
    assert len(asked) <= (8 + hosts.NUM_DEAD_ENDS - 1) * direct.ATTEMPTS < 30 * direct.ATTEMPTS


@pytest.mark.parametrize("etag", [{"ETag": '"a"'}, {}])
def test_a_download_that_trickles_ends_and_is_continued_later(
    tmp_path: Path, host: Host, monkeypatch: pytest.MonkeyPatch, etag: dict[str, str]
) -> None:
    content = filled_video("mp4", 3, 300_000)
    host.routes["/slow.mp4"] = Page(content, headers=etag, chunk_pause_s=3)
    monkeypatch.setattr(direct, "TIME_LIMIT_S", 1.5)
    uris = [host.url("/slow.mp4"), host.url("/good.mp4")]
    slow, good = ingest(tmp_path, uris).records
    assert (slow.status, slow.reason) == (Status.MISSING, "not done after 1.5 s")
    assert good.status is Status.STORED
    monkeypatch.setattr(direct, "TIME_LIMIT_S", 60)
    host.routes["/slow.mp4"] = Page(content, headers=etag)
    assert ingest(tmp_path, uris).records[0].status is Status.STORED
    assert content in objects(tmp_path).values()
    wanted = host.requests[-1].headers["Range"]
    assert (wanted is not None) == bool(etag)


def test_retry_after_is_obeyed(tmp_path: Path, host: Host) -> None:
    host.routes["/busy.mp4"] = once(Page(b"", 429, {"Retry-After": "1"}), Page(filled_video("mp4", 2)))
    assert ingest(tmp_path, [host.url("/busy.mp4")]).records[0].status is Status.STORED
    first, second = host.requests
    assert second.time_s - first.time_s >= 1
    assert first.headers["User-Agent"] == USER_AGENT


def test_a_reset_download_is_continued_where_it_broke(tmp_path: Path, host: Host) -> None:
    content, etag = filled_video("mp4", 3, 300_000), {"ETag": '"a"'}
    host.routes["/a.mp4"] = once(Page(content, headers=etag, break_after=100_000), Page(content, headers=etag))
    assert ingest(tmp_path, [host.url("/a.mp4")]).records[0].status is Status.STORED
    assert list(objects(tmp_path).values()) == [content]
    start = int(host.requests[1].headers["Range"].removeprefix("bytes=").rstrip("-"))
    assert 60_000 < start <= 100_000
    assert host.requests[1].headers["If-Range"] == '"a"'


@pytest.mark.parametrize("heeds_if_range", [True, False])
def test_a_file_that_changes_between_two_tries_is_not_mixed(tmp_path: Path, host: Host, heeds_if_range: bool) -> None:
    old, new = filled_video("mp4", 3, 300_000), filled_video("mp4", 4, 300_000)
    then = Page(new, headers={"ETag": '"b"'}, heeds_if_range=heeds_if_range)
    host.routes["/a.mp4"] = once(Page(old, headers={"ETag": '"a"'}, break_after=100_000), then)
    ingest(tmp_path, [host.url("/a.mp4")])
    assert list(objects(tmp_path).values()) == [new]


def test_a_file_without_validators_is_fetched_from_its_beginning(tmp_path: Path, host: Host) -> None:
    content = filled_video("mp4", 3, 300_000)
    host.routes["/a.mp4"] = once(Page(content, break_after=100_000), Page(content))
    ingest(tmp_path, [host.url("/a.mp4")])
    assert list(objects(tmp_path).values()) == [content]
    assert host.requests[1].headers["Range"] is None


def test_content_that_has_changed_is_reported_and_not_taken(tmp_path: Path, host: Host) -> None:
    uris = [host.url("/a.mp4"), host.url("/good.mp4")]
    host.routes["/a.mp4"] = Page(filled_video("mp4", 5), headers={"ETag": '"a"'})
    before = ingest(tmp_path, uris).records
    recheck = Options(recheck=True)
    assert ingest(tmp_path, uris, recheck).records == before
    assert host.requests[-1].headers["If-None-Match"] == '"a"' or host.requests[-2].headers["If-None-Match"] == '"a"'

    host.routes["/a.mp4"] = Page(filled_video("mp4", 6), headers={"ETag": '"b"'})
    assert ingest(tmp_path, uris).records == before
    changed = ingest(tmp_path, uris, recheck).records[0]
    assert changed.status is Status.REJECTED
    assert changed.reason.startswith(f"its content has changed since {before[0].fetched_at}: sha256 was {before[0].sha256}, is ")
    assert filled_video("mp4", 6) not in objects(tmp_path).values()

    Path(before[0].storage_uri).unlink()
    assert ingest(tmp_path, uris).records[0].reason == changed.reason


def test_a_stored_video_outlives_its_source(tmp_path: Path, host: Host) -> None:
    before = ingest(tmp_path, [host.url("/good.mp4")]).records
    host.routes.clear()
    assert ingest(tmp_path, [host.url("/good.mp4")], Options(recheck=True)).records == before


def test_an_interrupted_run_ends_at_once_and_is_continued(tmp_path: Path, host: Host) -> None:
    """While one download trickles and another waits for its next try."""
    content = filled_video("mp4", 3, 300_000)
    host.routes["/slow.mp4"] = Page(content, headers={"ETag": '"a"'}, chunk_pause_s=30)
    host.routes["/busy.mp4"] = Page(b"", 503, {"Retry-After": "60"})
    main_thread = threading.main_thread().ident
    assert main_thread
    interrupted_s = []

    def interrupt() -> None:
        while not (len(host.requests) == 2 and list(partial.glob("*.json"))):
            time.sleep(0.02)
        time.sleep(0.3)
        interrupted_s.append(time.monotonic())
        signal.pthread_kill(main_thread, signal.SIGINT)

    partial = tmp_path / "storage" / "videos" / ".partial"
    # A process in the background of a shell ignores the signal unless it says otherwise.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=interrupt, daemon=True).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            ingest(tmp_path, [host.url("/slow.mp4"), host.url("/busy.mp4")])
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - interrupted_s[0] < 10
    host.routes["/slow.mp4"] = Page(content, headers={"ETag": '"a"'})
    assert ingest(tmp_path, [host.url("/slow.mp4")]).records[0].status is Status.STORED
    assert host.requests[-1].headers["Range"]


def test_the_limit_of_a_run_is_kept(tmp_path: Path, host: Host) -> None:
    host.routes |= {f"/{number}.mp4": Page(filled_video("mp4", number, 400_000)) for number in range(5)}
    result = ingest(tmp_path, [host.url(f"/{number}.mp4") for number in range(5)], Options(max_gigabytes=0.001))
    assert result.count(Status.STORED) == 2
    assert {record.reason for record in result.records} == {"", "the limit of 0.001 GB for one run is reached"}
    assert len(objects(tmp_path)) == 2


def test_a_video_larger_than_files_may_be_is_missing_and_small_ones_still_come(tmp_path: Path, host: Host) -> None:
    """The kernel refuses files over 100 kB to the process, as some file systems refuse those over 4 GB."""
    host.routes["/large.mp4"] = Page(filled_video("mp4", 7, 1_000_000))
    manifest = manifest_of(tmp_path, [host.url("/large.mp4"), host.url("/good.mp4")])
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "from components.ingest.ingest import ingest_videos\n"
        f"for record in ingest_videos({manifest!r}, {str(tmp_path / 'storage')!r}).records: print(record.status.value, record.reason)"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.splitlines() == ["missing local disk: File too large", "stored "]
    assert list(objects(tmp_path).values()) == [GOOD]


def test_a_licence_that_is_not_allowed_is_skipped_and_not_asked_for(tmp_path: Path, host: Host) -> None:
    (tmp_path / "manifest.csv").write_text(
        "video_id,uri,label,group,license\n"
        f"a,{host.url('/good.mp4')},covid,,CC BY 4.0\n"
        f"b,{host.url('/b.mp4')},covid,,CC BY-NC 4.0\n"
        f"c,{host.url('/c.mp4')},covid,,\n"
    )
    options = Options(Selection(licences="open"))
    result = ingest_videos(str(tmp_path / "manifest.csv"), str(tmp_path / "storage"), options)
    assert [(record.status.value, record.reason) for record in result.records] == [
        ("stored", ""),
        ("skipped", "licence: CC BY-NC 4.0"),
        ("skipped", "licence: not stated"),
    ]
    assert host.paths() == ["/good.mp4"]


def test_too_few_videos_of_a_class_fail_with_a_sentence(tmp_path: Path, host: Host) -> None:
    result = ingest(tmp_path, [host.url("/good.mp4")])
    result.check(0)
    with pytest.raises(DataError, match="only 0 of class pneumonia, 0 of class normal could be stored, but min_videos_per_class is 1"):
        result.check(1)


def test_no_query_string_is_kept_anywhere(tmp_path: Path, host: Host, caplog: pytest.LogCaptureFixture) -> None:
    host.routes["/a.mp4?X-Signature=s3cret"] = Page(GOOD)
    with caplog.at_level("DEBUG", logger="components"):
        result = ingest(tmp_path, [host.url("/a.mp4?X-Signature=s3cret"), host.url("/gone.mp4?X-Signature=s3cret"), "http://:bad?s3cret"])
    result.write(tmp_path / "storage" / "videos.jsonl", tmp_path / "storage" / "summary.md")
    assert result.records[0].status is Status.STORED
    assert "s3cret" not in caplog.text
    assert not [path for path in (tmp_path / "storage").rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]


def test_hosts_are_asked_politely(tmp_path: Path) -> None:
    """LITFL's host gets its requests half a second apart; another host does not wait for it."""
    routes: dict[str, Route] = {f"/{number}.mp4": Page(filled_video("mp4", number)) for number in range(4)}
    with serving(routes) as litfl, serving(routes) as other:
        lines = [f"l{number},{litfl.url(f'/{number}.mp4')},covid,,LITFL" for number in range(4)]
        lines += [f"o{number},{other.url(f'/{number}.mp4')},covid,,mine" for number in range(4)]
        (tmp_path / "manifest.csv").write_text("\n".join(["video_id,uri,label,group,source", *lines]))
        ingest_videos(str(tmp_path / "manifest.csv"), str(tmp_path / "storage"))
        times = sorted(request.time_s for request in litfl.requests)
        assert times[-1] - times[0] >= 1.2
        assert max(request.time_s for request in other.requests) < times[-1]


def test_the_records_do_not_depend_on_the_order_of_arrival(tmp_path: Path, host: Host) -> None:
    host.routes |= {f"/{number}.mp4": Page(filled_video("mp4", number), chunk_pause_s=0.03 * (number % 3)) for number in range(12)}
    uris = [host.url(f"/{number}.mp4") for number in range(12)]
    first, second = (ingest(folder, uris) for folder in (tmp_path / "a", tmp_path / "b") if not folder.mkdir())
    undated = [[dataclasses.replace(record, fetched_at="", storage_uri="") for record in result.records] for result in (first, second)]
    assert undated[0] == undated[1]
    assert [record.row.uri for record in first.records] == uris
