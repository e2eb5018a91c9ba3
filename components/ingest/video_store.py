"""Videos stored by content, and the receipts that say what each manifest URI gave when it was first stored.

<storage>/videos/<sha256>.<ext>            the bytes; two rows with the same bytes share one object
<storage>/videos/receipts/<sha256>.json    per manifest URI (hashed): what it gave; a later run fetches it no second time, and reports when
                                           the content behind the URI has changed
<storage>/videos/lists/<sha256>.jsonl      what runs have given, without the times of fetching: two runs that found the same give
                                           the same list, and a cache goes by its name
<storage>/videos/.partial/                 unfinished downloads, in a local storage; only one run at a time works there
"""

import collections
import contextlib
import dataclasses
import datetime
import fcntl
import hashlib
import json
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from components.core import storage
from components.core.errors import DataError, DiskError
from components.core.files.local_files import sha256_of, temporary_folder, writing
from components.core.records.manifest import ManifestRow
from components.core.records.video_records import VideoRecord, videos_content
from components.core.video import containers
from components.core.video.guarded_reader import GuardedReader
from components.ingest.outcomes import ChangedError, RejectedError, name_bytes, public_uri
from components.ingest.sources.direct import Validators

LOCK_NAME = "lock"


@dataclasses.dataclass(frozen=True)
class Receipt:
    """What a manifest URI gave when it was stored first; `uri` is without what may be secret."""

    uri: str
    sha256: str
    num_bytes: int
    extension: str
    fetched_at: str
    etag: str = ""
    last_modified: str = ""


class VideoStore:
    """The folder of stored videos and receipts below a storage URI; threads share it. A context manager: it has a child process."""

    def __init__(self, storage_uri: str) -> None:
        storage.check_writable(storage_uri)
        self._folder = storage.join(storage_uri, "videos")
        self._reader = GuardedReader(containers.__name__)
        self._reader_lock = threading.Lock()
        self._lock = threading.Lock()
        self._content_locks: dict[str, threading.Lock] = collections.defaultdict(threading.Lock)
        self.num_new_objects = 0

    def __enter__(self) -> "VideoStore":
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    @contextlib.contextmanager
    def work_folder(self) -> Iterator[Path]:
        """Gives a local folder for unfinished downloads, which the next run finds again if the storage is local and this one is killed.

        When a disk is full they are deleted: they would keep it so.
        """
        with contextlib.ExitStack() as stack:
            folder = None if storage.scheme_of(self._folder) else self._locked_folder(stack)
            if folder is None:
                yield stack.enter_context(temporary_folder("lus-ingest-"))
                return
            try:
                yield folder
            except DiskError:
                _delete_unfinished(folder)
                raise

    def _locked_folder(self, stack: contextlib.ExitStack) -> Path | None:
        """Returns the folder in the storage, which is this run's until the stack is closed, or None when another run works there."""
        folder = Path(self._folder) / ".partial"
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context((folder / LOCK_NAME).open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return None
        return folder

    def object_uri(self, receipt: Receipt) -> str:
        """Returns where the video of a receipt is stored."""
        return storage.join(self._folder, f"{receipt.sha256}.{receipt.extension}")

    def receipt_uri(self, row: ManifestRow) -> str:
        """Returns where the receipt of a row is stored."""
        return storage.join(self._folder, "receipts", f"{hashlib.sha256(name_bytes(row.uri)).hexdigest()}.json")

    def receipt(self, row: ManifestRow) -> Receipt | None:
        """Returns the receipt of a row, if there is one.

        Raises:
            DataError: it cannot be understood.
        """
        uri = self.receipt_uri(row)
        if not storage.exists(uri):
            return None
        try:
            return Receipt(**json.loads(storage.read_bytes(uri)))
        except (TypeError, ValueError) as error:
            raise DataError(f"{uri!r} is not the receipt of a video ({error}); delete it to have the video fetched again.") from None

    def holds(self, receipt: Receipt) -> bool:
        """Tells whether the video of a receipt is stored."""
        return storage.exists(self.object_uri(receipt))

    def put(self, row: ManifestRow, path: Path, validators: Validators, earlier: Receipt | None) -> Receipt:
        """Stores the video of a row, unless the same bytes are there, and its receipt, unless it has one.

        Args:
            row: the manifest's row.
            path: local file with the video; it is moved or deleted.
            validators: by what the server tells this state of the file.
            earlier: the receipt of the row, if it has one.

        Raises:
            RejectedError: it is not a video, or not the one that the manifest expects.
            ChangedError: it is not the one that was stored first.
            StorageError: the storage does not take it, whatever the video.
        """
        receipt = Receipt(
            uri=public_uri(row.uri),
            sha256=sha256_of(path),
            num_bytes=path.stat().st_size,
            extension=self._extension(path),
            fetched_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            **dataclasses.asdict(validators),
        )
        check_expected(row, receipt)
        if earlier and storage.scheme_of(row.uri) and earlier.sha256 != receipt.sha256:
            raise ChangedError(
                f"its content has changed since {earlier.fetched_at}: sha256 was {earlier.sha256}, is {receipt.sha256}; "
                f"delete {self.receipt_uri(row)} to accept it"
            )
        self._put_object(path, receipt)
        if earlier and earlier.sha256 == receipt.sha256:
            return earlier
        storage.write_bytes(self.receipt_uri(row), json.dumps(dataclasses.asdict(receipt), indent=2).encode())
        return receipt

    def put_list(self, records: Iterable[VideoRecord]) -> str:
        """Stores what became of every row under the name of its content, unless it is there; returns its URI.

        Raises:
            StorageError: the storage cannot be written.
        """
        content = videos_content(dataclasses.replace(record, fetched_at="") for record in records)
        uri = storage.join(self._folder, "lists", f"{hashlib.sha256(content).hexdigest()}.jsonl")
        if not storage.exists(uri):
            storage.write_bytes(uri, content)
        return uri

    def _extension(self, path: Path) -> str:
        """Returns the usual extension of what the bytes are, whatever the file was called."""
        try:
            with self._reader_lock:
                return self._reader(containers.extension_of, path)
        except DataError as error:
            raise RejectedError(str(error)) from None

    def _put_object(self, path: Path, receipt: Receipt) -> None:
        with self._lock:
            content_lock = self._content_locks[receipt.sha256]
        with content_lock:
            if self.holds(receipt):
                path.unlink()
                return
            storage.move_file(path, self.object_uri(receipt))
        with self._lock:
            self.num_new_objects += 1


def _delete_unfinished(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name != LOCK_NAME:
            with contextlib.suppress(OSError):
                path.unlink()


def check_expected(row: ManifestRow, receipt: Receipt) -> None:
    """Checks content against the manifest.

    Raises:
        RejectedError: the manifest expects another one.
    """
    if row.expected_sha256 and receipt.sha256 != row.expected_sha256:
        raise RejectedError(f"its sha256 is {receipt.sha256}, the manifest says {row.expected_sha256}")
