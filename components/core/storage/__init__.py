"""Storage URIs: local paths, gs:// and s3:// objects behind one interface.

cloudpathlib does the work (through google-cloud-storage and boto3, with their usual credentials); this room adds what it does not give: a
closed list of schemes, errors in one sentence, and commits. Whatever is written here appears under its final name only when it is
complete: local files are written aside and moved (core.files.outputs), and cloud objects appear whole by themselves.

A full or read-only disk of this machine, of the storage or of temporary files, ends the step at once with a DiskError.

A storage that does not answer (no connection, a broken one, HTTP 408, 429 or 5xx, a body that breaks off) is asked again for PATIENCE_S
(core.storage.outages), which is said once; only then does the step end, with an OutageError. What is wrong in itself (no such object or
bucket, no access) ends at once.

Small state that several runs may change at once (a pointer, a table) is read with its generation and written on condition that it is still
there: `read_with_generation` and `write_if_unchanged` (core.storage.small_objects).
"""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from components.core.errors import StorageError, UsageError
from components.core.files import local_files, outputs
from components.core.storage import small_objects
from components.core.storage.object_stores import scheme_of as scheme_of
from components.core.storage.outages import failures as failures
from components.core.storage.outages import patiently as patiently
from components.core.storage.small_objects import Generation
from components.core.storage.uris import absolute_uri as absolute_uri
from components.core.storage.uris import join as join
from components.core.storage.uris import path_of as path_of
from components.core.storage.uris import spelled as spelled

# Folder in the storage for what Beam's workers on other machines pass to each other.
WORK_NAME = "work"


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
            with outputs.written_aside(path) as aside:
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
            os.replace(local_path, outputs.target_of(path))
    else:
        put_file(local_path, uri)
        local_path.unlink()


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
            with outputs.written_aside(path) as aside:
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
