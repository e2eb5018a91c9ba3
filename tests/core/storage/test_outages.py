"""A storage that does not answer for a while is waited for, and what is wrong in itself is told at once."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
import tenacity
from botocore.exceptions import ClientError
from botocore.exceptions import SSLError as BotoSSLError

from components.core import storage
from components.core.errors import OutageError, StorageError
from components.core.registry.versions import list_versions
from components.core.storage import object_stores, outages
from components.core.storage.object_stores import is_outage
from tests.emulators import ENDPOINTS
from tests.outages import CUT_BODY, LOST_ANSWER, RESET, Proxy

FAULTS = ((RESET, None, 503, LOST_ANSWER, 500), (LOST_ANSWER, 429, 503, None, RESET), (500, LOST_ANSWER, None, LOST_ANSWER, RESET))


@pytest.fixture(params=ENDPOINTS)
def scheme(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def root(scheme: str, request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue(f"{scheme}_storage")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "BACK_OFF", tenacity.wait_fixed(0.05))


@pytest.fixture
def proxy(root: str, scheme: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """What all requests to `root` go through."""
    proxy = Proxy(os.environ[ENDPOINTS[scheme]])
    monkeypatch.setenv(ENDPOINTS[scheme], proxy.url)
    object_stores.client_of.cache_clear()
    yield proxy
    proxy.stop()
    object_stores.client_of.cache_clear()


def write(root: str, folder: Path) -> bytes:
    storage.write_bytes(f"{root}/new", b"content")
    return storage.read_bytes(f"{root}/new")


def write_on_condition(root: str, folder: Path) -> bytes:
    _, generation = storage.read_with_generation(f"{root}/kept")
    storage.write_if_unchanged(f"{root}/kept", b"content", generation)
    return storage.read_bytes(f"{root}/kept")


def put(root: str, folder: Path) -> bytes:
    (folder / "source").write_bytes(b"content")
    storage.put_file(folder / "source", f"{root}/put")
    return storage.read_bytes(f"{root}/put")


def read(root: str, folder: Path) -> bytes:
    return storage.read_bytes(f"{root}/kept")


def download(root: str, folder: Path) -> bytes:
    with storage.local_copy(f"{root}/kept") as path:
        return path.read_bytes()


def look_up_and_list(root: str, folder: Path) -> bytes:
    assert storage.exists(f"{root}/models")
    assert storage.exists(f"{root}/kept")
    assert not storage.exists(f"{root}/absent")
    assert list_versions(root) == []
    with storage.local_folder(root) as copy:
        return (copy / "kept").read_bytes()


def delete(root: str, folder: Path) -> bytes:
    storage.delete_file(f"{root}/models/a")
    storage.delete_file(f"{root}/models/a")
    storage.check_writable(root)
    return storage.read_bytes(f"{root}/kept")


def delete_folder(root: str, folder: Path) -> bytes:
    storage.delete_folder(f"{root}/models")
    assert not storage.exists(f"{root}/models")
    return storage.read_bytes(f"{root}/kept")


OPERATIONS = (write, write_on_condition, put, read, download, look_up_and_list, delete, delete_folder)


@pytest.fixture
def filled(root: str) -> str:
    storage.write_bytes(f"{root}/kept", b"content")
    storage.write_bytes(f"{root}/models/a", b"a")
    return root


@pytest.mark.parametrize("faults", FAULTS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_faults_that_pass_are_ridden_out(
    filled: str, proxy: Proxy, tmp_path: Path, operation: Callable[[str, Path], bytes], faults: tuple[int | str | None, ...]
) -> None:
    proxy.faults.extend(faults)
    assert operation(filled, tmp_path) == b"content"
    assert len(proxy.faults) < len(faults)


@pytest.mark.parametrize("operation", [read, download, look_up_and_list])
def test_a_body_that_breaks_off_is_read_again(filled: str, proxy: Proxy, tmp_path: Path, operation: Callable[[str, Path], bytes]) -> None:
    proxy.faults.extend([CUT_BODY] * 3)
    assert operation(filled, tmp_path) == b"content"


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_server_that_is_away_for_a_while_is_waited_for_and_that_is_said_once(
    filled: str, proxy: Proxy, tmp_path: Path, operation: Callable[[str, Path], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="components")
    read(filled, tmp_path)
    proxy.stop_for(2.5)
    assert operation(filled, tmp_path) == b"content"
    bucket = filled.rstrip("/")
    first, last = [record.getMessage() for record in caplog.records if record.name == outages.__name__]
    assert first.startswith(f"{bucket} does not answer (")
    assert proxy.url.removeprefix("http://").split(":")[0] in first
    assert first.endswith("it is asked again for up to 180 s")
    assert "kept" not in first
    assert last == f"{bucket} answers again"


def test_patience_has_an_end_and_the_error_says_for_how_long(
    filled: str, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "PATIENCE_S", 1)
    proxy.stop()
    try:
        with pytest.raises(
            OutageError, match=rf"cannot read '{filled}/kept', tried for \d+ s: the storage does not answer \(.*127\.0\.0\.1"
        ):
            storage.read_bytes(f"{filled}/kept")
        with pytest.raises(OutageError, match="cannot look up"):
            storage.exists(f"{filled}/kept")
    finally:
        proxy.start()


@pytest.mark.parametrize(
    ("ask", "most"),
    [
        (lambda root: storage.read_bytes(f"{root}/absent"), 3),
        (lambda root: storage.local_copy(f"{root}/absent").__enter__(), 3),
        (lambda root: storage.write_bytes(f"{root}-absent/new", b""), 2),
        (lambda root: storage.read_bytes(f"{root}-absent/new"), 2),
    ],
    ids=["read", "download", "write to no bucket", "read from no bucket"],
)
def test_what_is_not_there_is_told_at_once(root: str, proxy: Proxy, ask: Callable[[str], object], most: int) -> None:
    with pytest.raises(StorageError) as raised:
        ask(root)
    assert not isinstance(raised.value, OutageError)
    assert len(proxy.requests) <= most


def test_a_bucket_that_is_not_there_is_no_object_that_is_not_there(s3_storage: str) -> None:
    with pytest.raises(StorageError, match="The specified bucket does not exist"):
        storage.exists(f"{s3_storage}-absent/new")


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_refusal_is_told_at_once(filled: str, proxy: Proxy, tmp_path: Path, operation: Callable[[str, Path], bytes], status: int) -> None:
    proxy.requests.clear()
    proxy.faults.extend([status] * 100)
    with pytest.raises(StorageError) as raised:
        operation(filled, tmp_path)
    assert not isinstance(raised.value, OutageError)
    assert len(proxy.requests) <= 2


def test_what_failed_late_is_tried_again_all_the_same(filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "PATIENCE_S", 0.2)
    tries = iter([0.5, 0])

    def transfer() -> str:
        if duration_s := next(tries):
            time.sleep(duration_s)
            raise ConnectionResetError
        return "done"

    assert storage.patiently("write", f"{filled}/large", transfer) == "done"


@pytest.mark.parametrize(
    "environment", [{"AWS_PROFILE": "absent"}, {"AWS_ACCESS_KEY_ID": "", "AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nowhere"}]
)
def test_credentials_that_cannot_be_used_are_told_at_once(
    s3_storage: str, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    object_stores.client_of.cache_clear()
    with pytest.raises(StorageError, match=r"profile|credentials") as raised:
        storage.read_bytes(f"{s3_storage}/kept")
    assert not isinstance(raised.value, OutageError)


@pytest.mark.parametrize("status", [403, 503])
def test_no_error_is_taken_for_the_answer_that_nothing_is_there(
    filled: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(outages, "PATIENCE_S", 0)
    for uri in (f"{filled}/kept", filled):
        proxy.faults.extend([status] * 2)
        with pytest.raises(StorageError, match="cannot look up"):
            storage.exists(uri)
        proxy.faults.clear()


@pytest.mark.parametrize("error", [requests.exceptions.SSLError("self-signed"), BotoSSLError(endpoint_url="https://a", error="wrong")])
def test_a_certificate_that_is_wrong_is_no_outage(error: Exception) -> None:
    assert not is_outage(error)


@pytest.mark.parametrize(("status", "expected"), [(500, True), (501, False), (503, True), (505, False), (429, True), (403, False)])
def test_what_a_server_cannot_do_at_all_is_no_outage(status: int, expected: bool) -> None:
    answer = {"Error": {"Code": "Code"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    assert is_outage(ClientError(answer, "PutObject")) is expected
