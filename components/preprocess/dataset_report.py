"""The dataset report: one self-contained HTML page, to read before anything is trained (templates/dataset_report.html)."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from components.core.records.clips import SPLITS
from components.core.records.findings import FINDINGS
from components.core.records.shards import DatasetIndex
from components.core.statistics.drift import NUMBERS, statistics_of
from components.preprocess.contact_sheet import contact_sheets

TITLES = {
    "source": "source",
    "probe": "probe",
    "container": "container of the file",
    "sector": "sector found",
    "label_detail": "class detail",
    "fold": "fold",
    "license": "licence",
}
TITLES_IF_STATED = {**{finding.name: finding.title for finding in FINDINGS}, "zone": "zone"}
NUMBER_TITLES = ("brightness of the clips (0–255)", "frames per second", "width (px)", "height (px)", "seconds read")

Video = dict[str, Any]


def render_dataset_report(dataset_path: Path, index: DatasetIndex, videos: Sequence[Video]) -> str:
    """Returns the page; equal datasets give equal bytes.

    Args:
        dataset_path: the folder of the shards.
        index: of the dataset.
        videos: the lines of its videos.jsonl.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("components.preprocess"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    used = [video for video in videos if video["num_clips"]]
    titles = TITLES | {field: title for field, title in TITLES_IF_STATED.items() if any(video[field] for video in used)}
    return environment.get_template("dataset_report.html").render(
        index=index,
        splits=SPLITS,
        videos=videos,
        used=used,
        excluded=[video for video in videos if not video["num_clips"]],
        duplicates=[(video, other) for video in used for other in video["near_duplicates"] if video["video_id"] < other],
        num_clips=sum(info.num_clips for info in index.splits.values()),
        num_groups=sum(info.num_groups for info in index.splits.values()),
        tables={title: _rows(field, used, index.class_names) for field, title in titles.items()},
        statistics=statistics_of(used),
        numbers=list(zip(NUMBER_TITLES, NUMBERS, strict=True)),
        sheets={name: base64.b64encode(image).decode() for name, image in contact_sheets(dataset_path, index.class_names).items()},
        groups=_groups(used),
    )


def _rows(field: str, used: Sequence[Video], class_names: Sequence[str]) -> list[tuple[str, list[int], int]]:
    """Returns the table of the used videos by one of their fields: the value, the videos of each class, and their groups."""
    rows = []
    for value in sorted({video[field] for video in used}):
        members = [video for video in used if video[field] == value]
        counts = [sum(video["class_name"] == name for video in members) for name in class_names]
        rows.append((str(value), counts, len({video["group"] for video in members})))
    return rows


def _groups(used: Sequence[Video]) -> list[dict[str, Any]]:
    """Returns the table of the groups."""
    by_group: dict[str, list[Video]] = {}
    for video in used:
        by_group.setdefault(video["group"], []).append(video)
    groups = [
        {
            "name": name,
            "split": members[0]["split"],
            "fold": members[0]["fold"],
            "classes": ", ".join(sorted({video["class_name"] for video in members})),
            "num_videos": len(members),
            "num_clips": sum(video["num_clips"] for video in members),
        }
        for name, members in by_group.items()
    ]
    return sorted(groups, key=lambda group: (SPLITS.index(group["split"]), group["classes"], group["name"]))
