"""Faults of this machine's own disks: full, read-only, not to be written. They are nobody's video's fault.

The system tells them by the number of an OSError. Libraries in C (TensorFlow, HDF5) keep the words only, and others wrap the error.
"""

import errno
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

# Reading gives none of these, so they are our own disk's whatever was being done.
_ALWAYS_OURS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
# A file that may not be read or cannot be read may be somebody's video.
_OURS_WHEN_WRITING = (errno.EACCES, errno.EPERM, errno.EIO)
# A disk with less room counts as the full one: what could not be written may have been larger than what is left.
_HARDLY_ROOM_BYTES = 1 << 20


def sentence_about(error: BaseException, place: str | os.PathLike[str] = "", *, writing: bool = False) -> str:
    """Returns what is wrong with a disk and what to do, in one sentence, or an empty string when the error is of another kind.

    Args:
        error: whatever was raised.
        place: the file or folder that could not be written; empty when only the error may know it.
        writing: whether nothing was done but writing, so that a refusal is the disk's, too.
    """
    code = _code_of(error, writing)
    named = os.fspath(place) or _file_of(error)
    disk = f"the disk that holds {_folder_of(named)!r}" if named else "a disk of this machine"
    if code == errno.ENOSPC:
        if named and _has_no_inode(Path(named)):
            return f"{disk} has no inode left for another file: delete some files and start again."
        return f"{disk} is full: free some room and start again."
    if code == errno.EDQUOT:
        return f"your quota on {disk} is used up: free some room and start again."
    if code == errno.EROFS:
        return f"{disk} is read-only: make it writable, or give another place."
    if code == errno.EIO:
        return f"{disk} does not work ({os.strerror(code)}): check it, or give another place."
    if code:
        return f"{named!r} may not be written ({os.strerror(code)}): change its permissions, or give another place."
    return ""


def is_about(error: BaseException, folder: Path) -> bool:
    """Tells whether a fault is of the disk that a folder is on, and not of another one, such as that of temporary files."""
    code = _code_of(error, writing=False)
    if code == errno.ENOSPC:
        return _room_bytes(folder) < _HARDLY_ROOM_BYTES or _has_no_inode(folder)
    is_read_only = bool(os.statvfs(existing_parent(folder)).f_flag & os.ST_RDONLY)
    return code == errno.EDQUOT or (code == errno.EROFS and is_read_only)


def sentence_if_full(folders: Iterable[Path]) -> str:
    """Returns the sentence about the first of these folders whose disk has hardly any room, or an empty string.

    For a program that was started and failed without its own words: a shell does not say what it could not write.
    """
    full = next((folder for folder in folders if _room_bytes(folder) < _HARDLY_ROOM_BYTES), None)
    return sentence_about(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), full) if full else ""


def existing_parent(path: Path) -> Path:
    """Returns a path itself, or the nearest folder above it that is there."""
    return next((parent for parent in (path, *path.absolute().parents) if parent.exists()), Path("/"))


def _code_of(error: BaseException, writing: bool) -> int:
    """Returns the number of the fault, or 0."""
    codes = _ALWAYS_OURS + (_OURS_WHEN_WRITING if writing else ())
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in codes:
            return cause.errno
        for code in codes:
            if os.strerror(code) in str(cause):
                return code
    return 0


def _file_of(error: BaseException) -> str:
    names = (cause.filename2 or cause.filename for cause in _causes(error) if isinstance(cause, OSError))
    return os.fsdecode(next((name for name in names if isinstance(name, str | bytes)), ""))


def _folder_of(name: str) -> str:
    """Returns the folder of a file or folder, of something unfinished the one that outlasts it."""
    folder = name if os.path.isdir(name) else os.path.dirname(name) or os.curdir
    return re.sub(r"/[^/]*\.partial.*", "", folder) or "/"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yields an error and what it came from: Python's own chain, and that of yt-dlp."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        cause = waiting.pop(0)
        if cause is None or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        wrapped = (getattr(cause, "exc_info", None) or (None, None))[1]
        waiting += [wrapped, cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)]


def _room_bytes(path: Path) -> int:
    status = os.statvfs(existing_parent(path))
    return status.f_bavail * status.f_frsize


def _has_no_inode(path: Path) -> bool:
    """Tells whether a disk has room, but not for another file; some file systems count no inodes."""
    status = os.statvfs(existing_parent(path))
    return bool(status.f_files) and not status.f_favail
