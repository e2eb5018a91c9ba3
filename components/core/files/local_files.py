"""Files and folders on this machine's disks: complete or not there, and what a disk refuses is said in a sentence.

A new file is written aside and moved, a folder is staged and moved. What hours of work give line by line grows in a file of its own
(`growing_file`), whose lines outlive the process. A symbolic link as the target stays one: what it points to is replaced. A pipe, a
terminal, /dev/null or /dev/stdout as the target is written to, never replaced.
"""

import contextlib
import logging
import os
import shutil
import stat
import sys
import tempfile
import unicodedata
import uuid
from collections.abc import Callable, Iterator, Mapping
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from components.core.errors import DiskError, PipelineError, StorageError
from components.core.files import disk_faults

STDOUT = Path("/dev/stdout")
# So many links in a row are a circle (Linux's own limit, path_resolution(7)).
_MAX_LINKS = 40

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


def target_of(path: Path) -> Path:
    """Returns what is to be written in place of a path: what it points to when it is a symbolic link, which may not be there yet."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


@contextlib.contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Gives a path beside `path` that replaces it when the block ends well; a stream gets what was written there."""
    if is_stream(path):
        with temporary_folder() as folder:
            yield folder / path.name
            with (folder / path.name).open("rb") as source, open_stream(path) as stream:
                shutil.copyfileobj(source, stream)
        return
    path = target_of(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.partial-{uuid.uuid4().hex[:8]}")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def write_files(contents: Mapping[str, bytes]) -> None:
    """Writes files, all of them or none, given what is to be at each path.

    Raises:
        DiskError, StorageError: one cannot be written.
    """
    with contextlib.ExitStack() as stack:
        for path, content in contents.items():
            with writing(path):
                stack.enter_context(written_aside(Path(path))).write_bytes(content)


@contextlib.contextmanager
def growing_file(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Gives a function that adds a line to a new file, which appears at `path` when the block ends well.

    Until then its lines are in `<name>.partial-<8 hexadecimal digits>` beside it, each on the disk when the function returns, so they
    outlive a process that dies. When the block fails that file stays, with whole lines only, and the error names it; without any line it is
    deleted. A stream gets each line at once.

    Raises:
        DiskError, StorageError: the file cannot be written.
    """
    if is_stream(path):
        with open_stream(path) as stream:
            yield lambda line: _send(stream, line, path)
        return
    target = target_of(path)
    partial = target.with_name(f"{target.name}.partial-{uuid.uuid4().hex[:8]}")
    with writing(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        file = partial.open("xb", buffering=0)
    with file, _kept(partial):
        yield lambda line: _add(file, line, path)
        with writing(path):
            os.replace(partial, target)


def _send(stream: BinaryIO, line: bytes, path: Path) -> None:
    with writing(path):
        stream.write(line)
        stream.flush()


def _add(file: FileIO, line: bytes, path: Path) -> None:
    """Adds a line to a file, all of it or nothing."""
    end = file.tell()
    try:
        with writing(path):
            _write_all(file, line, path)
            os.fsync(file.fileno())
    except StorageError:
        file.truncate(end)
        raise


@contextlib.contextmanager
def _kept(partial: Path) -> Iterator[None]:
    """Says where the lines of a growing file are when the block fails, or deletes it when there are none."""
    try:
        yield
    except BaseException as error:
        if not partial.stat().st_size:
            partial.unlink()
            raise
        kept = f"what was done before is kept in {str(partial)!r}"
        if isinstance(error, PipelineError):
            raise type(error)(f"{str(error).rstrip('.')}; {kept}.") from error
        _log.warning("%s", kept)
        raise


def is_stream(path: Path) -> bool:
    """Tells whether what is written to a path goes on to a process or a device, as with a named pipe, /dev/null or /dev/stdout."""
    if _descriptor_of(path) is not None:
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


@contextlib.contextmanager
def open_stream(path: Path) -> Iterator[BinaryIO]:
    """Opens a stream for writing; a descriptor of this process stays open, and sys.stdout may be something else than its descriptor."""
    descriptor = _descriptor_of(path)
    if descriptor == 1:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    with writing(path):
        stream = path.open("wb") if descriptor is None else os.fdopen(os.dup(descriptor), "wb")
    with stream:
        yield stream


def _descriptor_of(path: Path) -> int | None:
    """Returns the number behind a path like /dev/stdout, /dev/fd/1 or /proc/self/fd/1, even where that leads to a file; else None."""
    descriptors = os.path.realpath("/proc/self/fd")
    for _ in range(_MAX_LINKS):
        folder = os.path.realpath(path.parent)
        if folder == descriptors:
            return int(path.name) if path.name.isdigit() else None
        if not path.is_symlink():
            return None
        path = Path(folder, os.readlink(path))
    return None


@contextlib.contextmanager
def staged_folder(path: Path, replace: bool = False) -> Iterator[Path]:
    """Gives an empty folder beside `path`; it takes that name when the block ends well, and is deleted when it fails.

    A process that is killed leaves the staged folder behind under its `.partial-…` name. An empty folder at `path` is replaced. A folder
    with content is moved aside, and is deleted when the new one is in its place; a process that is killed in between leaves it as `.old-…`.

    Args:
        path: of the folder to be.
        replace: whether a folder with content is replaced, too.

    Raises:
        DiskError: the disk is full or read-only, or refuses, be it to the block.
        StorageError: `path` cannot be written; or it has content already, which is said before the block begins.
    """
    path = target_of(path)
    with writing(path):
        if not replace and path.exists() and not (path.is_dir() and not any(path.iterdir())):
            raise StorageError(f"{str(path)!r} has content already; give a new or an empty folder.")
        staged = path.with_name(f"{path.name}.partial-{uuid.uuid4().hex[:8]}")
        staged.mkdir(parents=True)
    try:
        with disk_of(staged):
            yield staged
        with writing(path):
            if replace and path.is_dir():
                _put_in_place_of(path, staged)
            else:
                os.replace(staged, path)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _put_in_place_of(path: Path, staged: Path) -> None:
    old = path.with_name(f"{path.name}.old-{uuid.uuid4().hex[:8]}")
    os.replace(path, old)
    try:
        os.replace(staged, path)
    except OSError:
        os.replace(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


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
    if path.exists():
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
