"""What ingest gives on: JSON Lines, one VideoRecord a row of the manifest, in its order."""

import dataclasses
import enum
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from components.core import storage
from components.core.errors import DataError
from components.core.files import json_lines
from components.core.records.manifest import ManifestRow


class Status(enum.StrEnum):
    """What became of a row in ingest."""

    STORED = "stored"
    MISSING = "missing"
    REJECTED = "rejected"
    SKIPPED = "skipped"


@dataclasses.dataclass(frozen=True)
class VideoRecord:
    """One video after ingest: its manifest row, and what was stored.

    Attributes:
        row: the manifest's row.
        status: stored, missing (it could not be fetched), rejected (what came is not usable) or skipped (it was not asked for).
        reason: why it was not stored, or an empty string.
        storage_uri: where the bytes are, or an empty string.
        sha256: of the bytes, or an empty string.
        num_bytes: size, 0 when not stored.
        fetched_at: UTC time of the fetch, ISO 8601, or an empty string.
    """

    row: ManifestRow
    status: Status
    reason: str = ""
    storage_uri: str = ""
    sha256: str = ""
    num_bytes: int = 0
    fetched_at: str = ""

    def to_json(self) -> str:
        """Returns one line of JSON."""
        fields = dataclasses.asdict(self)
        return json.dumps({**fields.pop("row"), **fields}, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> "VideoRecord":
        """Reads a line that `to_json` wrote.

        Raises:
            ValueError, TypeError, KeyError: it is something else.
        """
        fields = json.loads(line)
        row_fields = {field.name: fields.pop(field.name) for field in dataclasses.fields(ManifestRow) if field.name in fields}
        if row_fields["crop"] is not None:
            row_fields["crop"] = tuple(row_fields["crop"])
        return cls(row=ManifestRow(**row_fields), status=Status(fields.pop("status")), **fields)


@dataclasses.dataclass(frozen=True)
class VideoSet:
    """What training depends on, as a whole: the stored videos and their labels.

    Attributes:
        fingerprint: SHA-256 of the videos' bytes, classes, findings, groups and crops; ids, sources and the order of the rows count for
            nothing.
        num_videos: how many are stored.
    """

    fingerprint: str
    num_videos: int

    @classmethod
    def of(cls, records: Iterable[VideoRecord]) -> "VideoSet":
        """Describes the videos of a list that are stored."""
        stored = [record for record in records if record.status is Status.STORED]
        lines = sorted(json.dumps(_content_of(record), ensure_ascii=False) for record in stored)
        return cls(hashlib.sha256("\n".join(lines).encode()).hexdigest(), len(stored))


def _content_of(record: VideoRecord) -> list[Any]:
    row = record.row
    findings = row.findings()
    return [record.sha256, row.class_name, row.group, row.crop, *([findings] if findings else [])]


def videos_content(records: Iterable[VideoRecord]) -> bytes:
    """Returns ingest's manifest, one record a line."""
    return json_lines.to_bytes(record.to_json() for record in records)


def write_videos(path: Path, records: Iterable[VideoRecord]) -> None:
    """Writes ingest's manifest."""
    storage.write_bytes(path, videos_content(records))


def read_videos(uri: Path | str) -> list[VideoRecord]:
    """Reads ingest's manifest.

    Raises:
        DataError: it cannot be understood.
        StorageError: it cannot be read.
    """
    content = storage.read_bytes(uri)
    try:
        return [VideoRecord.from_json(line) for line in content.decode("utf-8").split("\n") if line]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{str(uri)!r} is not a manifest written by ingest ({error!r}); run ingest again.") from None
