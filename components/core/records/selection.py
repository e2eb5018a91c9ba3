"""Which rows of a manifest a run takes: by class, anatomy, source, probe and licence."""

import dataclasses
from collections.abc import Callable, Iterable

from components.core.errors import UsageError
from components.core.records.clips import OTHER
from components.core.records.manifest import ManifestRow

ANY = "any"
OPEN = "open"
LUNG = "lung"
NOT_STATED = "not stated"
# Licences that allow every use, if need be with attribution or under the same terms; "non-commercial" and "no derivatives" do not.
_OPEN_LICENSES = frozenset({"cc0", "cc by", "cc by sa", "public domain"})


@dataclasses.dataclass(frozen=True)
class Selection:
    """What a run takes; each field is `any` or values with commas between them, `licences` also `open`."""

    sources: str = ANY
    classes: str = ANY
    probes: str = ANY
    anatomies: str = LUNG
    licences: str = ANY

    def check(self, rows: list[ManifestRow]) -> None:
        """Checks the selection against a manifest.

        Raises:
            UsageError: a field names what no row has, or no row is left.
        """
        for field in dataclasses.fields(self):
            known = [*_SPECIAL[field.name], *sorted({value for row in rows if (value := _VALUES[field.name](row))}, key=str.lower)]
            for name in _names(getattr(self, field.name)):
                if name not in _names(",".join(known)):
                    raise UsageError(f"{field.name}: no video of the manifest has {name!r}; use values from {', '.join(known)}.")
        if not any(self.takes(row) for row in rows):
            raise UsageError(f"the selection leaves none of the manifest's {len(rows)} videos ({self.reason_against(rows[0])}).")

    def takes(self, row: ManifestRow) -> bool:
        """Tells whether a row is selected."""
        return not self.reason_against(row)

    def reason_against(self, row: ManifestRow) -> str:
        """Returns why a row is not selected, or an empty string."""
        if row.exclude:
            return row.exclude
        if row.class_name == OTHER and OTHER not in _names(self.classes):
            return f"class: {row.class_name}"
        for field, title in _TITLES.items():
            value = _VALUES[field](row)
            if not _allows(_names(getattr(self, field)), value):
                return f"{title}: {value or NOT_STATED}"
        return ""


_TITLES = {"classes": "class", "anatomies": "anatomy", "sources": "source", "probes": "probe", "licences": "licence"}
_VALUES: dict[str, Callable[[ManifestRow], str]] = {
    "classes": lambda row: row.class_name,
    "anatomies": lambda row: row.anatomy or LUNG,
    "sources": lambda row: row.source,
    "probes": lambda row: row.probe,
    "licences": lambda row: row.license or NOT_STATED,
}
_SPECIAL = {"classes": (ANY,), "anatomies": (ANY, LUNG), "sources": (ANY,), "probes": (ANY,), "licences": (ANY, OPEN)}


def _names(text: str) -> list[str]:
    return [name.strip().lower() for name in text.split(",")]


def _allows(names: Iterable[str], value: str) -> bool:
    allowed = set(names)
    return ANY in allowed or value.lower() in allowed or (OPEN in allowed and _is_open(value))


def _is_open(license_name: str) -> bool:
    words = license_name.lower().replace("-", " ").split()
    return " ".join(word for word in words if not word[0].isdigit()) in _OPEN_LICENSES
