"""The drop-in folder: what a user has downloaded by hand, loose or in zip files, is taken from there before any host is asked.

A file belongs to a row when it is called `<video_id>.<anything>`, or as the row's column `file` says and no other row's does.
"""

import collections
import contextlib
import dataclasses
import unicodedata
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urldefrag

from components.core import storage
from components.core.errors import UsageError
from components.core.records.manifest import ManifestRow
from components.ingest import archives
from components.ingest.fetching import copy
from components.ingest.outcomes import MissingError


@dataclasses.dataclass(frozen=True)
class _Found:
    """A file of the folder: loose at a URI, or in a zip file at a local path; `name` is its path in the one or the other."""

    place: str | Path
    name: str


class DropIn:
    """The content of a drop-in folder, and to which rows it belongs. A context manager: zip files in a bucket are copied for the time."""

    def __init__(self, uri: str, rows: list[ManifestRow]) -> None:
        """Looks through the folder.

        Raises:
            UsageError: there is no such folder.
            StorageError: it cannot be read.
        """
        self._copies = contextlib.ExitStack()
        self._found: dict[str, list[_Found]] = collections.defaultdict(list)
        counts = collections.Counter(row.file for row in rows)
        self._unique_files = {name for name, count in counts.items() if name and count == 1}
        if uri:
            self._look_through(uri)

    def __enter__(self) -> "DropIn":
        return self

    def __exit__(self, *_: object) -> None:
        self._copies.close()

    def copy(self, row: ManifestRow, path: Path, max_bytes: int) -> bool:
        """Writes the video of a row to a local file, if the folder has it.

        Raises:
            MissingError, RejectedError: the folder's file is unusable, or not the only one of its name.
        """
        for name in self._names(row):
            if name in self._found:
                _write(_only(self._found[name], row, name), path, max_bytes)
                return True
        return False

    def _look_through(self, uri: str) -> None:
        folder = storage.path_of(uri)
        if not storage.patiently("look up", uri, folder.is_dir):
            raise UsageError(f"the drop-in folder {uri!r} does not exist.")
        files = storage.patiently("list", uri, lambda: sorted(str(path) for path in folder.rglob("*") if path.is_file()))
        for file in files:
            if file.lower().endswith(".zip"):
                archive = self._copies.enter_context(storage.local_copy(file))
                for member in archives.names(archive):
                    self._add(_Found(archive, member))
            else:
                self._add(_Found(file, file))

    def _add(self, found: _Found) -> None:
        name = archives.parts(found.name)[-1]
        for key in {name, PurePosixPath(name).stem}:
            self._found[key].append(found)

    def _names(self, row: ManifestRow) -> list[str]:
        names = [row.video_id, *([row.file] if row.file in self._unique_files else [])]
        return [unicodedata.normalize("NFC", name) for name in names]


def _only(found: list[_Found], row: ManifestRow, name: str) -> _Found:
    """Returns the one file of a name; of several, the one in the folder that the row's uri names."""
    wanted = archives.parts(unquote(urldefrag(row.uri).fragment))
    matching = found if len(found) == 1 else [file for file in found if wanted and archives.parts(file.name)[-len(wanted) :] == wanted]
    if len(matching) != 1:
        raise MissingError(f"{len(found)} files of the drop-in folder are named {name!r}")
    return matching[0]


def _write(found: _Found, path: Path, max_bytes: int) -> None:
    if isinstance(found.place, Path):
        archives.extract(found.place, found.name, path, max_bytes)
        return
    copy(found.place, path, max_bytes)
