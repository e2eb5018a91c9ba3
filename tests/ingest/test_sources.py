"""Each of the sources by its own way of serving, from its row in the catalog to the stored object."""

import contextlib
import csv
import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from components.core.errors import UsageError
from components.core.records.selection import Selection
from components.core.records.video_records import Status
from components.ingest import build_catalog
from components.ingest.hosts import Budget, Hosts, Manners
from components.ingest.ingest import IngestResult, Options, ingest_videos
from components.ingest.outcomes import MissingError, RejectedError
from components.ingest.sources import google_drive, vimeo
from tests.ingest.web import Host, Page, Request, filled_video, serving, zipped

with build_catalog.CATALOG.open(encoding="utf-8", newline="") as file:
    CATALOG = {row["video_id"]: row for row in csv.DictReader(file)}


@dataclasses.dataclass
class World:
    """The catalog's rows behind local servers, one for each host of the real addresses."""

    folder: Path
    hosts: dict[str, Host] = dataclasses.field(default_factory=dict)
    rows: list[dict[str, str]] = dataclasses.field(default_factory=list)

    def add(self, video_id: str, **changes: str) -> str:
        """Lists a row of the catalog with its address on the server that plays its host; returns its path there."""
        row = CATALOG[video_id]
        address = urlsplit(row["uri"])
        host = self.hosts[address.netloc]
        local = address._replace(scheme="http", netloc=f"127.0.0.1:{host.server_port}")
        self.rows.append({**row, "uri": local.geturl(), **changes})
        return f"{address.path}?{address.query}" if address.query else address.path

    def ingest(self, options: Options | None = None, storage: str = "") -> IngestResult:
        manifest = self.folder / "manifest.csv"
        with manifest.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, build_catalog.COLUMNS)
            writer.writeheader()
            writer.writerows(self.rows)
        return ingest_videos(str(manifest), storage or str(self.folder / "storage"), options)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with contextlib.ExitStack() as stack:
        names = sorted({urlsplit(row["uri"]).netloc for row in CATALOG.values()})
        yield World(tmp_path, {name: stack.enter_context(serving({})) for name in names})


def assert_stored(result: IngestResult, contents: dict[str, bytes]) -> None:
    assert {record.row.video_id: (record.status.value, record.reason) for record in result.records} == dict.fromkeys(
        contents, ("stored", "")
    )
    for record in result.records:
        content = contents[record.row.video_id]
        assert Path(record.storage_uri).read_bytes() == content
        assert (record.sha256, record.num_bytes) == (hashlib.sha256(content).hexdigest(), len(content))


DIRECT = {
    "GrepMed": ("img.grepmed.com", "24_grepmed_covid", "", ""),
    "LITFL": ("litfl.com", "121_litfl_pneumonia", "CC BY-NC-SA 4.0", ""),
    "PocusAtlas": ("images.squarespace-cdn.com", "49_pocusatlas_covid", "CC BY-NC 4.0", ""),
    "Radiopaedia": ("prod-images-static.radiopaedia.org", "153_radio_pneumonia", "CC BY-NC-SA 3.0", ""),
    "CoreUltrasound's CDN": ("d25ixnv6uinqzi.cloudfront.net", "170_core_pneumonia", "", ""),
    "UF": ("anest.ufl.edu", "176_uf_normal", "", "Mozilla"),
    "Papers at Springer": ("static-content.springer.com", "201_paper_covid", "CC BY 4.0", "Mozilla"),
    "Papers at Elsevier": ("ars.els-cdn.com", "206_paper_normal", "", "Mozilla"),
    "Papers at Wiley": ("obgyn.onlinelibrary.wiley.com", "200_paper_covid", "", "Mozilla"),
    "Clarius's site": ("clarius.com", "218_clarius_covid", "", "Mozilla"),
    "COVID-BLUES at GitHub": ("raw.githubusercontent.com", "blues-1-l1", "CC BY-NC-ND 4.0", ""),
    "Born's collection at GitHub": ("raw.githubusercontent.com", "reg-avi-video-002", "CC BY-NC 4.0", ""),
}


@pytest.mark.parametrize(("host", "video_id", "license_name", "agent"), DIRECT.values(), ids=DIRECT)
def test_direct_files(world: World, host: str, video_id: str, license_name: str, agent: str) -> None:
    content = filled_video(CATALOG[video_id]["file_type"])
    path = world.add(video_id, sha256="")

    def page(request: Request) -> Page:
        return Page(content) if request.headers["User-Agent"].startswith(agent) else Page(b"no scripts", 403)

    world.hosts[host].routes[path] = page
    result = world.ingest()
    assert_stored(result, {video_id: content})
    assert result.records[0].row.license == license_name
    assert result.records[0].storage_uri.endswith(f".{CATALOG[video_id]['file_type']}")
    assert "lung-ultrasound-pipeline" in world.hosts[host].requests[0].headers["User-Agent"]
    assert "?" not in result.records[0].row.uri


def test_another_file_than_the_repository_held_is_rejected(world: World) -> None:
    path = world.add("blues-1-l1")
    content = filled_video("mp4")
    world.hosts["raw.githubusercontent.com"].routes[path] = Page(content)
    world.hosts["anest.ufl.edu"].routes[world.add("184_uf_pneumonia")] = Page(filled_video("mp4"))
    record = world.ingest().records[0]
    expected = f"its sha256 is {hashlib.sha256(content).hexdigest()}, the manifest says {CATALOG['blues-1-l1']['sha256']}"
    assert (record.status, record.reason) == (Status.REJECTED, expected)


BORN = "raw.githubusercontent.com"


def test_a_copy_comes_where_its_original_is_gone(world: World) -> None:
    content = filled_video("mp4", 3)
    world.add("129_litfl_pneumonia")
    world.hosts[BORN].routes[world.add("pneu-liftl-pneu-case3-clip3", sha256="")] = Page(content)
    original, copy = world.ingest().records
    assert (original.status, original.reason) == (Status.MISSING, "HTTP status 404")
    assert (copy.status, copy.reason, copy.row.group, copy.row.crop) == (Status.STORED, "", original.row.group, None)
    assert Path(copy.storage_uri).read_bytes() == content


def test_a_copy_is_not_asked_for_where_its_original_is_stored(world: World) -> None:
    """Whatever their order in the manifest."""
    world.add("pneu-liftl-pneu-case3-clip3")
    world.hosts["litfl.com"].routes[world.add("129_litfl_pneumonia")] = Page(filled_video("mp4"))
    copy, original = world.ingest().records
    assert original.status is Status.STORED
    assert (copy.status, copy.reason) == (Status.SKIPPED, "the same video as 129_litfl_pneumonia, which is stored")
    assert not world.hosts[BORN].requests


def test_a_copy_gives_way_to_its_original_when_that_is_back(world: World) -> None:
    path = world.add("129_litfl_pneumonia")
    world.hosts[BORN].routes[world.add("pneu-liftl-pneu-case3-clip3", sha256="")] = Page(filled_video("mp4", 3))
    assert [record.status for record in world.ingest().records] == [Status.MISSING, Status.STORED]
    assert [record.status for record in world.ingest().records] == [Status.MISSING, Status.STORED]
    assert len(world.hosts[BORN].requests) == 1
    world.hosts["litfl.com"].routes[path] = Page(filled_video("mp4", 4))
    assert [record.status for record in world.ingest().records] == [Status.STORED, Status.SKIPPED]


def test_a_copy_comes_where_its_original_is_not_selected(world: World) -> None:
    world.add("129_litfl_pneumonia")
    world.hosts[BORN].routes[world.add("pneu-liftl-pneu-case3-clip3", sha256="")] = Page(filled_video("mp4", 3))
    result = world.ingest(Options(Selection(sources="Born")))
    assert [record.status for record in result.records] == [Status.SKIPPED, Status.STORED]
    assert not world.hosts["litfl.com"].requests


@pytest.mark.parametrize("original", ["absent", "pneu-liftl-pneu-case3-clip4"])
def test_a_copy_of_no_original_stops_before_any_request(world: World, original: str) -> None:
    world.add("pneu-liftl-pneu-case3-clip3", copy_of=original)
    world.add("pneu-liftl-pneu-case3-clip4", copy_of="130_litfl_pneumonia")
    world.add("130_litfl_pneumonia")
    with pytest.raises(UsageError, match=f"'pneu-liftl-pneu-case3-clip3' is a copy of '{original}', which is no row"):
        world.ingest()
    assert not world.hosts[BORN].requests


BUTTERFLY = ["1_butterfly_covid", "6_butterfly_covid", "20_butterfly_normal"]


def test_butterfly_is_a_transfer_page_that_gives_a_zip_fetched_once(world: World) -> None:
    contents = {video_id: filled_video("mp4", seed) for seed, video_id in enumerate(BUTTERFLY)}
    path = {world.add(video_id) for video_id in BUTTERFLY}.pop()
    files = {f"Published/{unquote(urlsplit(CATALOG[video_id]['uri']).fragment)}": content for video_id, content in contents.items()}
    host = world.hosts["butterflynetwork.getbynder.com"]
    host.routes[path] = Page(b'<html><a href="/">home</a> <a class="btn-primary" href="/transfer/download/all?token=1">Download</a></html>')
    host.routes["/transfer/download/all?token=1"] = Page(zipped(files))
    assert_stored(world.ingest(), contents)
    assert host.paths() == [path, "/transfer/download/all?token=1"]
    assert not list((world.folder / "storage" / "videos" / ".partial").glob("*.zip"))


def test_a_transfer_page_that_is_gone_is_asked_once_for_all_of_its_videos(world: World) -> None:
    for video_id in BUTTERFLY:
        world.add(video_id)
    path = world.add("184_uf_pneumonia")
    world.hosts["anest.ufl.edu"].routes[path] = Page(filled_video("mp4"))
    records = world.ingest().records
    assert [(record.status.value, record.reason) for record in records] == [*[("missing", "HTTP status 404")] * 3, ("stored", "")]
    assert len(world.hosts["butterflynetwork.getbynder.com"].requests) == 1


def test_a_transfer_page_without_a_download_is_missing(world: World) -> None:
    path = world.add("1_butterfly_covid")
    world.hosts["butterflynetwork.getbynder.com"].routes[path] = Page(b"<html>This transfer has expired.</html>")
    world.hosts["anest.ufl.edu"].routes[world.add("184_uf_pneumonia")] = Page(filled_video("mp4"))
    assert world.ingest().records[0].reason == "the page offers no download"


def test_a_transfer_page_with_a_link_to_no_address_is_missing(world: World) -> None:
    path = world.add("1_butterfly_covid")
    world.hosts["butterflynetwork.getbynder.com"].routes[path] = Page(b'<a href="http://[half/all.zip">all</a>')
    world.hosts["anest.ufl.edu"].routes[world.add("184_uf_pneumonia")] = Page(filled_video("mp4"))
    assert world.ingest().records[0].reason == "the page's link to the download is not a usable URL"


@pytest.mark.parametrize(
    ("stored", "content", "reason"),
    [
        ("B lines/Coalescing B lines.mp4", bytes(5_000_000), "a zip bomb: it grows more than 200 times"),
        ("../B lines/Coalescing B lines.mp4", filled_video("mp4"), "unsafe name in the zip file: '../B lines/Coalescing B lines.mp4'"),
        ("B lines/Coalescing B lines.mp4", zipped({"a.mp4": filled_video("mp4")}), "an archive in the zip file"),
        ("B lines/Coalescing B lines.mp4", b"<html>moved</html>", "not a video: the content is a web page"),
    ],
)
def test_what_is_dangerous_in_a_zip_is_rejected_and_the_rest_is_stored(world: World, stored: str, content: bytes, reason: str) -> None:
    path = {world.add(video_id) for video_id in BUTTERFLY}.pop()
    good = {video_id: filled_video("mp4", seed) for seed, video_id in enumerate(BUTTERFLY[1:], start=1)}
    files = {unquote(urlsplit(CATALOG[video_id]["uri"]).fragment): video for video_id, video in good.items()}
    host = world.hosts["butterflynetwork.getbynder.com"]
    host.routes |= {path: Page(b'<a href="/all.zip">all</a>'), "/all.zip": Page(zipped({stored: content, **files}))}
    bad, *rest = world.ingest().records
    assert (bad.status.value, bad.reason) == ("rejected", reason)
    assert [Path(record.storage_uri).read_bytes() for record in rest] == list(good.values())
    assert len(list((world.folder / "storage" / "videos").glob("*.*"))) == len(good) + 1  # with the folder of unfinished downloads
    assert not (world.folder.parent / "B lines").exists()


def test_clarius_is_a_zip_on_google_drive(world: World) -> None:
    contents = {video_id: filled_video("mp4", seed) for seed, video_id in enumerate(["224_clarius_normal", "229_clarius_pneumonia"])}
    path = {world.add(video_id) for video_id in contents}.pop()
    host = world.hosts["drive.google.com"]
    host.routes[path] = Page(
        zipped({f"{video_id}.mp4": content for video_id, content in contents.items()}),
        headers={"Content-Disposition": 'attachment; filename="clarius.zip"'},
    )
    assert_stored(world.ingest(), contents)
    assert host.paths() == [path]


def test_a_google_drive_file_that_is_gone_is_missing(world: World) -> None:
    world.add("224_clarius_normal")
    world.hosts["anest.ufl.edu"].routes[world.add("184_uf_pneumonia")] = Page(filled_video("mp4"))
    assert world.ingest().records[0].reason == "HTTP status 404"


def test_a_google_drive_file_that_cannot_be_continued_comes_whole_the_next_time(tmp_path: Path) -> None:
    """Without an ETag the server gives no parts; what is too large leaves nothing behind."""
    content = zipped({"a.mp4": filled_video("mp4", 1, 500_000)})
    path = tmp_path / "work"
    with serving({"/view": Page(content, headers={"Content-Disposition": "attachment"})}) as host:

        def download(max_bytes: int) -> None:
            google_drive.download_zip(host.url("/view"), path, Hosts(), Budget(1e9), Manners(), max_bytes)

        with pytest.raises(RejectedError, match="larger than the limit"):
            download(max_bytes=100)
        assert not list(tmp_path.iterdir())
        (tmp_path / "work12345678.part").write_bytes(b"the beginning of another file")
        with pytest.raises(MissingError, match="Google Drive does not give the file"):
            download(max_bytes=1_000_000)
        download(max_bytes=1_000_000)
    assert path.read_bytes() == content


def test_what_google_drive_says_holds_no_query(world: World) -> None:
    """The connection breaks on each of gdown's tries; its own message would hold the address."""
    path = world.add("224_clarius_normal")
    address = f"{world.rows[0]['uri'].split('#')[0]}?token=s3cret#224_clarius_normal.mp4"
    world.rows[0]["uri"] = address
    page = Page(
        zipped({"224_clarius_normal.mp4": filled_video("mp4", 1, 100_000)}), break_after=10, headers={"Content-Disposition": "attachment"}
    )
    world.hosts["drive.google.com"].routes[f"{path}?token=s3cret"] = page
    world.hosts["anest.ufl.edu"].routes[world.add("184_uf_pneumonia")] = Page(filled_video("mp4"))
    record = world.ingest().records[0]
    assert record.status is Status.MISSING
    assert "s3cret" not in record.to_json()


def core_ultrasound(world: World) -> bytes:
    """Plays a page with a video that only who is logged in may see."""
    content = filled_video("mp4", 5)
    path = world.add("158_core_pneumonia")
    host = world.hosts["vimeo.com"]

    def page(request: Request) -> Page:
        if "vimeo=secret" not in (request.headers["Cookie"] or ""):
            return Page(b"<html>Log in</html>", 403)
        return Page(b'<html><title>c</title><video src="/stream/c.mp4"></video></html>', headers={"Content-Type": "text/html"})

    host.routes[path] = page
    host.routes["/stream/c.mp4"] = Page(content, headers={"Content-Type": "video/mp4"})
    return content


def test_core_ultrasound_is_vimeo_with_the_cookies_of_the_user(world: World) -> None:
    content = core_ultrasound(world)
    cookies = world.folder / "cookies.txt"
    cookies.write_text("# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t4102444800\tvimeo\tsecret\n")
    before = cookies.read_bytes()
    result = world.ingest(Options(cookies=str(cookies)))
    assert_stored(result, {"158_core_pneumonia": content})
    assert cookies.read_bytes() == before
    assert all(b"secret" not in path.read_bytes() for path in (world.folder / "storage").rglob("*") if path.is_file())


def test_every_way_of_downloading_has_a_time_limit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for source in (google_drive, vimeo):
        monkeypatch.setattr(source, "TIME_LIMIT_S", 0)
    world.hosts["img.grepmed.com"].routes[world.add("24_grepmed_covid")] = Page(filled_video("mp4", 1))
    world.hosts["drive.google.com"].routes[world.add("224_clarius_normal")] = Page(
        zipped({"224_clarius_normal.mp4": filled_video("mp4")}), headers={"Content-Disposition": 'attachment; filename="clarius.zip"'}
    )
    core_ultrasound(world)
    path = world.add("158_core_pneumonia")
    world.rows.pop()
    page = b'<html><title>c</title><video src="/stream/c.mp4"></video></html>'
    world.hosts["vimeo.com"].routes[path] = Page(page, headers={"Content-Type": "text/html"})
    assert [record.reason for record in world.ingest().records] == ["", "not done after 0 s", "not done after 0 s"]


def test_vimeo_without_a_login_is_missing_and_says_what_may_help(world: World) -> None:
    core_ultrasound(world)
    world.hosts["anest.ufl.edu"].routes[world.add("184_uf_pneumonia")] = Page(filled_video("mp4"))
    record = world.ingest().records[0]
    assert record.status is Status.MISSING
    assert record.reason.startswith("yt-dlp: ")
    assert "403" in record.reason
    assert record.reason.endswith("a cookies file may help")


def test_two_halves_of_one_video_are_fetched_once_and_share_one_object(world: World) -> None:
    content = filled_video("mp4", 9)
    halves = ["159_core_other", "160_core_other"]
    path = {world.add(video_id, label="pneumonia") for video_id in halves}.pop()
    host = world.hosts["vimeo.com"]
    host.routes[path] = Page(b'<html><video src="/c.mp4"></video></html>', headers={"Content-Type": "text/html"})
    host.routes["/c.mp4"] = Page(content, headers={"Content-Type": "video/mp4"})
    result = world.ingest()
    assert_stored(result, dict.fromkeys(halves, content))
    assert result.num_new_objects == 1
    assert host.paths().count(path) == 1


def test_the_summary_shows_where_each_row_went(world: World) -> None:
    for video_id in CATALOG:
        path = world.add(video_id)
        if video_id == "152_radio_normal":
            world.hosts["prod-images-static.radiopaedia.org"].routes[path] = Page(filled_video("mp4"))
    result = world.ingest(Options(Selection(sources="Radiopaedia,Clarius", licences="CC BY-NC-SA 3.0")))
    counts = {status: result.count(status) for status in Status}
    assert counts == {Status.STORED: 1, Status.MISSING: 1, Status.REJECTED: 0, Status.SKIPPED: 738}
    result.write(world.folder / "videos.jsonl", world.folder / "summary.md")
    lines = (world.folder / "summary.md").read_text().splitlines()
    assert any(line.startswith("| Radiopaedia | 5 | 1 | 1 | 0 | 3 |") for line in lines)
    assert "| 24_grepmed_covid | skipped | source: GrepMed |" in lines
    assert "| 218_clarius_covid | skipped | licence: not stated |" in lines
    assert "| 22_butterfly_covid | skipped | withdrawn by its source |" in lines
    assert "| 153_radio_pneumonia | missing | HTTP status 404 |" in lines
    assert len({line.split("|")[1].strip() for line in lines if line.startswith("| ")} & set(CATALOG)) == 739
    assert len((world.folder / "videos.jsonl").read_text().splitlines()) == 740


def test_an_unknown_source_stops_before_any_request(world: World) -> None:
    world.add("184_uf_pneumonia")
    with pytest.raises(UsageError, match="sources: no video of the manifest has 'ulf'"):
        world.ingest(Options(Selection(sources="ULF")))
    with pytest.raises(UsageError, match="cookies file"):
        world.ingest(Options(cookies="absent.txt"))
    with pytest.raises(UsageError, match="drop-in folder"):
        world.ingest(Options(drop_in=str(world.folder / "absent")))
    assert not world.hosts["anest.ufl.edu"].requests
