"""Single files out of zip files from the internet.

A file is found by its name and written to a path of our own, so no name in an archive ever becomes a path here.
"""

import contextlib
import errno
import io
import logging
import stat
import unicodedata
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from components.core.files.local_files import writer
from components.core.files.zip_files import DAMAGES
from components.ingest.outcomes import MissingError, RejectedError

MAX_MEMBERS = 10_000
# The list of files at the end of a zip file, of which zipfile makes objects that are many times as large.
MAX_LIST_BYTES = 4_000_000
MAX_RATIO = 200
CHUNK_BYTES = 1 << 18
# A ValueError: of names that are not UTF-8, or of offsets.
_DAMAGES = (*DAMAGES, ValueError)
# Of OSErrors: bzip2's own have no number, and a damaged offset leads before the start of the file.
_DAMAGE_NUMBERS = (None, errno.EINVAL)
_NESTED = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!")

_log = logging.getLogger(__name__)


def extract(archive_path: Path, name: str, path: Path, max_bytes: int) -> None:
    """Writes one file of an archive.

    Args:
        archive_path: a zip file.
        name: of the file in it; folders above those of `name` do not matter.
        path: local file to write.
        max_bytes: size of the largest acceptable file.

    Raises:
        MissingError: it has no such file, or several, or may not be read.
        RejectedError: the archive or the file in it is damaged or dangerous.
        DiskError: `path` cannot be written.
    """
    try:
        with _opened(archive_path) as archive:
            member = _member(archive, name)
            _check(member, max_bytes)
            _write(archive, member, path, max_bytes)
    except _DAMAGES as error:
        raise RejectedError(f"the zip file cannot be read ({error})") from None
    except OSError as error:
        if error.errno in _DAMAGE_NUMBERS:
            raise RejectedError(f"the zip file cannot be read ({error})") from None
        raise MissingError(f"the zip file cannot be read ({error.strerror})") from None


def names(archive_path: Path) -> list[str]:
    """Returns the names of the files in an archive; of something else none."""
    try:
        with _opened(archive_path) as archive:
            return [member.filename for member in archive.infolist() if not member.is_dir() and parts(member.filename)]
    except (*_DAMAGES, OSError, RejectedError) as error:
        _log.warning("%s cannot be read as a zip file (%s), so nothing is taken from it", archive_path, error)
        return []


class _BoundedFile(io.FileIO):
    """A file of which no more is read at once than a list of files may take."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > MAX_LIST_BYTES:
            raise RejectedError(f"the list of files in the zip file is larger than {MAX_LIST_BYTES / 1e6:g} MB")
        return super().read(size) or b""


@contextlib.contextmanager
def _opened(archive_path: Path) -> Iterator[zipfile.ZipFile]:
    """Opens an archive; zipfile reads its list of files at once.

    Raises:
        RejectedError: it holds too many files.
    """
    with _BoundedFile(archive_path) as file, zipfile.ZipFile(file) as archive:
        if len(archive.infolist()) > MAX_MEMBERS:
            raise RejectedError(f"the zip file holds more than {MAX_MEMBERS} files")
        yield archive


def _member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    wanted = parts(name)
    found = [member for member in archive.infolist() if wanted and not member.is_dir() and parts(member.filename)[-len(wanted) :] == wanted]
    exact = [member for member in found if parts(member.filename) == wanted]
    if len(exact or found) != 1:
        raise MissingError(f"{len(found)} files of the zip file are named {name!r}" if found else f"not in the zip file: {name!r}")
    return (exact or found)[0]


def parts(name: str) -> tuple[str, ...]:
    """Returns the folders and the name of a file in an archive, in Unicode's form NFC; some programs write them with backslashes."""
    return PurePosixPath(unicodedata.normalize("NFC", name).replace("\\", "/")).parts


def _check(member: zipfile.ZipInfo, max_bytes: int) -> None:
    path = parts(member.filename)
    if ".." in path or path[0].startswith("/"):
        raise RejectedError(f"unsafe name in the zip file: {member.filename!r}")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise RejectedError("a symbolic link in the zip file")
    if member.file_size > max_bytes:
        raise RejectedError(f"larger than the limit of {max_bytes / 1e9:g} GB")
    if member.file_size > MAX_RATIO * max(member.compress_size, 1):
        raise RejectedError(f"a zip bomb: it grows more than {MAX_RATIO} times")


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, max_bytes: int) -> None:
    """Unpacks no more than was announced, whatever the archive's directory says."""
    left = min(max_bytes, member.file_size)
    with archive.open(member) as source, writer(path) as write:
        while chunk := source.read(CHUNK_BYTES):
            if source.tell() == len(chunk) and chunk.startswith(_NESTED):
                raise RejectedError("an archive in the zip file")
            left -= len(chunk)
            if left < 0:
                raise RejectedError("a zip bomb: it holds more than it says")
            write(chunk)
