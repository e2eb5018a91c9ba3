"""Files and folders on this machine's disks, and what a disk refuses, in a sentence."""

import contextlib
import hashlib
import logging
import os
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from components.core.errors import DiskError, PipelineError, StorageError
from components.core.files import disk_faults

_log = logging.getLogger(__name__)


def failure(action: str, uri: str | os.PathLike[str], error: BaseException, kind: type[StorageError] = StorageError) -> StorageError:
    """Returns the error that says that something could not be done with a file, and why."""
    return kind(f"cannot {action} {os.fspath(uri)!r}: {detail(error)}; check that it exists and that you may access it.")


def detail(error: BaseException | None) -> str:
    """Returns an error's own words in a line of at most 300 characters."""
    return (" ".join(str(error).split()) or type(error).__name__)[:300]


@contextlib.contextmanager
def refusals(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raises what a disk refuses in a block that does nothing but write a file or a folder as a DiskError; other errors pass."""
    try:
        yield
    except OSError as error:
        sentence = disk_faults.sentence_about(error, path, writing=True)
        if not sentence:
            raise
        raise DiskError(sentence) from error


@contextlib.contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns what the system says in a block that does nothing but write a file or a folder into an error in one sentence.

    Raises:
        DiskError: the disk is full or read-only, or refuses.
        StorageError: it cannot be written for another reason.
    """
    try:
        with refusals(path):
            yield
    except BrokenPipeError:  # whoever reads a stream has heard enough
        raise
    except OSError as error:
        raise failure("write", path, error) from error


@contextlib.contextmanager
def writer(path: Path, mode: Literal["wb", "ab"] = "wb") -> Iterator[Callable[[bytes], None]]:
    """Gives a function that writes to a file at once; the block may read from elsewhere, and errors of the two are told apart.

    Raises:
        DiskError: by the function too: the disk refuses.
        OSError: the file cannot be written for another reason, such as its size.
    """
    with refusals(path):
        file = path.open(mode, buffering=0)
    with file:
        yield lambda data: _write_all(file, data, path)


def _write_all(file: FileIO, data: bytes, path: Path) -> None:
    left = memoryview(data)
    with refusals(path):
        while left:
            left = left[file.write(left) :]


@contextlib.contextmanager
def disk_of(folder: Path) -> Iterator[None]:
    """Names the disk of a folder when the block, which may do anything, fails because that disk is full or read-only.

    Raises:
        DiskError: it is.
    """
    try:
        yield
    except PipelineError:
        raise
    except Exception as error:
        sentence = disk_faults.sentence_about(error, folder)
        if not sentence or not disk_faults.is_about(error, folder):
            raise
        raise DiskError(sentence) from error


@contextlib.contextmanager
def temporary_folder(prefix: str = "lus-", within: Path | None = None) -> Iterator[Path]:
    """Gives a folder that is deleted afterwards.

    Args:
        prefix: of its name.
        within: folder to make it in; the system's for temporary files when None.

    Raises:
        DiskError: it cannot be made, or its disk is full.
    """
    try:
        temporary = tempfile.TemporaryDirectory(dir=within, prefix=prefix)
    except OSError as error:
        sentence = disk_faults.sentence_about(error, writing=True)
        advice = "free some room for one, or set TMPDIR to another folder"
        raise DiskError(sentence or f"no temporary folder can be made ({detail(error)}): {advice}.") from error
    with temporary as name, disk_of(Path(name).parent):
        yield Path(name)


def sha256_of(path: Path) -> str:
    """Returns the digest of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def array_on_disk(path: Path, kind: npt.DTypeLike, shape: tuple[int, ...]) -> np.memmap:
    """Makes an array of zeros in a .npy file whose blocks are taken at once: a full disk would kill who writes to the map later.

    Raises:
        DiskError: the disk is full, or refuses.
        StorageError: it cannot be written for another reason.
    """
    with writing(path):
        array = np.lib.format.open_memmap(path, "w+", kind, shape)
        if hasattr(os, "posix_fallocate"):
            with path.open("rb+") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def as_spelled(path: Path) -> Path:
    """Returns the path of what is there under a name that differs from `path` in Unicode's normal form alone, else `path` itself.

    A name with é is one character there (NFC, as most systems write it) or two (NFD, as macOS does): people see no difference, Linux does.
    """
    if os.path.exists(path):
        return path
    found = Path(path.anchor)
    for part in path.relative_to(path.anchor).parts:
        if not os.path.lexists(found / part):
            alike = [] if part.isascii() else _alike(found, part)
            if len(alike) != 1:
                return path
            part = alike[0]
        found /= part
    return found


def _alike(folder: Path, name: str) -> list[str]:
    wanted = unicodedata.normalize("NFC", name)
    try:
        return [other for other in os.listdir(folder) if unicodedata.normalize("NFC", other) == wanted]
    except OSError:
        return []
