"""Getting the bytes of a manifest row into a local file, by the way in which its source serves them."""

import hashlib
from pathlib import Path
from urllib.parse import unquote, urldefrag

from components.core import storage
from components.core.errors import AbsentError, DiskError, OutageError, StorageError
from components.core.files.local_files import writer
from components.core.records.manifest import TRANSFER_PAGE, VIMEO, ZIPPED_VIAS, ManifestRow
from components.ingest import archives
from components.ingest.egress import Egress
from components.ingest.hosts import Budget, Hosts, manners_of
from components.ingest.outcomes import MissingError, RejectedError, host_name, name_bytes
from components.ingest.sources import google_drive, transfer_page, vimeo
from components.ingest.sources.direct import NOTHING_KNOWN, DirectSource, Validators

MAX_VIDEO_BYTES = 2_000_000_000
MAX_ZIP_BYTES = 20_000_000_000


def container_of(row: ManifestRow) -> str:
    """Returns what has to be fetched for a row: the zip file that holds it, or the video itself."""
    return urldefrag(row.uri).url if row.via in ZIPPED_VIAS else row.uri


def host_of(row: ManifestRow) -> str:
    """Returns the host that serves a row, or an empty string."""
    return host_name(row.uri) if storage.scheme_of(row.uri) in ("http", "https") else ""


class Fetcher:
    """Fetches for the threads of a run; rows of one container come from one thread."""

    def __init__(self, work_folder: Path, budget: Budget, cookies_path: Path | None) -> None:
        self._folder = work_folder
        self._budget = budget
        self._cookies_path = cookies_path
        self._egress = Egress()
        self._hosts = Hosts()
        self._direct = DirectSource(self._hosts, budget)
        self._failures: dict[str, MissingError | RejectedError] = {}

    def stop(self) -> None:
        """Ends what is being fetched, and lets nothing more begin."""
        self._hosts.stop()
        self._direct.stop()

    def work_path(self, uri: str) -> Path:
        """Returns the local file of a URI; a later run finds there what this one leaves unfinished."""
        return self._folder / hashlib.sha256(name_bytes(uri)).hexdigest()[:32]

    def fetch(self, row: ManifestRow, path: Path, known: Validators) -> Validators:
        """Writes the video of a row to a local file.

        Args:
            row: the manifest's row.
            path: local file to write.
            known: by what an earlier download was known.

        Raises:
            UnchangedError: `known` still holds, nothing was written.
            MissingError: the video could not be had.
            RejectedError: it is too large, or its zip file is unusable.
            StorageError: the storage that it is in does not answer, or refuses.
        """
        if not host_of(row):
            copy(row.uri, path, MAX_VIDEO_BYTES)
            return NOTHING_KNOWN
        with self._egress.limited_for(row.uri):
            return self._fetch_from_host(row, path, known)

    def _fetch_from_host(self, row: ManifestRow, path: Path, known: Validators) -> Validators:
        if row.via in ZIPPED_VIAS:
            archives.extract(self._zip(row), unquote(urldefrag(row.uri).fragment), path, MAX_VIDEO_BYTES)
        elif row.via == VIMEO:
            manners = manners_of(row.source)
            vimeo.download(row.uri, path, self._cookies_path, self._hosts, self._budget, manners, MAX_VIDEO_BYTES)
        else:
            return self._direct.download(row.uri, path, manners_of(row.source), MAX_VIDEO_BYTES, known)
        return NOTHING_KNOWN

    def forget(self, row: ManifestRow) -> None:
        """Deletes the zip file of a row, after all of its rows."""
        if row.via in ZIPPED_VIAS:
            self._zip_path(row).unlink(missing_ok=True)

    def _zip_path(self, row: ManifestRow) -> Path:
        return self.work_path(container_of(row)).with_suffix(".zip")

    def _zip(self, row: ManifestRow) -> Path:
        """Returns the zip file of a row, downloaded once; when that fails, it fails for all of its rows."""
        url, path = container_of(row), self._zip_path(row)
        if url in self._failures:
            raise type(self._failures[url])(str(self._failures[url]))
        if not path.exists():
            try:
                self._download_zip(row, url, self.work_path(url))
                self.work_path(url).rename(path)
            except (MissingError, RejectedError) as error:
                self._failures[url] = error
                raise
            except OSError as error:
                self._failures[url] = MissingError(f"local disk: {error.strerror}")
                raise
        return path

    def _download_zip(self, row: ManifestRow, url: str, path: Path) -> None:
        manners = manners_of(row.source)
        if row.via == TRANSFER_PAGE:
            transfer_page.download_zip(self._direct, url, path, manners, MAX_ZIP_BYTES)
        else:
            google_drive.download_zip(url, path, self._hosts, self._budget, manners, MAX_ZIP_BYTES)


def copy(uri: str, path: Path, max_bytes: int) -> None:
    """Copies a file of a storage to a local one; a name in the other normal form of Unicode than the file's finds it.

    Raises:
        MissingError: it is not there; or it is a local file that cannot be read.
        RejectedError: it is too large.
        StorageError: the storage does not answer, or refuses; or the copy cannot be written.
    """
    uri = storage.spelled(uri)
    try:
        num_bytes = storage.patiently("look up", uri, lambda: storage.path_of(uri).stat().st_size)
        if num_bytes > max_bytes:
            raise RejectedError(f"larger than the limit of {max_bytes / 1e9:g} GB")
        with storage.local_copy(uri) as source, source.open("rb") as content, writer(path) as write:
            while chunk := content.read(archives.CHUNK_BYTES):
                write(chunk)
    except (OutageError, DiskError):
        raise
    except AbsentError:
        raise MissingError("it is a folder" if storage.exists(uri) else "file not found") from None
    except StorageError as error:
        if storage.scheme_of(uri):
            raise
        raise MissingError(str(error)) from None
    except OSError as error:
        raise MissingError(f"cannot be read: {error.strerror}") from None
