"""What a user says of the files, since DICOM does not: a table (core.records.tables) with the columns `path`, `label` and maybe `region`.

path    a file, or a folder and all below it, relative to the source; the longest that fits a file holds; `.` is the source itself; `é` as
        one character and as `e` with an accent (Unicode's NFC and NFD) are the same
label   one of clips.ALL_CLASS_NAMES
region  `x,y,width,height` in pixels: where the ultrasound image is, in place of what the file says
"""

import dataclasses
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from components.core.errors import UsageError
from components.core.records.clips import ALL_CLASS_NAMES
from components.core.records.tables import parse_box, read_table
from components.import_dicom.cine import Box


@dataclasses.dataclass(frozen=True)
class Label:
    """The class of a file, where its image is if the user says so, and in which line of the table that stands."""

    class_name: str
    region: Box | None
    line: int = dataclasses.field(compare=False)


@dataclasses.dataclass(frozen=True)
class Labels:
    """The labels of files by their paths."""

    by_path: dict[PurePosixPath, Label]

    def of(self, path: PurePosixPath) -> Label | None:
        """Returns the label of a file, None when nothing was said of it."""
        return next((self.by_path[place] for place in _places(path) if place in self.by_path), None)

    def idle_lines(self, paths: Iterable[PurePosixPath]) -> tuple[int, ...]:
        """Returns the lines of the table whose path is that of no file and of no folder with files."""
        places = {place for path in paths for place in _places(path)}
        return tuple(label.line for path, label in self.by_path.items() if path not in places)


def _places(path: PurePosixPath) -> tuple[PurePosixPath, ...]:
    """Returns a file and the folders around it, the innermost first."""
    path = _normalised(str(path))
    return path, *path.parents


def _normalised(path: str) -> PurePosixPath:
    return PurePosixPath(unicodedata.normalize("NFC", path))


def read_labels(uri: str) -> Labels:
    """Reads and checks the CSV.

    Raises:
        UsageError: it is missing, a column is absent, or a row is wrong; the message names the first such row.
        StorageError: it cannot be read.
    """
    by_path: dict[PurePosixPath, Label] = {}
    for row in read_table(uri, "table of labels", ("path", "label"), ("region",)):
        where = f"table of labels {uri!r}, line {row.line}"
        class_name, text = row.cells["label"], row.cells["path"]
        if class_name not in ALL_CLASS_NAMES:
            raise UsageError(f"{where}: unknown label {class_name!r}; use one of {', '.join(ALL_CLASS_NAMES)}.")
        if not text:
            raise UsageError(f"{where}: path is empty; write a file or a folder, or `.` for the source itself.")
        path = _normalised(text)
        if path in by_path:
            raise UsageError(f"{where}: path {text!r} was listed before, in line {by_path[path].line}; a path can have one label.")
        box = parse_box(row.cells["region"], f"{where}: region")
        by_path[path] = Label(class_name, box and Box.of(*box), row.line)
    return Labels(by_path)
