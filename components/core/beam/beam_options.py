"""Apache Beam as steps take it: options in one text, where workers leave files, what they have done so far, and what one failed of."""

import contextlib
import logging
import re
import shlex
import sys
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO, cast

from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from apache_beam.runners.runner import create_runner
from apache_beam.utils.shared import Shared

from components.core import storage
from components.core.beam import dask_cluster
from components.core.errors import AbsentError, DataError, DiskError, OutageError, PipelineError, StorageError, UsageError
from components.core.files import local_files

# Named by its class: `DirectRunner` would first look for the Prism runner's binary on the network.
DIRECT_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
# Beam's own, with its losses mended. Its module imports Dask, which takes a second: only who names it does.
DASK_RUNNER = "components.core.beam.dask_runner.DaskRunner"
# Runners whose workers are on this machine and see its files; DASK_RUNNER's are when it is given no address.
_RUNNERS_HERE = ("FnApiRunner", "DirectRunner", "BundleBasedDirectRunner")

# A line of progress comes after a tenth of the videos, at the latest after so many.
MAX_VIDEOS_A_LINE = 100

_KINDS = {kind.__name__: kind for kind in (AbsentError, DataError, DiskError, OutageError, StorageError, UsageError)}
_LAST_LINE = re.compile(rf"^components\.core\.errors\.({'|'.join(_KINDS)}): (.*)$", re.MULTILINE)
_STEP = re.compile(r" \[while running .*\]$")

_log = logging.getLogger(__name__)

# Beam tells of every channel and thread that it opens.
logging.getLogger("apache_beam").setLevel(logging.WARNING)


def _is_news(record: logging.LogRecord) -> bool:
    """Tells whether Beam logs something else than an error of this project, which `worker_failures` raises and the step tells."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, PipelineError) and not _LAST_LINE.search(record.getMessage())


for _name in ("apache_beam.runners.common", "apache_beam.runners.worker.sdk_worker"):
    logging.getLogger(_name).addFilter(_is_news)


def pipeline_options(beam_options: str, *defaults: str) -> PipelineOptions:
    """Returns Beam's options.

    Args:
        beam_options: of the user; without a runner among them, it is the one of DIRECT_RUNNER. `DaskRunner` is the one of DASK_RUNNER.
        defaults: options that hold unless the user says otherwise.

    Raises:
        UsageError: they cannot be split, or name no runner that Beam knows.
    """
    try:
        given = shlex.split(beam_options)
    except ValueError as error:
        raise UsageError(f"beam_options {beam_options!r} cannot be split into options ({error}); quote them as in a shell.") from None
    options = PipelineOptions([f"--runner={DIRECT_RUNNER}", *defaults, *given])
    chosen = options.view_as(StandardOptions)
    if _class_name(chosen.runner).lower() in ("dask", "daskrunner"):
        chosen.runner = DASK_RUNNER
    try:
        create_runner(chosen.runner)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"beam_options {beam_options!r} name no runner that Beam knows ({error}).") from None
    return options


@contextlib.contextmanager
def work_folder(options: PipelineOptions, storage_uri: str, local_folder: Path | None = None) -> Iterator[str]:
    """Gives the URI of a folder for what workers write, which is deleted afterwards: in the storage, or here when they run here.

    A Dask cluster is connected to, or started here, for the block, and has been checked when the block begins.

    Args:
        options: of the run.
        storage_uri: where the project keeps what all machines see; may be empty.
        local_folder: in which the folder is made when workers run here; the system's for temporary files when None.

    Raises:
        UsageError: workers run elsewhere and there is no storage that they see; or a Dask cluster does not fit.
        ClusterError: a Dask cluster does not answer.
        StorageError: the folder cannot be deleted.
    """
    runner = options.view_as(StandardOptions).runner
    is_here = _workers_are_here(options)
    if not is_here and not storage_uri:
        raise UsageError(f"the workers of the runner {runner!r} pass files through the storage, and none is given; give --storage.")
    check_workers_see(options, [] if is_here else [storage_uri])
    with _cluster(options):
        if is_here:
            with local_files.temporary_folder("work-", local_folder) as folder:
                yield str(folder)
            return
        uri = storage.join(storage.absolute_uri(storage_uri), storage.WORK_NAME, uuid.uuid4().hex)
        try:
            yield uri
        finally:
            storage.delete_folder(uri)


def check_workers_see(options: PipelineOptions, uris: Iterable[str]) -> None:
    """Checks that nothing of what workers read or write is on this machine alone, when they are those of a Dask cluster elsewhere.

    Raises:
        UsageError: something is.
    """
    if options.view_as(StandardOptions).runner != DASK_RUNNER or _workers_are_here(options):
        return
    for uri in uris:
        if not storage.scheme_of(uri):
            raise UsageError(
                f"the workers of a Dask cluster share no disk with this machine and do not see {uri!r}; keep it in a bucket (gs:// or "
                "s3://), or leave --dask_client_address out for workers on this machine."
            )


def _dask_settings(options: PipelineOptions) -> dict[str, Any] | None:
    """Returns the settings of Dask's client; None with another runner."""
    if options.view_as(StandardOptions).runner != DASK_RUNNER:
        return None
    from components.core.beam.dask_runner import settings_of

    return settings_of(options)[0]


def _workers_are_here(options: PipelineOptions) -> bool:
    settings = _dask_settings(options)
    if settings is None:
        return _class_name(options.view_as(StandardOptions).runner) in _RUNNERS_HERE
    return not dask_cluster.is_elsewhere(settings)


def _cluster(options: PipelineOptions) -> contextlib.AbstractContextManager[None]:
    """Returns what has to be entered before a pipeline runs."""
    settings = _dask_settings(options)
    if settings is None:
        return contextlib.nullcontext()
    return dask_cluster.connected(settings, options.view_as(DirectOptions).direct_num_workers)


def _class_name(runner: str) -> str:
    return runner.rpartition(".")[2]


class VideoProgress:
    """Counts the videos that workers have read, and tells of it now and then.

    Workers of a Dask cluster send what they count to the process that waits for them (`shown`). With other runners each worker process
    counts for itself, and Beam brings its log, which with the direct runner is the log of this process.
    """

    def __init__(self, num_videos: int) -> None:
        self._num_videos = num_videos
        self._topic = ""
        self._counts_of_process = Shared()

    @contextlib.contextmanager
    def shown(self, options: PipelineOptions) -> Iterator[None]:
        """Listens to the workers of a Dask cluster in the block, which runs the pipeline."""
        if options.view_as(StandardOptions).runner != DASK_RUNNER:
            yield
            return
        self._topic = f"videos-{uuid.uuid4().hex}"
        counts = _Counts(self._num_videos)
        with dask_cluster.told(self._topic, lambda message: counts.add(*message)):
            yield

    def count(self, video_id: str, num_clips: int) -> None:
        """Counts one video, on a worker."""
        if self._topic:
            dask_cluster.tell(self._topic, [video_id, num_clips])
        else:
            self._counts_of_process.acquire(lambda: _Counts(self._num_videos)).add(video_id, num_clips)


class _Counts:
    """The videos that have been read; one that is read again, because its worker was lost, counts once."""

    def __init__(self, num_videos: int) -> None:
        self._num_videos = num_videos
        self._interval = max(1, min(MAX_VIDEOS_A_LINE, num_videos // 10))
        self._lock = threading.Lock()
        self._start = time.monotonic()
        self._num_clips: dict[str, int] = {}

    def add(self, video_id: str, num_clips: int) -> None:
        with self._lock:
            if video_id in self._num_clips:
                return
            self._num_clips[video_id] = num_clips
            num_done = len(self._num_clips)
            if num_done % self._interval == 0 or num_done == self._num_videos:
                _log.info(
                    "decoded %d of %d videos: %d clips, %d videos without clips, %.1f videos/s",
                    num_done,
                    self._num_videos,
                    sum(self._num_clips.values()),
                    sum(not number for number in self._num_clips.values()),
                    num_done / (time.monotonic() - self._start),
                )


class _WithoutTold:
    """A text stream before another one that leaves out tracebacks of this project's errors, which Beam's worker prints as a whole."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._left_out = False

    def write(self, text: str) -> int:
        was_left_out, self._left_out = self._left_out, bool(_LAST_LINE.search(text))
        if not self._left_out and not (was_left_out and text == "\n"):
            self._stream.write(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def worker_failures() -> Iterator[None]:
    """Raises an error of this project that ended a worker as it was, without what Beam makes and prints of it.

    A runner in this process adds the step to the message; others give the text of a traceback.
    """
    try:
        with contextlib.redirect_stderr(cast(TextIO, _WithoutTold(sys.stderr))):
            yield
    except PipelineError as error:
        raise type(error)(_STEP.sub("", str(error))) from None
    except RuntimeError as error:
        found = _LAST_LINE.search(str(error))
        if not found:
            raise
        raise _KINDS[found[1]](_STEP.sub("", found[2])) from None
