"""Fixtures that more than one room's tests use."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from tests import emulators
from tests.disks import Disk
from tests.outages import Proxy

WITH_CONTAINERS = ("tests/cluster/", "tests/docker/")
REAL_DATA = Path(os.environ.get("LUS_REAL_DATA", Path(__file__).parents[2] / "shared" / "data" / "pocus"))


class ByFile(LoadFileScheduling):
    """Gives each file of tests to one worker, and all that starts containers to the same one."""

    def _split_scope(self, nodeid: str) -> str:
        return "containers" if nodeid.startswith(WITH_CONTAINERS) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Divides the tests among workers, where there are several."""
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with what takes longest."""
    items.sort(key=lambda item: not item.nodeid.startswith(WITH_CONTAINERS))


@pytest.fixture(scope="session")
def real_manifest() -> Path:
    """The manifest of real lung-ultrasound videos, which are not part of the project."""
    manifest = REAL_DATA / "manifest.csv"
    if not manifest.exists():
        pytest.skip("the real videos are not here; set LUS_REAL_DATA to their folder")
    return manifest


@pytest.fixture
def make_disk(tmp_path: Path) -> Iterator[Callable[..., Disk]]:
    """Mounts a small disk of its own: gets its size in bytes, and tmpfs's options."""
    disks: list[Disk] = []

    def make(num_bytes: int, options: str = "") -> Disk:
        path = tmp_path / f"disk-{len(disks)}"
        path.mkdir()
        try:
            disks.append(Disk(path, num_bytes, options))
        except OSError as error:
            pytest.skip(f"no small disk can be mounted here ({error}); root can")
        return disks[-1]

    yield make
    for disk in disks:
        disk.unmount()


@pytest.fixture(scope="session")
def _gs_emulator() -> Iterator[str]:
    with emulators.gs_emulator() as url:
        yield url


@pytest.fixture
def gs_storage(_gs_emulator: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """URI of an empty gs:// bucket in an emulator that the Google client talks to over HTTP."""
    monkeypatch.setenv(emulators.ENDPOINTS["gs"], _gs_emulator)
    return emulators.new_bucket("gs")


@pytest.fixture(scope="session")
def _s3_server() -> Iterator[str]:
    with emulators.s3_emulator() as url:
        yield url


@pytest.fixture
def s3_storage(_s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """URI of an empty s3:// bucket on a server that boto3 talks to over HTTP."""
    for name, value in {emulators.ENDPOINTS["s3"]: _s3_server, **emulators.S3_CREDENTIALS}.items():
        monkeypatch.setenv(name, value)
    return emulators.new_bucket("s3")


@pytest.fixture
def s3_proxy(s3_storage: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """What all requests to `s3_storage` go through; who is refused asks again soon."""
    import tenacity

    from components.core.storage import outages
    from components.core.storage.object_stores import client_of

    proxy = Proxy(os.environ["AWS_ENDPOINT_URL"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    monkeypatch.setattr(outages, "BACK_OFF", tenacity.wait_fixed(0.05))
    client_of.cache_clear()
    yield proxy
    proxy.stop()
    client_of.cache_clear()
