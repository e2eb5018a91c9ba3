"""The report: one self-contained HTML page for a reader who looks before reading.

templates/report.html is the page, section_*.html are its sections, macros.html is what they share.
"""

import os
from typing import Any

from markupsafe import Markup

from components.core.models.predictions import Answer
from components.core.pages import template
from components.core.records.findings import FINDINGS, SEVERITY
from components.core.statistics.forecasts import Forecast
from components.evaluate.checklist import CLAIM, TRIPOD_AI, checklist
from components.evaluate.chests import Chest, Chests
from components.evaluate.evaluation import DENSE, PRUNED, Evaluation
from components.evaluate.figures import (
    calibration_figure,
    precision_recall_figure,
    reliability_figure,
    risk_figure,
    roc_band_figure,
    roc_figure,
    sums_figure,
    training_figure,
)
from components.evaluate.operating_points import TARGET_COVERAGE
from components.evaluate.slices import DIMENSIONS, MIN_GROUPS

UNDEFINED = "undefined"
MAX_CHESTS = 30
# Of the severity, the curve and the calibration of at least this grade are drawn: confluent B-lines or consolidation.
DRAWN_SEVERITY = "2"

SECTIONS = {
    "notes": "Read this first",
    "scores": "Scores",
    "findings": "Findings",
    "patients": "Patients",
    "shortcuts": "What can be told without the lung",
    "confusion": "What is taken for what",
    "classes": "Scores by class",
    "curves": "ROC and precision-recall curves",
    "certainty": "Certainty",
    "slices": "Parts of the test videos",
    "explanation": "What the model looks at",
    "samples": "Samples of the data",
    "data": "From listed videos to splits",
    "training": "Training",
    "videos": "Every test video",
    "size": "Dense, pruned, int8: size",
    "card": "Model card",
    "checklist": "Reporting guidelines",
}
CITATIONS = {
    CLAIM: "Tejani et al., Radiology: Artificial Intelligence 2024;6(4):e240300.",
    TRIPOD_AI: "Collins et al., BMJ 2024;385:e078378.",
}
# Set by whoever runs the image, since an image cannot know its own digest.
IMAGE_VARIABLE = "LUS_IMAGE_DIGEST"


def render_report(evaluation: Evaluation) -> str:
    """Returns the page; equal evaluations give equal bytes."""
    page = template("components.evaluate", "report.html", score=_score, share=_share, percent=_percent, kilobytes=_kilobytes)
    videos = video_rows(evaluation)
    slices = {name: parts for name in DIMENSIONS if (parts := [part for part in evaluation.slices if part.dimension == name])}
    return page.render(
        evaluation=evaluation,
        pruned=evaluation.models[PRUNED],
        sections=list(SECTIONS.items()),
        figures=_figures(evaluation),
        titles={finding.name: finding.title for finding in FINDINGS},
        grade_title=_grade_title,
        chests=_shown_chests(evaluation.chests),
        max_severity=SEVERITY.num_thresholds,
        videos=videos,
        mistakes=[video for video in videos if not video[PRUNED].is_right],
        slices=slices,
        unstated=[name for name in DIMENSIONS if name not in slices],
        min_groups=MIN_GROUPS,
        target_coverage=TARGET_COVERAGE,
        noncommercial=sum(count for licence, count in evaluation.flow.licences.items() if "NC" in licence.replace("-", " ").split()),
        checklist=checklist(evaluation),
        citations=CITATIONS,
        image=os.environ.get(IMAGE_VARIABLE, ""),
    )


def _figures(evaluation: Evaluation) -> dict[str, Any]:
    models, pruned = evaluation.models, evaluation.models[PRUNED]
    histories = {name: model.history for name, model in models.items() if name in (DENSE, PRUNED)}
    return {
        "roc": {name: roc_figure(model.video_scores, name) for name, model in models.items()},
        "precision_recall": {name: precision_recall_figure(model.video_scores, name) for name, model in models.items()},
        "reliability": reliability_figure(pruned.videos, PRUNED),
        "risk": risk_figure(pruned.abstention, PRUNED),
        "forecasts": _forecast_figures(evaluation.forecasts[PRUNED]),
        "sums": sums_figure(evaluation.chests, "sums") if evaluation.chests and len(evaluation.chests.summed) > 1 else None,
        "training": {name: figure for name, history in histories.items() if (figure := training_figure(history, name))},
    }


def _forecast_figures(forecasts: dict[str, dict[str, Forecast]]) -> dict[str, tuple[Markup, Markup] | None]:
    """Returns the curve and the calibration of each finding by what is forecast, None where all test videos are alike."""
    figures: dict[str, tuple[Markup, Markup] | None] = {}
    for finding, of_grade in forecasts.items():
        grade = DRAWN_SEVERITY if finding == SEVERITY.name else next(iter(of_grade))
        what, found = _grade_title(finding, grade), of_grade[grade]
        pair = (roc_band_figure, f"roc-{finding}"), (calibration_figure, f"calibration-{finding}")
        figures[what] = tuple(draw(found, what, ids) for draw, ids in pair) if found.roc else None  # type: ignore[assignment]
    return figures


def _grade_title(name: str, grade: str) -> str:
    """Returns what it is called to have at least a grade of a finding."""
    (finding,) = (finding for finding in FINDINGS if finding.name == name)
    return finding.title if finding.num_thresholds == 1 else f"{finding.title} ≥ {grade}"


def _shown_chests(chests: Chests | None) -> list[Chest]:
    """Returns the first MAX_CHESTS patients by name, the most severe first."""
    shown = chests.chests[:MAX_CHESTS] if chests else ()
    return sorted(shown, key=lambda chest: -(chest.sums[0] / chest.num_zones if chest.num_zones else -1))


def video_rows(evaluation: Evaluation) -> list[dict[str, Answer]]:
    """Returns what each model says, by its name, about each test video, the pruned model's worst mistakes first."""
    answers = {name: model.videos.answers(evaluation.class_names) for name, model in evaluation.models.items()}
    rows = [dict(zip(answers, of_video, strict=True)) for of_video in zip(*answers.values(), strict=True)]
    return sorted(rows, key=lambda row: (row[PRUNED].margin, row[PRUNED].video_id))


def _score(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.2f}".replace("-", "−")


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _percent(value: float | None) -> str:
    return UNDEFINED if value is None else f"{100 * value:.0f} %"


def _kilobytes(num_bytes: float) -> str:
    return f"{num_bytes / 1000:,.0f} kB"
