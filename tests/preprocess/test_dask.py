"""Preprocess on Dask: a scheduler and workers that share nothing but an object store."""

import dataclasses
import logging
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import apache_beam as beam
import pytest

from components.core import storage
from components.core.beam import beam_options
from components.core.beam.beam_options import check_workers_see, pipeline_options, work_folder
from components.core.errors import ClusterError, Interrupted, StorageError, UsageError
from components.core.files import json_lines
from components.core.records import clips
from components.core.records.video_records import VideoRecord, write_videos
from components.core.video.sampling import Sampling
from components.preprocess import beam_pipeline
from components.preprocess.beam_pipeline import DecodeVideos, VideoTask, decode
from components.preprocess.outcomes import BuiltDataset
from components.preprocess.preprocess import build_dataset
from tests.core.video.crashes import aborting_at_bad_ones
from tests.dask_processes import DaskProcesses, dask_processes
from tests.preprocess.test_preprocess import SETTINGS, build, content, stored
from tests.videos import CODECS, numbered_frames

pytestmark = pytest.mark.slow

NUM_VIDEOS = 18


@pytest.fixture(scope="module")
def environment(_s3_server: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": _s3_server,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


@pytest.fixture(scope="module")
def cluster(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskProcesses]:
    with dask_processes(tmp_path_factory.mktemp("dask"), environment, num_workers=2) as processes:
        yield processes


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> list[VideoRecord]:
    """Videos of this machine, in all containers."""
    folder = tmp_path_factory.mktemp("records")
    names = (clips.CLASS_NAMES * NUM_VIDEOS)[:NUM_VIDEOS]
    return [stored(folder, f"{name}-{n}", name, numbered_frames(20 + n), sorted(CODECS)[n % len(CODECS)]) for n, name in enumerate(names)]


@pytest.fixture(scope="module")
def expected(local: list[VideoRecord], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the in-memory runner writes."""
    return content(build(tmp_path_factory.mktemp("expected"), local).path)


@pytest.fixture
def remote(local: list[VideoRecord], s3_storage: str) -> list[VideoRecord]:
    """The same videos in a bucket."""
    uris = [storage.join(s3_storage, "videos", Path(record.storage_uri).name) for record in local]
    for record, uri in zip(local, uris, strict=True):
        storage.put_file(Path(record.storage_uri), uri)
    return [dataclasses.replace(record, storage_uri=uri) for record, uri in zip(local, uris, strict=True)]


@pytest.fixture
def at_the_third_video() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Calls a function when three videos are decoded."""
    calls: list[Callable[[], object]] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith("decoded 3 of"):
                calls.pop()()

    log, listener = logging.getLogger(beam_options.__name__), Listener()
    log.addHandler(listener)
    log.setLevel(logging.INFO)
    yield calls.append
    log.removeHandler(listener)


def build_on(cluster: DaskProcesses, folder: Path, records: list[VideoRecord], storage_uri: str) -> BuiltDataset:
    write_videos(folder / "videos.jsonl", records)
    return build_dataset(folder / "videos.jsonl", storage_uri, folder / "dataset", SETTINGS, 1, cluster.options)


def test_workers_that_share_only_storage_write_the_bytes_of_the_direct_runner(
    tmp_path: Path,
    cluster: DaskProcesses,
    remote: list[VideoRecord],
    s3_storage: str,
    expected: dict[str, bytes],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with caplog.at_level(logging.INFO):
        built = build_on(cluster, tmp_path, remote, s3_storage)
    assert content(built.path) == expected
    assert not storage.exists(storage.join(s3_storage, "work"))
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("components.core")]
    assert ours[0] == f"connecting to the Dask scheduler {cluster.address}"
    assert [message.partition(":")[0] for message in ours[2:]] == [f"decoded {n + 1} of {NUM_VIDEOS} videos" for n in range(NUM_VIDEOS)]
    assert not [record for record in caplog.records if record.name.startswith(("dask", "distributed", "tornado"))]
    assert "distributed" not in capfd.readouterr().err


def test_a_worker_that_is_killed_changes_no_byte(
    tmp_path: Path,
    cluster: DaskProcesses,
    remote: list[VideoRecord],
    s3_storage: str,
    expected: dict[str, bytes],
    at_the_third_video: Callable[[Callable[[], object]], None],
) -> None:
    victim = cluster.processes[-1]
    at_the_third_video(victim.kill)
    built = build_on(cluster, tmp_path, remote, s3_storage)
    assert victim.wait() == -signal.SIGKILL
    assert content(built.path) == expected
    cluster.start_worker()


def test_sigterm_cancels_the_work_and_leaves_nothing(
    tmp_path: Path,
    cluster: DaskProcesses,
    remote: list[VideoRecord],
    s3_storage: str,
    at_the_third_video: Callable[[Callable[[], object]], None],
) -> None:
    from distributed import Client

    at_the_third_video(lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted, match="its work on Dask is cancelled"):
        build_on(cluster, tmp_path, remote, s3_storage)
    with Client(cluster.address) as client:
        assert not any(client.run(lambda dask_worker: dask_worker.state.executing_count).values())
    assert not storage.exists(storage.join(s3_storage, "work"))
    assert not (tmp_path / "dataset").exists()


def test_a_scheduler_that_is_lost_is_one_sentence(
    tmp_path: Path,
    environment: dict[str, str],
    remote: list[VideoRecord],
    s3_storage: str,
    at_the_third_video: Callable[[Callable[[], object]], None],
) -> None:
    with dask_processes(tmp_path, environment, num_workers=1) as cluster:
        at_the_third_video(cluster.processes[0].kill)
        with pytest.raises(ClusterError, match="the connection to its scheduler was lost; start it again"):
            build_on(cluster, tmp_path, remote, s3_storage)
    assert not (tmp_path / "dataset").exists()


def test_a_crash_of_the_decoder_loses_one_video_and_no_worker(cluster: DaskProcesses, remote: list[VideoRecord], s3_storage: str) -> None:
    crashing = storage.join(s3_storage, "videos", "crash.avi")
    storage.put_file(Path(__file__), crashing)
    uris = [remote[0].storage_uri, crashing, remote[1].storage_uri]
    tasks = [VideoTask(dataclasses.replace(remote[0].row, video_id=uri), uri, f"{uri}.tfrecord") for uri in uris]
    options = pipeline_options(cluster.options)
    ended = [process.poll() for process in cluster.processes]
    with work_folder(options, s3_storage) as work_uri:
        found_uri = storage.join(work_uri, "found.jsonl")
        with beam.Pipeline(options=options) as pipeline:
            decoding = beam.ParDo(DecodeVideos(Sampling(25, 1), len(tasks), read=aborting_at_bad_ones))
            beam_pipeline._gather(pipeline | beam.Create(tasks) | decoding, found_uri)
        found = {fields["video_id"]: fields["reason"] for fields in json_lines.parse(storage.read_bytes(found_uri))}
    assert found == {uris[0]: "", crashing: "the decoder crashed on it (SIGABRT)", uris[2]: ""}
    assert [process.poll() for process in cluster.processes] == ended


def test_the_error_of_a_worker_is_one_sentence(cluster: DaskProcesses, remote: list[VideoRecord], s3_storage: str) -> None:
    tasks = [VideoTask(record.row, record.storage_uri, "s3://no-such-bucket/clips.tfrecord") for record in remote[:3]]
    options = pipeline_options(cluster.options)
    with (
        work_folder(options, s3_storage) as work_uri,
        pytest.raises(StorageError, match=r"^cannot write 's3://no-such-bucket/clips\.tfrecord': .*access it\.$"),
    ):
        decode(tasks, Sampling(25, 1), storage.join(work_uri, "outcomes.jsonl"), options)


def test_a_cluster_on_this_machine_needs_no_bucket(tmp_path: Path, local: list[VideoRecord], expected: dict[str, bytes]) -> None:
    write_videos(tmp_path / "videos.jsonl", local)
    built = build_dataset(tmp_path / "videos.jsonl", str(tmp_path / "storage"), tmp_path / "dataset", SETTINGS, 2, "--runner=DaskRunner")
    assert content(built.path) == expected


def test_videos_that_workers_do_not_see_are_refused(local: list[VideoRecord]) -> None:
    options = pipeline_options("--runner=DaskRunner --dask_client_address=tcp://127.0.0.1:1")
    tasks = [VideoTask(record.row, record.storage_uri, "s3://bucket/clips.tfrecord") for record in local]
    with pytest.raises(UsageError, match=r"share no disk with this machine and do not see '.*\.avi'; keep it in a bucket"):
        decode(tasks, Sampling(25, 1), "s3://bucket/outcomes.jsonl", options)
    check_workers_see(pipeline_options("--runner=DaskRunner"), [tasks[0].storage_uri])
