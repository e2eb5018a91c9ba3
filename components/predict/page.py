"""The page: what a model says of videos, for a person to read: patients with their zones, tables of all videos, pictures of the first.

One HTML file without scripts, which holds its pictures and prints well.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence

from components.core.models.heads import CLASSES
from components.core.pages import template
from components.core.records.findings import FINDINGS, SEVERITY, Finding
from components.predict.chest import Chest
from components.predict.model_choice import ChosenModel
from components.predict.patients import Line

# A page with more pictures takes a browser long to open.
MAX_VIDEOS = 100
SHOWN_CLIPS = 3
EVIDENCE = "evidence for"
NOT_ASKED_FOR = "They were not asked for."
NOT_WITH_BEAM = "The workers of a Beam runner make none; predict the videos of interest again without Beam."


@dataclasses.dataclass(frozen=True)
class Picture:
    """A video to look at, as data URIs.

    Attributes:
        thumbnail: the middle frame of its first clip.
        strip: frames of that clip, and below each the same with what raised an answer, a row for each head that is explained.
    """

    thumbnail: str
    strip: str


@dataclasses.dataclass(frozen=True)
class Pictured:
    """The pictures of a page.

    Attributes:
        by_position: of the videos that have one.
        explained: the heads whose evidence stands below the frames of a strip, in this order.
        num_frames: how many frames of a clip a strip shows.
        remark: why there is no picture, or no evidence in them, or an empty string.
    """

    by_position: Mapping[int, Picture] = dataclasses.field(default_factory=dict)
    explained: Sequence[str] = ()
    num_frames: int = 0
    remark: str = ""


@dataclasses.dataclass(frozen=True)
class Section:
    """Videos that are told together: those of a patient, or those whose patient is not stated.

    Attributes:
        title: as a heading.
        patient: the line of the patient (components.predict.patients), or None.
        videos: their numbers among all videos, and their lines.
    """

    title: str
    patient: Line | None
    videos: list[tuple[int, Line]]

    @property
    def chest(self) -> Chest:
        """The zones that the manifest states of the videos."""
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
    page = template("components.predict", "page.html", percent=_percent, seconds=_seconds, score=_score, interval=_interval)
    html = page.render(
        model=model,
        lines=lines,
        sections=_sections(lines, patients),
        findings=[finding for finding in FINDINGS if finding.name in model.metadata.heads],
        rows=["frames", *(_titles()[name] for name in pictured.explained)],
        num_predicted=sum(not line["reason"] for line in lines),
        pictured=pictured,
        max_videos=MAX_VIDEOS,
        max_clips=SHOWN_CLIPS,
        remarks=_remarks,
        grade=_grade,
    )
    return html.encode("utf-8", "backslashreplace")  # names of files need not be UTF-8


def _sections(lines: Sequence[Line], patients: Sequence[Line]) -> list[Section]:
    of_patient: dict[str, list[tuple[int, Line]]] = defaultdict(list)
    for number, line in enumerate(lines):
        of_patient[line["patient"] or ""].append((number, line))
    sections = [Section(f"Patient {patient['patient']}", patient, of_patient[patient["patient"]]) for patient in patients]
    others = Section("Videos without a patient" if sections else "Videos", None, of_patient[""])
    return [*sections, *([others] if others.videos else [])]


def _titles() -> dict[str, str]:
    """Returns what the rows of a strip are called; that of the classes goes on with the class."""
    return {CLASSES: EVIDENCE, **{finding.name: f"{EVIDENCE} {finding.title}" for finding in FINDINGS}}


def _remarks(line: Line) -> list[str]:
    """Returns what a reader must know of a video."""
    if line["reason"]:
        return [f"no prediction: {line['reason']}"]
    damaged, strangeness = line["num_damaged"], line["strangeness"] or 0
    return [
        *(["the model abstains"] if line["abstained"] else []),
        *([f"{damaged} damaged part{'s' if damaged > 1 else ''} left out"] if damaged else []),
        *([f"unlike the videos that the model learnt from (strangeness {strangeness:.1f})"] if strangeness > 1 else []),
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


def _score(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _interval(ends: tuple[float, float] | None) -> str:
    return f"{_score(ends[0])}–{_score(ends[1])}" if ends else "no interval"
