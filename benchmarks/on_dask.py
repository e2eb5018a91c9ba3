"""How long preprocess takes on Dask against the in-memory runner, and whether both write the same bytes.

    python -m benchmarks.on_dask --manifest MANIFEST [--workers 1 2] [--copies 1]
    python -m benchmarks.on_dask --manifest MANIFEST --scheduler tcp://HOST:8786

Every run reads the videos from the same bucket and writes to it: at AWS_ENDPOINT_URL when that is set, else on the tests' emulator, which
answers one request at a time. Without --scheduler a scheduler and workers of one thread are started on this machine, speak TCP, and have
imported what they need when the clock starts, as on a cluster that stays. `in memory` is Beam's direct runner in this process with so many
threads; each of its threads, as each worker, decodes in a child process. On Dask the clips of each video pass through the bucket, too.

Measured on 96 real videos, with the emulator in a process of its own, two runs on two cores on which a Kubernetes cluster and tests ran at
the same time (load 4 to 9, so only the order of magnitude counts): in memory 36 and 41 s with one thread, 24 and 45 s with two; Dask 77 and
130 s with one worker, 118 and 61 s with two. The bytes were the same every time. It is the bucket that costs: in memory with one thread,
clips that pass through it take 77 s, too. On one small machine Dask does not pay; it is for more machines than one.
"""

import argparse
import contextlib
import dataclasses
import inspect
import itertools
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
from distributed import Client

from components.core import storage
from components.core.records.manifest import read_manifest
from components.core.records.video_records import Status, VideoRecord, write_videos
from components.preprocess.component import preprocess
from components.preprocess.preprocess import Settings, build_dataset
from tests.dask_processes import dask_processes
from tests.emulators import S3_CREDENTIALS, new_bucket, s3_emulator


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", required=True)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--scheduler", default="", help="address of a cluster that is there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, _bucket() as bucket:
        folder = Path(name)
        records = list(_stored(options.manifest, options.copies, bucket))
        write_videos(folder / "videos.jsonl", records)
        print(f"{len(records)} videos")
        print(f"{'':24}{'seconds':>9}{'ratio':>8}   same bytes", flush=True)
        build = _Builder(folder, bucket)
        for number in options.workers:
            build(f"in memory, {number}", number, "")
        if options.scheduler:
            build("Dask", 1, f"--runner=DaskRunner --dask_client_address={options.scheduler}")
            return
        for number in options.workers:
            with _cluster(folder / f"dask-{number}", number) as beam_options:
                build(f"Dask, {number}", 1, beam_options)


class _Builder:
    """Builds the dataset again and again and compares it with the first one."""

    def __init__(self, folder: Path, bucket: str) -> None:
        defaults = inspect.signature(preprocess.python_func).parameters
        self._settings = Settings(**{field.name: defaults[field.name].default for field in dataclasses.fields(Settings)})
        self._folder, self._bucket = folder, bucket
        self._numbers = itertools.count()
        self._first_s = 0.0
        self._expected: dict[str, bytes] = {}

    def __call__(self, title: str, num_workers: int, beam_options: str) -> None:
        """Prints a line."""
        name = f"dataset-{next(self._numbers)}"
        start = time.perf_counter()
        built = build_dataset(
            self._folder / "videos.jsonl", f"{self._bucket}/{name}", self._folder / name, self._settings, num_workers, beam_options
        )
        seconds = time.perf_counter() - start
        found = {path.name: path.read_bytes() for path in built.path.iterdir()}
        self._expected, self._first_s = self._expected or found, self._first_s or seconds
        same = "yes" if found == self._expected else "NO"
        print(f"{title:24}{seconds:9.1f}{seconds / self._first_s:8.2f}   {same}", flush=True)


def _stored(manifest: str, copies: int, bucket: str) -> Iterator[VideoRecord]:
    """Copies the videos of a manifest to the bucket; every further copy of one is a video of a group of its own."""
    for row in read_manifest(manifest):
        uri = f"{bucket}/videos/{row.video_id}{Path(row.uri).suffix}"
        storage.put_file(Path(row.uri), uri)
        for copy in range(copies):
            video = dataclasses.replace(row, video_id=f"{row.video_id}-{copy}", group=f"{row.group}-{copy}")
            yield VideoRecord(video, Status.STORED, storage_uri=uri, sha256=video.video_id)


@contextlib.contextmanager
def _bucket() -> Iterator[str]:
    """Gives the URI of an empty bucket, which is deleted afterwards."""
    with contextlib.ExitStack() as stack:
        if "AWS_ENDPOINT_URL" not in os.environ:
            os.environ |= {**S3_CREDENTIALS, "AWS_ENDPOINT_URL": stack.enter_context(s3_emulator())}
        uri = new_bucket("s3")
        try:
            yield uri
        finally:
            storage.delete_folder(uri)
            boto3.client("s3").delete_bucket(Bucket=uri.removeprefix("s3://"))


@contextlib.contextmanager
def _cluster(folder: Path, num_workers: int) -> Iterator[str]:
    """Gives Beam's options for a scheduler to which so many workers are connected."""
    folder.mkdir()
    with dask_processes(folder, {}, num_workers) as cluster:
        with Client(cluster.address, timeout=120) as client:
            client.wait_for_workers(num_workers, 120)
        yield cluster.options


if __name__ == "__main__":
    main()
