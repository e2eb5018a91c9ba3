"""The page: what a model says of videos, for a person to read: patients with their zones, tables of all videos, pictures of the first.

One HTML file without scripts, which holds its pictures and prints well.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from components.core.models.heads import CLASSES
from components.core.pages import template
from components.core.records.findings import FINDINGS, SEVERITY, Finding
from components.predict.chest import Chest
from components.predict.model_choice import ChosenModel
from components.predict.patients import Line
from components.predict.pictures import MAX_VIDEOS, SHOWN_FRAMES, Picture

SHOWN_CLIPS = 3
EVIDENCE = "evidence for"
NOT_ASKED_FOR = "They were not asked for."
NOT_WITH_BEAM = "The workers of a Beam runner make none; predict the videos of interest again without Beam."


@dataclasses.dataclass(frozen=True)
class Pictured:
    """The pictures of a page.

    Attributes:
        by_position: of the videos that have one.
        explained: the heads whose evidence stands below the frames of a strip, in this order.
        remark: why there is no picture, or no evidence in them, or an empty string.
    """

    by_position: Mapping[int, Picture] = dataclasses.field(default_factory=dict)
    explained: Sequence[str] = ()
    remark: str = ""


@dataclasses.dataclass(frozen=True)
class Section:
    """Videos that are told together: those of a patient, or those whose patient is not stated.

    Attributes:
        title: as a heading.
        patient: the line of the patient (components.predict.patients), or None.
        videos: their numbers among all videos, and their lines.
        chest: the zones that the manifest states.
    """

    title: str
    patient: Line | None
    videos: list[tuple[int, Line]]

    @property
    def chest(self) -> Chest:
        """Where the videos are from."""
        return Chest.of(line["zone"] for _, line in self.videos if line["zone"])

    @property
    def highest_severity(self) -> int:
        """What the sum of the severities could be at most."""
        return SEVERITY.num_thresholds * len(self.patient["zones"]) if self.patient else 0

    def in_zone(self, zone: str) -> list[tuple[int, Line]]:
        """Returns the videos of a zone."""
        return [(position, line) for position, line in self.videos if line["zone"] == zone]


def page_html(model: ChosenModel, lines: Sequence[Line], patients: Sequence[Line], pictured: Pictured) -> bytes:
    """Returns the page.

    Args:
        model: the model that was asked.
        lines: what it says of the videos, in their order (components.predict.prediction).
        patients: what their videos say together.
        pictured: what there is to look at.
    """
    page = template("components.predict", "page.html", percent=_percent, seconds=_seconds, interval=_interval)
    html = page.render(
        model=model,
        lines=lines,
        sections=_sections(lines, patients),
        findings=[finding for finding in FINDINGS if finding.name in model.metadata.heads],
        rows=["frames", *(_titles()[name] for name in pictured.explained)],
        num_predicted=sum(not line["reason"] for line in lines),
        pictured=pictured,
        max_videos=MAX_VIDEOS,
        num_frames=len(SHOWN_FRAMES),
        max_clips=SHOWN_CLIPS,
        remarks=_remarks,
        grade=_grade,
    )
    return html.encode("utf-8", "backslashreplace")  # names of files need not be UTF-8


def _sections(lines: Sequence[Line], patients: Sequence[Line]) -> list[Section]:
    numbered = list(enumerate(lines))
    sections = [
        Section(f"Patient {patient['patient']}", patient, [item for item in numbered if item[1]["patient"] == patient["patient"]])
        for patient in patients
    ]
    others = [item for item in numbered if not item[1]["patient"]]
    title = "Videos without a patient" if sections else "Videos"
    return [*sections, *([Section(title, None, others)] if others else [])]


def _titles() -> dict[str, str]:
    """Returns what the rows of a strip are called; that of the classes goes on with the class."""
    return {CLASSES: EVIDENCE, **{finding.name: f"{EVIDENCE} {finding.title}" for finding in FINDINGS}}


def _remarks(line: Line) -> list[str]:
    """Returns what a reader must know of a video."""
    if line["reason"]:
        return [f"no prediction: {line['reason']}"]
    damaged = line["num_damaged"]
    return [
        *(["the model abstains"] if line["abstained"] else []),
        *([f"{damaged} damaged part{'s' if damaged > 1 else ''} left out"] if damaged else []),
        *(["no sector found: the whole frame was used"] if line["sector"] == "unknown" else []),
    ]


def _grade(finding: Finding, found: Mapping[str, Mapping[str, float]]) -> str:
    """Returns what findings say of one, in a word."""
    value = found[finding.name][finding.measure]
    return _percent(value) if finding.num_thresholds == 1 else f"{value:.1f}"


def _percent(value: float) -> str:
    return f"{100 * value:.0f}\N{NO-BREAK SPACE}%"


def _seconds(clip: Line) -> str:
    return f"{clip['start_s']:.1f}–{clip['end_s']:.1f}\N{NO-BREAK SPACE}s"


def _interval(ends: Any) -> str:
    return f"{ends[0]:.2f}–{ends[1]:.2f}".replace("-", "−") if ends else "no interval"
