"""Storage URIs: local paths, gs:// and s3:// objects behind one interface.

cloudpathlib does the work (through google-cloud-storage and boto3, with their usual credentials); this module adds what it does not give: a
closed list of schemes, errors in one sentence, and commits. Whatever is written here appears under its final name only when it is
complete: local files are written aside and moved (core.local_files), and cloud objects appear whole by themselves.

A full or read-only disk of this machine, of the storage or of temporary files, ends the step at once with a DiskError.

A storage that does not answer (no connection, a broken one, HTTP 408, 429 or 5xx, a body that breaks off) is asked again for PATIENCE_S,
which is said once; only then does the step end, with an OutageError. What is wrong in itself (no such object or bucket, no access) ends
at once.

Small state that several runs may change at once (a pointer, a table) is read with its generation and written on condition that it is still
there: `read_with_generation` and `write_if_unchanged` (core.small_objects).
"""

import contextlib
import logging
import os
import re
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import tenacity
import urllib3
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from cloudpathlib import CloudPath, GSPath, S3Path
from cloudpathlib.exceptions import CloudPathException, CloudPathNotExistsError, NoStatError
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

from components.core import disk_faults, local_files, small_objects
from components.core.errors import AbsentError, DiskError, OutageError, StorageError, UsageError
from components.core.object_stores import client_of, is_outage
from components.core.small_objects import Generation, StoragePath

# Folder in the storage for what Beam's workers on other machines pass to each other.
WORK_NAME = "work"
# For so long a storage that does not answer is asked again: a server that is started anew or moved to another node is back by then.
PATIENCE_S = 180.0
BACK_OFF = tenacity.wait_random_exponential(multiplier=0.5, max=10)

_CLOUD_PATHS: dict[str, type[CloudPath]] = {"gs": GSPath, "s3": S3Path}
# What may be refused because of a video, and not because of the disk.
_READING = ("open", "look up", "list", "read")
_FAILURES = (
    OSError,
    CloudPathException,
    GoogleAPIError,
    GoogleAuthError,
    DataCorruption,
    InvalidResponse,
    Boto3Error,
    BotoCoreError,
    ClientError,
    urllib3.exceptions.HTTPError,
)
# A cloud has no folders: of one there are no facts, either.
_ABSENCES = (FileNotFoundError, NotADirectoryError, CloudPathNotExistsError, NoStatError)
# What libraries say of a request beside the host: a path may name a patient.
_PATHS = re.compile(r"(https?://[^/\s\"']+|url: )[^\s\"']*")

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


def scheme_of(uri: str) -> str:
    """Returns the scheme of a URI in lower case, or an empty string for a local path."""
    scheme, separator, _ = uri.partition("://")
    return scheme.lower() if separator else ""


def path_of(uri: str | os.PathLike[str]) -> StoragePath:
    """Returns a local path or a cloud path; both offer pathlib's reading methods.

    Raises:
        UsageError: the URI is empty, holds a NUL, its scheme is not supported, or it names no bucket.
        StorageError: the credentials cannot be used.
    """
    text = os.fspath(uri) if isinstance(uri, os.PathLike) and not isinstance(uri, CloudPath) else str(uri)
    if "\0" in text:
        raise UsageError(f"storage URI {text!r} holds a NUL character; no system has such names.")
    if not text:
        raise UsageError("a storage URI is empty; give a local path, a gs:// or an s3:// URI.")
    scheme = scheme_of(text)
    if not scheme:
        return Path(text)
    if scheme not in _CLOUD_PATHS:
        supported = ", ".join(f"{name}://" for name in _CLOUD_PATHS)
        raise UsageError(f"storage URI {text!r} has an unsupported scheme; use a local path or {supported}.")
    with failures("open", text):
        client = client_of(scheme)
    try:
        path = _CLOUD_PATHS[scheme](text, client=client)
    except ValueError as error:
        raise UsageError(f"storage URI {text!r} cannot be understood ({error}); write {scheme}://BUCKET/PATH.") from None
    # What is joined to such a URI would be taken for the bucket.
    if not text.partition("://")[2].partition("/")[0]:
        raise UsageError(f"storage URI {text!r} names no bucket; write {scheme}://BUCKET/PATH.")
    return path


def absolute_uri(uri: str) -> str:
    """Returns the URI such that it means the same from every working directory."""
    path = path_of(uri)
    return str(path.absolute()) if isinstance(path, Path) else str(path)


def spelled(uri: str | os.PathLike[str]) -> str:
    """Returns the URI of what is there, where a local name differs from it in Unicode's normal form alone (local_files.as_spelled)."""
    text = str(uri)
    if scheme_of(text) or text.isascii():
        return text
    found = local_files.as_spelled(Path(text))
    return text if found == Path(text) else str(found)


def join(uri: str, *parts: str) -> str:
    """Returns the URI of something below a storage URI."""
    return str(path_of(uri).joinpath(*parts))


@contextlib.contextmanager
def failures(action: str, uri: str | os.PathLike[str]) -> Iterator[None]:
    """Turns what storage libraries raise into a StorageError that names the action and the URI.

    Raises:
        DiskError: a disk of this machine is full, read-only, or refuses what is not only reading.
        OutageError: the storage does not answer.
        AbsentError: there is nothing to read.
        StorageError: it cannot be done.
    """
    start = time.monotonic()
    try:
        yield
    except _FAILURES as error:
        is_local = not scheme_of(str(uri))
        if sentence := disk_faults.sentence_about(error, uri if is_local else "", writing=is_local and action not in _READING):
            raise DiskError(sentence) from error
        if is_outage(error):
            tried_s = time.monotonic() - start
            raise OutageError(
                f"cannot {action} {str(uri)!r}, tried for {tried_s:.0f} s: the storage does not answer ({local_files.detail(error)}); "
                "start again when it does."
            ) from error
        kind = AbsentError if isinstance(error, _ABSENCES) and action in _READING else StorageError
        raise local_files.failure(action, str(uri), error, kind) from error


def patiently(action: str, uri: str | os.PathLike[str], operation: Callable[[], _T]) -> _T:
    """Does something in a storage, and does it again while the storage does not answer.

    Args:
        action: what is done, for messages.
        uri: with which.
        operation: does it; doing it twice does no harm.

    Raises:
        OutageError: the storage did not answer for PATIENCE_S.
        StorageError: it cannot be done.
    """
    failures_s: list[float] = []

    def is_enough(state: tenacity.RetryCallState) -> bool:
        """Counts from the first failure: what takes long may fail late."""
        failures_s.append(state.outcome_timestamp or 0)
        return failures_s[-1] - failures_s[0] >= PATIENCE_S

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(is_outage),
        wait=BACK_OFF,
        stop=is_enough,
        before_sleep=lambda state: _outages.tell(uri, state.outcome.exception() if state.outcome else None),
        reraise=True,
    )
    with failures(action, uri):
        result = retrying(operation)
    _outages.end(uri)
    return result


class _Outages:
    """Which storages do not answer at the moment, so that each outage is told once, whichever thread meets it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: set[str] = set()

    def tell(self, uri: str | os.PathLike[str], error: BaseException | None) -> None:
        with self._lock:
            if (name := self._name(uri)) not in self._names:
                self._names.add(name)
                reason = _PATHS.sub(r"\1", local_files.detail(error))
                _log.warning("%s does not answer (%s); it is asked again for up to %g s", name, reason, PATIENCE_S)

    def end(self, uri: str | os.PathLike[str]) -> None:
        with self._lock:
            if (name := self._name(uri)) in self._names:
                self._names.remove(name)
                _log.warning("%s answers again", name)

    def _name(self, uri: str | os.PathLike[str]) -> str:
        """Returns the bucket."""
        scheme, separator, rest = str(uri).partition("://")
        return f"{scheme}{separator}{rest.partition('/')[0]}"


_outages = _Outages()


def check_is_there(uri: str) -> None:
    """Checks that a storage in a local folder is there, for those who only read: a mistyped one is no empty one.

    A bucket that is not there says so by itself, and an empty one cannot be told from a mistyped prefix.

    Raises:
        UsageError: it is not.
    """
    if not scheme_of(uri) and not Path(uri).is_dir():
        raise UsageError(f"there is no storage {uri!r}; give the one that runs were started with.")


def check_writable(uri: str) -> None:
    """Writes and deletes a small object below a storage URI.

    Raises:
        StorageError: the storage refuses it.
    """
    probe = path_of(join(uri, f".writable-{uuid.uuid4().hex}"))

    def write_and_delete() -> None:
        small_objects.write(probe, b"")
        probe.unlink(missing_ok=True)

    patiently("write to storage", uri, write_and_delete)


def exists(uri: str | os.PathLike[str]) -> bool:
    """Tells whether an object, a file or a folder is there."""
    path = path_of(uri)
    return patiently("look up", uri, path.exists)


def read_bytes(uri: str | os.PathLike[str]) -> bytes:
    """Returns the content of a small object.

    Raises:
        StorageError: it cannot be read.
    """
    path = path_of(uri)
    return patiently("read", uri, lambda: small_objects.read(path))


def write_bytes(uri: str | os.PathLike[str], data: bytes) -> None:
    """Writes a small object so that a reader sees the old content or the new, never a part.

    Raises:
        StorageError: it cannot be written.
    """
    path = path_of(uri)
    patiently("write", uri, lambda: small_objects.write(path, data))


class ConflictError(StorageError):
    """An object is not what it was when it was read: somebody else has written it."""


def read_with_generation(uri: str) -> tuple[bytes, Generation]:
    """Returns the content of a small object and what `write_if_unchanged` knows that state by; of one that is not there, b"" and ABSENT.

    Raises:
        StorageError: it cannot be read.
    """
    path = path_of(uri)
    return patiently("read", uri, lambda: small_objects.read_with_generation(path))


def write_if_unchanged(uri: str, data: bytes, generation: Generation) -> None:
    """Writes a small object unless somebody else has written it since it was read; of several writers at once exactly one succeeds.

    Args:
        uri: of the object.
        data: its new content; it should differ from what any other writer writes.
        generation: from `read_with_generation`.

    Raises:
        ConflictError: somebody else has written it.
        StorageError: it cannot be written.
    """
    path = path_of(uri)
    written = patiently("write", uri, lambda: small_objects.write_on_condition(path, data, generation))
    # When the answer to a write is lost, it is written once more and refused because of the first try.
    if not written and read_with_generation(uri)[0] != data:
        raise ConflictError(f"{uri!r} was written by somebody else at the same time; read it and try again.")


def put_file(local_path: Path, uri: str) -> None:
    """Copies a local file to a URI, where it appears complete or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    path = path_of(uri)

    def put() -> None:
        if isinstance(path, Path):
            with local_files.written_aside(path) as aside:
                shutil.copyfile(local_path, aside)
        else:
            # Forced: what a first try has written, whose answer was lost, is newer than the file.
            path.upload_from(local_path, force_overwrite_to_cloud=True)

    patiently("write", uri, put)


def move_file(local_path: Path, uri: str) -> None:
    """Moves a local file to a URI, where it appears complete or not at all; within a file system no byte is copied.

    Raises:
        StorageError: it cannot be written.
    """
    path = path_of(uri)
    if isinstance(path, Path) and path.parent.exists() and path.parent.stat().st_dev == local_path.stat().st_dev:
        with failures("write", uri):
            os.replace(local_path, local_files.target_of(path))
    else:
        put_file(local_path, uri)
        local_path.unlink()


def take_file(uri: str, local_path: Path) -> None:
    """Moves a file from a URI to a local path; an object in a cloud stays where it is as well.

    Raises:
        StorageError: it cannot be read.
    """
    path = path_of(uri)
    if isinstance(path, Path):
        with failures("read", uri):
            shutil.move(path, local_path)
    else:
        patiently("read", uri, lambda: path.download_to(local_path))


def delete_file(uri: str) -> None:
    """Deletes a file, if it is there.

    Raises:
        StorageError: it cannot be deleted.
    """
    path = path_of(uri)
    patiently("delete", uri, lambda: path.unlink(missing_ok=True))


def delete_folder(uri: str) -> None:
    """Deletes all that is below a URI; there may be nothing.

    Raises:
        StorageError: it cannot be deleted.
    """
    path = path_of(uri)

    def delete() -> None:
        if path.exists():
            shutil.rmtree(path) if isinstance(path, Path) else path.rmtree()

    patiently("delete", uri, delete)


@contextlib.contextmanager
def new_file(uri: str) -> Iterator[Path]:
    """Gives a local path to write to; the file appears at the URI, complete, when the block ends well.

    Raises:
        StorageError: it cannot be written, neither here nor by the block.
    """
    path = path_of(uri)
    with failures("write", uri):
        if isinstance(path, Path):
            with local_files.written_aside(path) as aside:
                yield aside
            return
        with local_files.temporary_folder() as folder:
            local = folder / path.name
            yield local
            put_file(local, uri)


@contextlib.contextmanager
def local_copy(uri: str) -> Iterator[Path]:
    """Gives a local path with the content of a file: the file itself, or a download that is deleted afterwards.

    Raises:
        StorageError: it cannot be read.
    """
    path = path_of(spelled(uri))
    if isinstance(path, Path):
        with failures("read", uri):
            path.stat()
        yield path
        return
    with local_files.temporary_folder() as folder:
        local = folder / path.name
        patiently("read", uri, lambda: path.download_to(local))
        yield local


@contextlib.contextmanager
def local_folder(uri: str) -> Iterator[Path]:
    """Gives a local folder with the content of a storage folder: the folder itself, or a download that is deleted afterwards.

    Raises:
        StorageError: a folder in a cloud cannot be read; whether a local one is there is not looked at.
    """
    path = path_of(uri)
    if isinstance(path, Path):
        yield path
        return
    with local_files.temporary_folder() as folder:
        patiently("read", uri, lambda: path.download_to(folder))
        yield folder


def put_folder(local_folder_path: Path, uri: str, last: str) -> None:
    """Copies the files of a local folder to a storage folder; the file named `last` is written last and marks it complete.

    Raises:
        StorageError: it cannot be written.
    """
    files = sorted(path for path in local_folder_path.rglob("*") if path.is_file())
    names = [path.relative_to(local_folder_path).as_posix() for path in files]
    for name in sorted(names, key=lambda name: (name == last, name)):
        put_file(local_folder_path / name, join(uri, name))
