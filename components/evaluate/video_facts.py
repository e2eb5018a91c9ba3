"""What the dataset states about its videos: its videos.jsonl, read so that a fact that it does not state is simply absent."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.core.errors import DataError
from components.core.models.predictions import NO_SOURCE as NOT_STATED
from components.core.records.findings import FINDINGS
from components.core.records.shards import VIDEOS_NAME, read_json_lines

# What describes the recording and the patient, and what describes the file: by the name in the report, the names in videos.jsonl.
DESCRIPTIONS = {"probe": "probe", "class detail": "label_detail", "sex": "sex", "age": "age"}
FILE_TRAITS = {
    "container": "container",
    "width in px": "width_px",
    "height in px": "height_px",
    "frames per second": "frames_per_second",
    "length in s": "read_s",
}
_AT_INGEST = re.compile(r"(\w+) at ingest: ")


@dataclasses.dataclass(frozen=True)
class VideoFacts:
    """One listed video.

    Attributes:
        video_id: its id.
        class_name: what the manifest calls it.
        group: its group.
        source: its source, or NOT_STATED.
        license: its licence, or NOT_STATED.
        split: its split; empty when it gave no clip.
        num_clips: how many clips it gave.
        is_stored: whether ingest stored it.
        reason: why it gave no clip, or an empty string.
        sha256: of its bytes, or None when that is not stated.
        near_duplicates: ids of the other videos that are copies of the same recording, or None when nobody looked.
        descriptions: by the keys of DESCRIPTIONS; what is not stated is absent.
        traits: by the keys of FILE_TRAITS; what is not stated is absent.
        findings: by their names (core.records.findings); what is not stated is absent.
        zone: where on the chest, or an empty string.
        patient: the patient_id, else the group.
    """

    video_id: str
    class_name: str
    group: str
    source: str
    license: str
    split: str
    num_clips: int
    is_stored: bool
    reason: str
    sha256: str | None
    near_duplicates: tuple[str, ...] | None
    descriptions: dict[str, str]
    traits: dict[str, str | float]
    findings: dict[str, str] = dataclasses.field(default_factory=dict)
    zone: str = ""
    patient: str = ""


def read_video_facts(dataset_path: Path) -> list[VideoFacts]:
    """Reads what a dataset states about every listed video, sorted by id.

    Raises:
        DataError: the dataset has no videos.jsonl, or it cannot be understood.
    """
    path = dataset_path / VIDEOS_NAME
    try:
        return sorted(map(_facts, read_json_lines(path)), key=lambda facts: facts.video_id)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{str(path)!r} is not the list of a dataset's videos ({error!r}); run preprocess again.") from None


def usable(facts: Sequence[VideoFacts], split: str | None = None) -> list[VideoFacts]:
    """Returns the videos that gave clips, of one split or of all."""
    return [video for video in facts if video.num_clips and split in (None, video.split)]


def _facts(line: dict[str, Any]) -> VideoFacts:
    return VideoFacts(
        **{name: line[name] for name in ("video_id", "class_name", "group", "split", "num_clips", "reason")},
        source=line["source"] or NOT_STATED,
        license=line["license"] or NOT_STATED,
        is_stored=not _AT_INGEST.match(line["reason"]),
        sha256=line.get("sha256"),
        near_duplicates=tuple(line["near_duplicates"]) if "near_duplicates" in line else None,
        descriptions={name: str(line[key]) for name, key in DESCRIPTIONS.items() if line.get(key)},
        traits={name: line[key] for name, key in FILE_TRAITS.items() if line.get(key)},
        findings={finding.name: line[finding.name] for finding in FINDINGS if line.get(finding.name)},
        zone=line.get("zone", ""),
        patient=line.get("patient_id") or line["group"],
    )
