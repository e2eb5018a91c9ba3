"""What a user says of the files, since DICOM does not: a CSV with the columns `path`, `label` and optionally `region`.

path    a file, or a folder and all below it, relative to the source; the longest that fits a file holds; `.` is the source itself
label   one of clips.ALL_CLASS_NAMES
region  `x,y,width,height` in pixels: where the ultrasound image is, in place of what the file says
"""

import csv
import dataclasses
import io
from pathlib import PurePosixPath

from components.core import storage
from components.core.clips import ALL_CLASS_NAMES
from components.core.errors import UsageError
from components.import_dicom.cine import Box


@dataclasses.dataclass(frozen=True)
class Label:
    """The class of a file, and where its image is if the user says so."""

    class_name: str
    region: Box | None = None


class Labels:
    """The labels of files by their paths."""

    def __init__(self, by_path: dict[PurePosixPath, Label]) -> None:
        self._by_path = by_path

    def of(self, path: PurePosixPath) -> Label | None:
        """Returns the label of a file, None when nothing was said of it."""
        return next((self._by_path[place] for place in (path, *path.parents) if place in self._by_path), None)


def read_labels(uri: str) -> Labels:
    """Reads and checks the CSV.

    Raises:
        UsageError: a column is absent, or a row is wrong; the message names the first such row.
        StorageError: it cannot be read.
    """
    try:
        text = storage.read_bytes(uri).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"the labels {uri!r} are not UTF-8 text ({error.reason} at byte {error.start}); save them as UTF-8.") from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if absent := [name for name in ("path", "label") if name not in (reader.fieldnames or ())]:
        raise UsageError(f"the labels {uri!r} lack the column(s) {', '.join(absent)}; write path,label.")
    by_path: dict[PurePosixPath, Label] = {}
    for cells in reader:
        where = f"the labels {uri!r}, line {reader.line_num}"
        class_name = (cells["label"] or "").strip()
        if class_name not in ALL_CLASS_NAMES:
            raise UsageError(f"{where}: unknown label {class_name!r}; use one of {', '.join(ALL_CLASS_NAMES)}.")
        path = (cells["path"] or "").strip()
        if not path:
            raise UsageError(f"{where}: path is empty; write a file or a folder, or `.` for the source itself.")
        if PurePosixPath(path) in by_path:
            raise UsageError(f"{where}: path {path!r} was listed before; a path can have one label.")
        by_path[PurePosixPath(path)] = Label(class_name, _region((cells.get("region") or "").strip(), where))
    return Labels(by_path)


def _region(text: str, where: str) -> Box | None:
    if not text:
        return None
    try:
        left, top, width, height = (int(number) for number in text.split(","))
    except ValueError:
        left = top = width = height = -1
    if min(left, top) < 0 or min(width, height) < 1:
        raise UsageError(f"{where}: region {text!r} is not a box; write x,y,width,height in pixels, or leave it empty.")
    return Box(left, top, left + width, top + height)
