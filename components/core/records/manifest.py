"""Manifests: the list of videos that a user writes.

CSV with a header (core.records.tables): `video_id, uri, label, group` and maybe the columns of OPTIONAL_COLUMNS. Other ones
are ignored.
    uri      http(s), gs://, s3://, or a path relative to the manifest, in whichever of Unicode's spellings
    label    one of clips.ALL_CLASS_NAMES, or a name that CLASS_OF_LABEL has; `other` is used only if that is asked for
    group    what must never be split: the patient, else the case; an empty cell means the video itself
    crop     `x,y,width,height` in pixels: the box of the frame to use
    via      how the uri is served, one of VIAS; of a zip file, the part of the uri behind `#` names the file in it
    label_detail  what the class does not tell, such as the germ; empty means the label, where that is not the class itself
    sex, age  of the patient, as far as the source publishes them
    anatomy  what the video shows; empty means lung
    a_lines, b_lines, severity  what experts saw (core.records.findings); empty where it is not stated
    zone     where on the chest, such as L1; a column `blue_point` means the same
    patient_id  where a group is something else than a patient, such as an article
    exclude  why the video is not to be used; empty means it is
    file     name of the file in a drop-in folder
    copy_of  id of the row whose video this is, too; it is fetched only where that one is not stored

The manifest `catalog` is the one of the public videos that comes with the project.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from components.core import storage
from components.core.errors import DataError, UsageError
from components.core.records.clips import ALL_CLASS_NAMES, SPLITS
from components.core.records.findings import FINDINGS, Finding
from components.core.records.tables import parse_box, read_table
from components.core.storage.small_objects import StoragePath

REQUIRED_COLUMNS = ("video_id", "uri", "label", "group")
_TEXT_COLUMNS = (
    *("probe", "source", "license", "license_url", "page_url", "doi"),
    *("sex", "age", "anatomy", "exclude", "file", "copy_of", "patient_id"),
)
_FINDINGS_COLUMNS = tuple(finding.name for finding in FINDINGS)
_ZONE_COLUMNS = ("zone", "blue_point")
OPTIONAL_COLUMNS = (*_TEXT_COLUMNS, *_FINDINGS_COLUMNS, *_ZONE_COLUMNS, "label_detail", "via", "sha256", "crop")
# Labels that mean one of the classes; upper and lower case, `-` and `_` do not matter.
CLASS_OF_LABEL = {
    "covid 19": "covid",
    "viral pneumonia": "pneumonia",
    "bacterial pneumonia": "pneumonia",
    "healthy": "normal",
    "regular": "normal",
}
CATALOG = "catalog"
DIRECT, TRANSFER_PAGE, GOOGLE_DRIVE, VIMEO = VIAS = ("direct", "transfer-page", "google-drive", "vimeo")
ZIPPED_VIAS = (TRANSFER_PAGE, GOOGLE_DRIVE)
_CATALOG_PATH = Path(__file__).parents[2] / "ingest" / "catalog.csv"


@dataclasses.dataclass(frozen=True)
class ManifestRow:
    """One video as the user listed it; `uri` is absolute and `crop` is None or (x, y, width, height) in pixels."""

    video_id: str
    uri: str
    class_name: str
    group: str
    probe: str = ""
    source: str = ""
    license: str = ""
    license_url: str = ""
    page_url: str = ""
    doi: str = ""
    label_detail: str = ""
    sex: str = ""
    age: str = ""
    anatomy: str = ""
    exclude: str = ""
    file: str = ""
    copy_of: str = ""
    via: str = DIRECT
    expected_sha256: str = ""
    crop: tuple[int, int, int, int] | None = None
    a_lines: str = ""
    b_lines: str = ""
    severity: str = ""
    zone: str = ""
    patient_id: str = ""

    def findings(self) -> dict[str, str]:
        """Returns what is stated of each finding, by its name."""
        return {name: stated for name in _FINDINGS_COLUMNS if (stated := getattr(self, name))}


def read_manifest(uri: str) -> list[ManifestRow]:
    """Reads and checks a manifest.

    Raises:
        UsageError: it is missing or empty, a column is absent, or a row is wrong; the message names the first such row.
    """
    path = _CATALOG_PATH if uri == CATALOG else storage.path_of(uri)
    table = read_table(str(path), "manifest", REQUIRED_COLUMNS, OPTIONAL_COLUMNS)
    rows = [_checked_row(row.cells, f"manifest {uri!r}, line {row.line}", path.parent) for row in table]
    if not rows:
        raise UsageError(f"manifest {uri!r} lists no video; add a row per video.")
    repeated = [video_id for video_id, count in Counter(row.video_id for row in rows).items() if count > 1]
    if repeated:
        raise UsageError(f"manifest {uri!r} repeats the video_id {repeated[0]!r}; ids must be unique.")
    return rows


def absolute_manifest_uri(uri: str) -> str:
    """Returns the URI of a manifest such that it means the same from every working directory."""
    return uri if uri == CATALOG else storage.absolute_uri(uri)


def _checked_row(values: dict[str, str], where: str, base: StoragePath) -> ManifestRow:
    for name in ("video_id", "uri"):
        if not values[name]:
            raise UsageError(f"{where}: {name} is empty; every row needs one.")
    stated = values["label"]
    values = {**values, "label": _class_of(stated)}
    for name, allowed in (("label", (*ALL_CLASS_NAMES, *CLASS_OF_LABEL)), ("via", ("", *VIAS))):
        if values[name] not in allowed:
            raise UsageError(f"{where}: unknown {name} {values[name]!r}; use one of {', '.join(filter(None, allowed))}.")
    if values["via"] in ZIPPED_VIAS and not values["uri"].partition("#")[2]:
        raise UsageError(f"{where}: the uri of a video via {values['via']} must name the file in the zip file behind a `#`.")
    return ManifestRow(
        video_id=values["video_id"],
        uri=_absolute_uri(values["uri"], where, base),
        class_name=values["label"],
        label_detail=values["label_detail"] or (stated if stated.lower() != values["label"] else ""),
        group=values["group"] or values["video_id"],
        expected_sha256=values["sha256"].lower(),
        crop=parse_box(values["crop"], f"{where}: crop"),
        via=values["via"] or DIRECT,
        zone=next(filter(None, (values[name] for name in _ZONE_COLUMNS)), ""),
        **{finding.name: _checked_grade(finding, values[finding.name], where) for finding in FINDINGS},
        **{name: values[name] for name in _TEXT_COLUMNS},
    )


def _checked_grade(finding: Finding, stated: str, where: str) -> str:
    # Spreadsheets and pandas write whole numbers as 2.0 where the column has empty cells.
    grade = stated.lower().removesuffix(".0")
    if grade not in ("", *finding.grades):
        raise UsageError(f"{where}: unknown {finding.name} {stated!r}; use one of {', '.join(finding.grades)}, or leave it empty.")
    return grade


def _class_of(label: str) -> str:
    plain = " ".join(label.lower().replace("-", " ").replace("_", " ").split())
    return CLASS_OF_LABEL.get(plain, plain if plain in ALL_CLASS_NAMES else label)


def _absolute_uri(uri: str, where: str, base: StoragePath) -> str:
    try:
        if storage.scheme_of(uri) in ("http", "https"):
            urlsplit(uri)
            return uri
        if storage.scheme_of(uri):
            return str(storage.path_of(uri))
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
    except ValueError as error:
        raise UsageError(f"{where}: the uri is not a usable URL ({error}).") from None
    return storage.spelled(storage.absolute_uri(str(base / uri)))


def check_groups(rows: Iterable[ManifestRow], class_names: Sequence[str]) -> None:
    """Checks that every class has a group for each split, the least that preprocess can divide.

    Args:
        rows: videos of these classes.
        class_names: the classes.

    Raises:
        DataError: a class has none, or fewer groups than there are splits.
    """
    groups: dict[str, set[str]] = {name: set() for name in class_names}
    for row in rows:
        groups[row.class_name].add(row.group)
    for name, members in groups.items():
        if not members:
            raise DataError(f"class {name} has no video; every class of {', '.join(class_names)} needs some.")
        if len(members) < len(SPLITS):
            raise DataError(
                f"class {name} has videos of {len(members)} group(s), but {', '.join(SPLITS)} need one each; "
                f"add videos of at least {len(SPLITS) - len(members)} more group(s)."
            )
