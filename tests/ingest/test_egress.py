"""Videos are asked for on the internet; in inner networks only what the user has asked for, wherever a page or a name leads."""

import http.server
import ipaddress
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.core.errors import UsageError
from components.core.records.video_records import Status
from components.ingest.egress import Egress
from components.ingest.ingest import ingest_videos
from components.ingest.outcomes import MissingError
from tests.ingest.web import Host, Page, filled_video, serving, zipped

VIDEO = filled_video("mp4", 1)
INNER = "leads to {}, an address of an inner network; if that is wanted, list it in LUS_INNER_NETWORKS"
PATHS = {"/a.mp4": Page(VIDEO), "/all.zip": Page(zipped({"a.mp4": VIDEO}), headers={"Content-Disposition": 'attachment; filename="a.zip"'})}


@pytest.fixture
def inner() -> Iterator[Host]:
    """A host that no manifest names."""
    with serving(dict(PATHS)) as host:
        yield host


@pytest.fixture
def outer() -> Iterator[Host]:
    """The host of the manifest."""
    with serving({"/good.mp4": Page(filled_video("mp4", 2))}) as host:
        yield host


def fetched(folder: Path, *sources: str) -> list[tuple[Status, str]]:
    """Returns what became of a manifest's sources, each a `uri` or a `uri,via`."""
    lines = [f"v{number},{source}{'' if ',' in source else ','},covid," for number, source in enumerate(sources)]
    (folder / "manifest.csv").write_text("\n".join(["video_id,uri,via,label,group", *lines]) + "\n")
    records = ingest_videos(str(folder / "manifest.csv"), str(folder / "storage")).records
    return [(record.status, record.reason) for record in records]


def redirects(host: Host, location: str) -> None:
    host.routes |= {path: Page(b"", 302, {"Location": location}) for path in ("/moved.mp4", "/view", "/page")}


def test_what_the_manifest_names_by_its_address_is_asked_for(tmp_path: Path, inner: Host) -> None:
    assert fetched(tmp_path, inner.url("/a.mp4")) == [(Status.STORED, "")]


@pytest.mark.parametrize("source", ["/moved.mp4", "/view#a.mp4,google-drive", "/page,vimeo"])
def test_a_redirect_to_an_inner_address_is_refused(tmp_path: Path, outer: Host, inner: Host, source: str) -> None:
    redirects(outer, inner.url("/all.zip" if "view" in source else "/a.mp4"))
    bad, good = fetched(tmp_path, outer.url(source), outer.url("/good.mp4"))
    assert bad == (Status.MISSING, f"127.0.0.1 {INNER.format('127.0.0.1')}")
    assert good == (Status.STORED, "")
    assert inner.requests == []


@pytest.mark.parametrize(
    ("source", "page"),
    [
        ("/transfer#a.mp4,transfer-page", b'<a href="URL/all.zip">all</a>'),
        ("/watch,vimeo", b'<html><video src="URL/a.mp4"></video></html>'),
    ],
)
def test_a_page_that_leads_to_an_inner_address_is_refused(tmp_path: Path, outer: Host, inner: Host, source: str, page: bytes) -> None:
    outer.routes[source.split("#")[0].split(",")[0]] = Page(
        page.replace(b"URL", inner.url("").encode()), headers={"Content-Type": "text/html"}
    )
    bad, good = fetched(tmp_path, outer.url(source), outer.url("/good.mp4"))
    assert bad == (Status.MISSING, f"127.0.0.1 {INNER.format('127.0.0.1')}")
    assert good == (Status.STORED, "")
    assert inner.requests == []


@pytest.mark.parametrize("spelled", ["localhost", "0x7f.1", "2130706433", "127.1"])
def test_a_name_that_leads_to_an_inner_address_is_refused(tmp_path: Path, outer: Host, inner: Host, spelled: str) -> None:
    bad, good = fetched(tmp_path, f"http://{spelled}:{inner.server_port}/a.mp4", outer.url("/good.mp4"))
    assert bad[0] is Status.MISSING
    assert bad[1].startswith(f"{spelled} leads to ")
    assert good == (Status.STORED, "")
    assert inner.requests == []


def test_ipv6_and_ipv4_within_it_are_no_way_around(tmp_path: Path, outer: Host) -> None:
    class SixHost(Host):
        address_family = socket.AF_INET6

        def __init__(self) -> None:
            http.server.ThreadingHTTPServer.__init__(self, ("::", 0), outer.RequestHandlerClass)
            self.routes, self.requests = dict(PATHS), []

    six = SixHost()
    threading.Thread(target=six.serve_forever, args=(0.02,), daemon=True).start()
    outer.routes |= {
        f"/{number}.mp4": Page(b"", 302, {"Location": f"http://[{address}]:{six.server_port}/a.mp4"})
        for number, address in enumerate(["::1", "::ffff:127.0.0.1"])
    }
    *bad, good = fetched(tmp_path, outer.url("/0.mp4"), outer.url("/1.mp4"), outer.url("/good.mp4"))
    assert bad == [(Status.MISSING, f"127.0.0.1 {INNER.format(address)}") for address in ("::1", "127.0.0.1")]
    assert good == (Status.STORED, "")
    assert six.requests == []
    assert fetched(tmp_path, f"http://[::1]:{six.server_port}/a.mp4") == [(Status.STORED, "")]
    six.shutdown()
    six.server_close()


def test_networks_that_the_environment_lists_are_asked_for(
    tmp_path: Path, outer: Host, inner: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    redirects(outer, inner.url("/a.mp4"))
    monkeypatch.setenv("LUS_INNER_NETWORKS", "192.168.1.7, 127.0.0.0/8")
    assert fetched(tmp_path, outer.url("/moved.mp4")) == [(Status.STORED, "")]


@pytest.mark.parametrize("value", ["localhost", "10.0.0.1/8"])
def test_what_is_no_network_stops_before_any_request(tmp_path: Path, inner: Host, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("LUS_INNER_NETWORKS", value)
    with pytest.raises(UsageError, match=f"LUS_INNER_NETWORKS='{value}' is no list of networks"):
        fetched(tmp_path, inner.url("/a.mp4"))
    assert inner.requests == []


def test_a_proxy_of_the_environment_may_be_an_inner_one(tmp_path: Path, inner: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a proxy is asked for stands in the request as a whole (RFC 9112, 3.2.2), so the host that plays it knows the URL."""
    inner.routes["http://videos.example/a.mp4"] = Page(VIDEO)
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, inner.url(""))
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert fetched(tmp_path, "http://videos.example/a.mp4") == [(Status.STORED, "")]


REFUSED = (
    "10.1.2.3",
    "172.16.0.1",
    "192.168.0.1",
    "127.8.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "fc00::1",
    "fe80::1",
    "::ffff:10.0.0.1",
)


@pytest.mark.parametrize("address", REFUSED)
def test_every_kind_of_inner_address_is_refused_before_a_packet_is_sent(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with (
        socket.socket(family, socket.SOCK_DGRAM) as connection,  # connecting one sends nothing
        pytest.raises(MissingError, match="an address of an inner network"),
        Egress().limited_for("http://videos.example/a.mp4"),
    ):
        connection.connect((address, 80))


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888"])
def test_the_internet_is_not_limited(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as connection, Egress().limited_for("http://videos.example/a.mp4"):
        try:
            connection.connect((address, 80))
        except OSError as error:
            pytest.skip(f"this machine has no way there ({error})")
    assert ipaddress.ip_address(address).is_global


def test_a_link_local_address_is_not_asked_for_by_a_manifest() -> None:
    """A cloud gives the credentials of a machine away at 169.254.169.254."""
    url = "http://169.254.169.254/latest/meta-data/a.mp4"
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection,
        pytest.raises(MissingError, match=r"^169\.254\.169\.254 leads to 169\.254\.169\.254, an address of an inner network"),
        Egress().limited_for(url),
    ):
        connection.connect(("169.254.169.254", 80))


def test_only_the_block_is_limited(inner: Host) -> None:
    with Egress().limited_for("http://videos.example/a.mp4"):
        pass
    with socket.create_connection(("127.0.0.1", inner.server_port)) as connection:
        assert connection.getpeername() == ("127.0.0.1", inner.server_port)
