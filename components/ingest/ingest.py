"""Ingest: manifest rows → videos stored by content, and a record of what became of every row.

<storage>/videos/<sha256>.<ext>            the bytes; two rows with the same bytes share one object
<storage>/videos/receipts/<sha256>.json    per manifest URI (hashed): what it gave, so that a later run fetches it no second time
"""

import collections
import dataclasses
import datetime
import hashlib
import json
import logging
import tempfile
from pathlib import Path

import filetype

from components.core import storage
from components.core.errors import DataError
from components.core.manifest import ManifestRow, Status, VideoRecord, read_manifest, write_videos
from components.ingest.fetching import FetchError, fetch

VIDEO_EXTENSIONS = frozenset({"avi", "gif", "m4v", "mkv", "mov", "mp4", "mpg", "webm", "wmv"})
PROGRESS_EVERY = 10

_log = logging.getLogger(__name__)


class _RejectedError(Exception):
    """What came is not a video that the pipeline can use; the message is the reason."""


@dataclasses.dataclass(frozen=True)
class _Receipt:
    """What a manifest URI gave when it was fetched."""

    uri: str
    sha256: str
    num_bytes: int
    extension: str
    fetched_at: str


@dataclasses.dataclass(frozen=True)
class IngestResult:
    """What became of every row of the manifest, in its order, and how many objects this run added to storage."""

    records: list[VideoRecord]
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
        write_videos(videos_path, self.records)
        storage.write_bytes(summary_path, _summary(self.records).encode())


def ingest_videos(manifest_uri: str, storage_uri: str) -> IngestResult:
    """Stores the videos of a manifest.

    Args:
        manifest_uri: the CSV; see core.manifest.
        storage_uri: where videos go; see the module's layout.

    Raises:
        UsageError: the manifest is wrong.
        StorageError: the storage cannot be written.
        DataError: not one video could be stored.
    """
    rows = read_manifest(manifest_uri)
    store = _VideoStore(storage.absolute_uri(storage_uri))
    records = []
    for number, row in enumerate(rows, start=1):
        record = store.ingest(row)
        records.append(record)
        if record.status is not Status.STORED:
            _log.warning("%s: %s: %s", row.video_id, record.status.value, record.reason)
        if number % PROGRESS_EVERY == 0 or number == len(rows):
            _log.info("%d of %d videos", number, len(rows))
    result = IngestResult(records, store.num_new_objects)
    if not result.count(Status.STORED):
        raise DataError(f"none of the {len(rows)} videos could be stored; the first one: {records[0].reason}.")
    _log.info(
        "%d stored (%d objects are new), %d missing, %d rejected",
        *(result.count(Status.STORED), result.num_new_objects, result.count(Status.MISSING), result.count(Status.REJECTED)),
    )
    return result


class _VideoStore:
    """The folder of stored videos and receipts below a storage URI."""

    def __init__(self, storage_uri: str) -> None:
        storage.check_writable(storage_uri)
        self._folder = storage.join(storage_uri, "videos")
        self.num_new_objects = 0

    def ingest(self, row: ManifestRow) -> VideoRecord:
        """Stores one video unless it is there, and says what became of it."""
        try:
            receipt = self._earlier_receipt(row.uri) or self._fetch(row)
            _check_expected(row, receipt)
        except FetchError as error:
            return VideoRecord(row, Status.MISSING, reason=str(error))
        except _RejectedError as error:
            return VideoRecord(row, Status.REJECTED, reason=str(error))
        return VideoRecord(
            row,
            Status.STORED,
            storage_uri=self._object_uri(receipt),
            sha256=receipt.sha256,
            num_bytes=receipt.num_bytes,
            fetched_at=receipt.fetched_at,
        )

    def _object_uri(self, receipt: _Receipt) -> str:
        return storage.join(self._folder, f"{receipt.sha256}.{receipt.extension}")

    def _receipt_uri(self, uri: str) -> str:
        return storage.join(self._folder, "receipts", f"{hashlib.sha256(uri.encode()).hexdigest()}.json")

    def _earlier_receipt(self, uri: str) -> _Receipt | None:
        """Returns what the URI gave before, if that is still stored and, for a local file, still what the file holds."""
        if not storage.exists(self._receipt_uri(uri)):
            return None
        receipt = _Receipt(**json.loads(storage.read_bytes(self._receipt_uri(uri))))
        if not storage.exists(self._object_uri(receipt)):
            return None
        changed = not storage.scheme_of(uri) and Path(uri).is_file() and _sha256_of(Path(uri)) != receipt.sha256
        return None if changed else receipt

    def _fetch(self, row: ManifestRow) -> _Receipt:
        with tempfile.TemporaryDirectory(prefix="lus-ingest-") as folder:
            local = Path(folder) / "video"
            fetch(row.uri, local)
            receipt = _Receipt(
                uri=row.uri,
                sha256=_sha256_of(local),
                num_bytes=local.stat().st_size,
                extension=_video_extension(local),
                fetched_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            )
            _check_expected(row, receipt)
            if not storage.exists(self._object_uri(receipt)):
                storage.put_file(local, self._object_uri(receipt))
                self.num_new_objects += 1
        storage.write_bytes(self._receipt_uri(row.uri), json.dumps(dataclasses.asdict(receipt), indent=2).encode())
        return receipt


def _check_expected(row: ManifestRow, receipt: _Receipt) -> None:
    if row.expected_sha256 and receipt.sha256 != row.expected_sha256:
        raise _RejectedError(f"its sha256 is {receipt.sha256}, the manifest says {row.expected_sha256}")


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _video_extension(path: Path) -> str:
    """Returns the usual extension of what the bytes are, whatever the file was called."""
    if not path.stat().st_size:
        raise _RejectedError("the file is empty")
    kind = filetype.guess(path)
    if kind is None or kind.extension not in VIDEO_EXTENSIONS:
        raise _RejectedError(f"not a video: the content is {kind.mime if kind else 'of no known type'}")
    return str(kind.extension)


def _summary(records: list[VideoRecord]) -> str:
    """Returns Markdown: a table by source, and every row that gave no video with its reason."""
    by_source: dict[str, list[VideoRecord]] = collections.defaultdict(list)
    for record in records:
        by_source[record.row.source or "(not stated)"].append(record)
    lines = ["# Ingest", "", "| source | listed | stored | missing | rejected | MB | licences |", "|---|---|---|---|---|---|---|"]
    for source, members in sorted(by_source.items()):
        counts = collections.Counter(record.status for record in members)
        licenses = ", ".join(sorted({record.row.license or "not stated" for record in members}))
        megabytes = sum(record.num_bytes for record in members) / 1e6
        statuses = " | ".join(str(counts[status]) for status in Status)
        lines.append(f"| {source} | {len(members)} | {statuses} | {megabytes:.1f} | {licenses} |")
    failed = [record for record in records if record.status is not Status.STORED]
    if failed:
        lines += ["", "| video | status | reason |", "|---|---|---|"]
        lines += [f"| {record.row.video_id} | {record.status.value} | {record.reason} |" for record in failed]
    return "\n".join(lines) + "\n"
