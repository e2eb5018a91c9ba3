"""A storage that does not answer in the middle of ingest: the step waits, or ends; no video is called missing because of it."""

from pathlib import Path

import pytest

from components.core import storage
from components.core.errors import OutageError, StorageError
from components.core.records.video_records import Status
from components.core.storage import outages
from components.ingest.ingest import IngestResult, Options, ingest_videos
from tests.ingest.web import filled_video
from tests.outages import Proxy

NUM_VIDEOS = 6


def ingest(folder: Path, uris: list[str], storage_uri: str, options: Options | None = None) -> IngestResult:
    lines = [f"v{number},{uri},covid," for number, uri in enumerate(uris)]
    (folder / "manifest.csv").write_text("\n".join(["video_id,uri,label,group", *lines]) + "\n", encoding="utf-8")
    return ingest_videos(str(folder / "manifest.csv"), storage_uri, options)


@pytest.fixture
def videos(tmp_path: Path) -> list[str]:
    """Local files."""
    for number in range(NUM_VIDEOS):
        (tmp_path / f"{number}.mp4").write_bytes(filled_video("mp4", number))
    return [f"{number}.mp4" for number in range(NUM_VIDEOS)]


@pytest.mark.slow
@pytest.mark.parametrize("num_requests", [0, 10, 30])
def test_ingest_goes_on_when_the_storage_is_back(
    tmp_path: Path, videos: list[str], s3_storage: str, s3_proxy: Proxy, num_requests: int
) -> None:
    s3_proxy.stop_after(num_requests, seconds=2.5)
    result = ingest(tmp_path, videos, s3_storage)
    assert [record.status for record in result.records] == [Status.STORED] * NUM_VIDEOS
    assert all(storage.exists(record.storage_uri) for record in result.records)
    assert result.videos_uri == ingest(tmp_path, videos, s3_storage).videos_uri


@pytest.mark.parametrize("num_requests", [0, 10, 30])
def test_ingest_ends_when_the_storage_stays_away_and_the_next_run_goes_on(
    tmp_path: Path, videos: list[str], s3_storage: str, s3_proxy: Proxy, num_requests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "PATIENCE_S", 1)
    s3_proxy.stop_after(num_requests)
    with pytest.raises(OutageError, match="the storage does not answer"):
        ingest(tmp_path, videos, s3_storage)
    s3_proxy.start()
    assert ingest(tmp_path, videos, s3_storage).count(Status.STORED) == NUM_VIDEOS


def test_a_storage_that_refuses_videos_ends_the_step(tmp_path: Path, videos: list[str]) -> None:
    (tmp_path / "storage" / "videos").mkdir(parents=True)
    (tmp_path / "storage" / "videos" / "receipts").write_text("in the way")
    with pytest.raises(StorageError, match=r"cannot write '.*receipts/"):
        ingest(tmp_path, videos, str(tmp_path / "storage"))


@pytest.mark.parametrize("what", ["a.mp4", "bucket"])
def test_a_source_in_a_storage_that_refuses_ends_the_step(tmp_path: Path, s3_storage: str, s3_proxy: Proxy, what: str) -> None:
    """Nobody knows what is behind a refusal; of a video that is not there the storage says so."""
    storage.write_bytes(f"{s3_storage}/a.mp4", filled_video("mp4"))
    source = f"{s3_storage}/a.mp4" if what == "a.mp4" else f"{s3_storage}-absent/a.mp4"
    s3_proxy.faults.extend([403] if what == "a.mp4" else [])
    with pytest.raises(StorageError, match=f"{source}': .*(403|NoSuchBucket)") as raised:
        ingest(tmp_path, [source], str(tmp_path / "storage"))
    assert not isinstance(raised.value, OutageError)


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_sources_in_storages_are_asked_again_when_that_is_wanted(tmp_path: Path, scheme: str, request: pytest.FixtureRequest) -> None:
    root = request.getfixturevalue(f"{scheme}_storage")
    uris = [f"{root}/{name}.mp4" for name in ("same", "changed", "gone")]
    for number, uri in enumerate(uris):
        storage.write_bytes(uri, filled_video("mp4", number))
    before = ingest(tmp_path, uris, str(tmp_path / "storage")).records
    storage.write_bytes(uris[1], filled_video("mp4", 7))
    storage.delete_file(uris[2])
    assert ingest(tmp_path, uris, str(tmp_path / "storage")).records == before
    same, changed, gone = ingest(tmp_path, uris, str(tmp_path / "storage"), Options(recheck=True)).records
    assert (same, gone) == (before[0], before[2])
    assert changed.status is Status.REJECTED
    assert changed.reason.startswith(f"its content has changed since {before[1].fetched_at}: ")


def test_a_source_in_a_storage_that_does_not_answer_is_not_missing(
    tmp_path: Path, s3_storage: str, s3_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "PATIENCE_S", 1)
    storage.write_bytes(f"{s3_storage}/a.mp4", filled_video("mp4"))
    uris = [f"{s3_storage}/a.mp4", f"{s3_storage}/absent.mp4"]
    s3_proxy.stop()
    with pytest.raises(OutageError):
        ingest(tmp_path, uris, str(tmp_path / "storage"))
    with pytest.raises(OutageError):
        ingest(tmp_path, ["a.mp4"], str(tmp_path / "storage"), Options(drop_in=s3_storage))
    s3_proxy.start()
    records = ingest(tmp_path, uris, str(tmp_path / "storage")).records
    assert [(record.status, record.reason) for record in records] == [(Status.STORED, ""), (Status.MISSING, "file not found")]
