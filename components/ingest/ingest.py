"""Ingest: manifest rows → videos stored by content, and a record of what became of every row. See video_store for the layout."""

import collections
import concurrent.futures
import contextlib
import dataclasses
import itertools
import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from components.core import storage
from components.core.errors import DataError, DiskError, StorageError, UsageError
from components.core.files import disk_faults
from components.core.files.local_files import sha256_of
from components.core.files.outputs import write_files
from components.core.parameters import check_values
from components.core.records.clips import CLASS_NAMES
from components.core.records.manifest import ManifestRow, read_manifest
from components.core.records.selection import Selection
from components.core.records.video_records import Status, VideoRecord, videos_content
from components.ingest.drop_in import DropIn
from components.ingest.fetching import MAX_VIDEO_BYTES, Fetcher, container_of, host_of
from components.ingest.hosts import Budget
from components.ingest.outcomes import ChangedError, MissingError, RejectedError, public_uri
from components.ingest.sources.direct import NOTHING_KNOWN, UnchangedError, Validators
from components.ingest.summary import summary
from components.ingest.video_store import Receipt, VideoStore, check_expected

NUM_THREADS = 8
PROGRESS_EVERY = 10

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Options:
    """How videos are collected; the step's interface describes each of them."""

    selection: Selection = dataclasses.field(default_factory=Selection)
    drop_in: str = ""
    cookies: str = ""
    recheck: bool = False
    max_gigabytes: float = 50


@dataclasses.dataclass(frozen=True)
class IngestResult:
    """What became of every row of the manifest, in its order; where the storage keeps that list; how many objects this run added."""

    records: list[VideoRecord]
    videos_uri: str
    num_new_objects: int

    def count(self, status: Status) -> int:
        """Returns how many rows have a status."""
        return sum(record.status == status for record in self.records)

    def metrics(self) -> dict[str, float]:
        """Returns the counts that the Kubeflow UI shows."""
        counts = {f"num_{status.value}": self.count(status) for status in Status}
        return {**counts, "num_new_objects": self.num_new_objects, "num_bytes": sum(record.num_bytes for record in self.records)}

    def write(self, videos_path: Path, summary_path: Path) -> None:
        """Writes videos.jsonl and the Markdown summary."""
        write_files(
            {str(videos_path): videos_content(self.records), str(summary_path): summary(self.records).encode("utf-8", "backslashreplace")}
        )

    def check(self, min_videos_per_class: int) -> None:
        """Checks that enough came.

        Raises:
            DataError: no video was stored, or too few of a class.
        """
        if not self.count(Status.STORED):
            taken = [record for record in self.records if record.status is not Status.SKIPPED]
            raise DataError(f"none of the {len(taken)} videos could be stored; the first one: {taken[0].reason.rstrip('.')}.")
        stored = collections.Counter(record.row.class_name for record in self.records if record.status is Status.STORED)
        short = [f"{stored[name]} of class {name}" for name in CLASS_NAMES if stored[name] < min_videos_per_class]
        if short:
            raise DataError(f"only {', '.join(short)} could be stored, but min_videos_per_class is {min_videos_per_class}.")


def ingest_videos(manifest_uri: str, storage_uri: str, options: Options | None = None) -> IngestResult:
    """Stores the videos of a manifest.

    Args:
        manifest_uri: the CSV; see core.records.manifest.
        storage_uri: where videos go.
        options: see Options.

    Raises:
        UsageError: the manifest or an option is wrong.
        DiskError: a disk of this machine is full, or refuses; what is stored stays, what is unfinished is deleted.
        StorageError: the storage cannot be written, or a storage that videos come from does not answer; what is stored stays.
        DataError: a receipt in the storage is broken.
    """
    options = options or Options()
    check_values(max_gigabytes=options.max_gigabytes)
    rows = read_manifest(manifest_uri)
    _check_copies(rows)
    options.selection.check(rows)
    if options.cookies and not storage.exists(options.cookies):
        raise UsageError(f"the cookies file {options.cookies!r} does not exist.")
    cookies_file = storage.local_copy(options.cookies) if options.cookies else contextlib.nullcontext()
    with (
        cookies_file as cookies_path,
        VideoStore(storage.absolute_uri(storage_uri)) as store,
        store.work_folder() as work_folder,
        DropIn(options.drop_in, rows) as drop_in,
    ):
        fetcher = Fetcher(work_folder, Budget(options.max_gigabytes * 1e9), cookies_path)
        records = _Run(store, fetcher, drop_in, options).records(rows)
    result = IngestResult(records, store.put_list(records), store.num_new_objects)
    counts = ", ".join(f"{result.count(status)} {status.value}" for status in Status if result.count(status))
    _log.info("result: %s; %d files are new", counts, result.num_new_objects)
    return result


class _Run:
    """The work of one run on the rows that it takes."""

    def __init__(self, store: VideoStore, fetcher: Fetcher, drop_in: DropIn, options: Options) -> None:
        self._store = store
        self._fetcher = fetcher
        self._drop_in = drop_in
        self._options = options

    def records(self, rows: list[ManifestRow]) -> list[VideoRecord]:
        """Returns a record for each row; copies come last, when it is known which of their originals are stored."""
        selection = self._options.selection
        records = {row.video_id: _record(row, Status.SKIPPED, selection.reason_against(row)) for row in rows}
        taken = list(filter(selection.takes, rows))
        records |= self._ingest_all([row for row in taken if not row.copy_of])
        copies = [row for row in taken if row.copy_of]
        stored = [row for row in copies if records[row.copy_of].status is Status.STORED]
        records |= {row.video_id: _record(row, Status.SKIPPED, f"the same video as {row.copy_of}, which is stored") for row in stored}
        records |= self._ingest_all([row for row in copies if row not in stored])
        return [records[row.video_id] for row in rows]

    def _ingest_all(self, rows: list[ManifestRow]) -> dict[str, VideoRecord]:
        records: dict[str, VideoRecord] = {}
        progress = _Progress(len(rows))
        pool = concurrent.futures.ThreadPoolExecutor(NUM_THREADS)
        try:
            with logging_redirect_tqdm():
                futures = [pool.submit(self._ingest_together, members, progress) for members in _tasks(rows)]
                for future in concurrent.futures.as_completed(futures):
                    records.update({record.row.video_id: record for record in future.result()})
        except BaseException:  # Ctrl-C among them: the pool waits for its threads
            progress.close()
            self._fetcher.stop()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
            progress.close()
        return records

    def _ingest_together(self, rows: list[ManifestRow], report: Callable[[VideoRecord], None]) -> list[VideoRecord]:
        """Ingests the rows of one container."""
        records = []
        for row in rows:
            record = self._ingest(row)
            report(record)
            records.append(record)
        self._fetcher.forget(rows[0])
        return records

    def _ingest(self, row: ManifestRow) -> VideoRecord:
        """Stores one video unless it is there, and says what became of it."""
        try:
            receipt = self._receipt(row)
            check_expected(row, receipt)
        except MissingError as error:
            return _record(row, Status.MISSING, str(error))
        except RejectedError as error:
            return _record(row, Status.REJECTED, str(error))
        return dataclasses.replace(
            _record(row, Status.STORED),
            storage_uri=self._store.object_uri(receipt),
            sha256=receipt.sha256,
            num_bytes=receipt.num_bytes,
            fetched_at=receipt.fetched_at,
        )

    def _receipt(self, row: ManifestRow) -> Receipt:
        earlier = self._store.receipt(row)
        if earlier is None or not self._store.holds(earlier):
            return self._collect(row, earlier)
        if storage.scheme_of(row.uri):
            return self._rechecked(row, earlier) if self._options.recheck else earlier
        return self._collect(row, earlier) if _has_changed(row, earlier) else earlier

    def _rechecked(self, row: ManifestRow, earlier: Receipt) -> Receipt:
        """Asks the source of a stored video again; a source that has gone takes nothing away.

        Raises:
            ChangedError: the source has another video now.
        """
        try:
            return self._collect(row, earlier, Validators(earlier.etag, earlier.last_modified))
        except UnchangedError:
            pass
        except ChangedError:
            raise
        except (MissingError, RejectedError) as error:
            _log.warning("%s: stored, but its source gives it no longer: %s", row.video_id, error)
        return earlier

    def _collect(self, row: ManifestRow, earlier: Receipt | None, known: Validators = NOTHING_KNOWN) -> Receipt:
        """Takes a video from the drop-in folder or from its source, and stores it.

        Raises:
            MissingError, RejectedError: the video's own fault.
            StorageError: not its fault.
        """
        path = self._fetcher.work_path(row.uri)
        validators = NOTHING_KNOWN
        try:
            if not (storage.scheme_of(row.uri) and self._drop_in.copy(row, path, MAX_VIDEO_BYTES)):
                validators = self._fetcher.fetch(row, path, known)
            return self._store.put(row, path, validators, earlier)
        except (RejectedError, StorageError):
            path.unlink(missing_ok=True)
            raise
        except OSError as error:
            path.unlink(missing_ok=True)
            if sentence := disk_faults.sentence_about(error, path.parent, writing=True):
                raise DiskError(sentence) from error
            raise MissingError(f"local disk: {error.strerror or type(error).__name__}") from None


class _Progress:
    """Tells how far a run is, by a bar in a terminal and by lines in a log, and what gave no video."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._lock = threading.Lock()
        self._closed = False
        self._done = 0
        self._num_bytes = 0
        self._bar = tqdm(total=total, unit="video", disable=None, leave=False)  # None: not where nobody watches

    def close(self) -> None:
        """Takes the bar away, and says nothing more: what is left undone then is no video's fault."""
        self._closed = True
        self._bar.close()

    def __call__(self, record: VideoRecord) -> None:
        with self._lock:
            if self._closed:
                return
            self._done += 1
            self._num_bytes += record.num_bytes
            if record.status is not Status.STORED:
                _log.warning("%s: %s: %s", record.row.video_id, record.status.value, record.reason)
            self._bar.set_postfix_str(f"{self._num_bytes / 1e6:.1f} MB", refresh=False)
            self._bar.update()
            if self._bar.disable and (self._done % PROGRESS_EVERY == 0 or self._done == self._total):
                _log.info("%d of %d videos, %.1f MB", self._done, self._total, self._num_bytes / 1e6)


def _check_copies(rows: list[ManifestRow]) -> None:
    """Checks that each copy is one of a row of the manifest.

    Raises:
        UsageError: it is not.
    """
    originals = {row.video_id for row in rows if not row.copy_of}
    for row in rows:
        if row.copy_of and row.copy_of not in originals:
            problem = f"the video {row.video_id!r} is a copy of {row.copy_of!r}, which is no row of the manifest, or a copy itself"
            raise UsageError(f"{problem}; copy_of must hold the video_id of an original.")


def _tasks(rows: Iterable[ManifestRow]) -> list[list[ManifestRow]]:
    """Returns the rows of each container, in an order in which every host comes early."""
    by_host: dict[str, dict[str, list[ManifestRow]]] = {}
    for row in rows:
        by_host.setdefault(host_of(row), {}).setdefault(container_of(row), []).append(row)
    turns = itertools.zip_longest(*(by_container.values() for by_container in by_host.values()))
    return [members for turn in turns for members in turn if members]


def _has_changed(row: ManifestRow, receipt: Receipt) -> bool:
    """Tells whether a local file is there, can be read, and holds something else than what was stored."""
    path = Path(storage.spelled(row.uri))
    try:
        return path.is_file() and sha256_of(path) != receipt.sha256
    except OSError:
        return False


def _record(row: ManifestRow, status: Status, reason: str = "") -> VideoRecord:
    return VideoRecord(dataclasses.replace(row, uri=public_uri(row.uri)), status, reason)
