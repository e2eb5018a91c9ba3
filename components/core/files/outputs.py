"""What a step gives: complete under its name, or not there.

A new file is written aside and moved, a folder is staged and moved. What hours of work give line by line grows in a file of its own
(`growing_file`), whose lines outlive the process. A symbolic link as the target stays one: what it points to is replaced. A pipe, a
terminal, /dev/null or /dev/stdout as the target is written to, never replaced.
"""

import contextlib
import os
import shutil
import stat
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from components.core.errors import PipelineError, StorageError
from components.core.files.local_files import _log, _write_all, disk_of, temporary_folder, writing

STDOUT = Path("/dev/stdout")

# So many links in a row are a circle (Linux's own limit, path_resolution(7)).
_MAX_LINKS = 40


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
