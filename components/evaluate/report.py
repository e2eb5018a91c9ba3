"""The report: one self-contained HTML page for a reader who looks before reading.

templates/report.html is the page, section_*.html are its sections, macros.html is what they share.
"""

import dataclasses
import os
from typing import Any

import jinja2
import numpy as np

from components.evaluate.checklist import CLAIM, TRIPOD_AI, checklist
from components.evaluate.evaluation import DENSE, PRUNED, EvaluatedModel, Evaluation
from components.evaluate.figures import precision_recall_figure, reliability_figure, risk_figure, roc_figure, training_figure
from components.evaluate.operating_points import TARGET_COVERAGE
from components.evaluate.slices import DIMENSIONS, MIN_GROUPS

UNDEFINED = "undefined"


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a model says about a video."""

    class_name: str
    probability: float
    is_right: bool


@dataclasses.dataclass(frozen=True)
class VideoRow:
    """A test video and what the models say about it.

    Attributes:
        video_id: its id.
        group: its group.
        source: its source.
        class_name: the truth.
        answers: by the models' names.
        probabilities: of the pruned model, in the order of the classes.
        margin: the pruned model's probability of the truth minus that of the likeliest other class; below zero is a mistake.
    """

    video_id: str
    group: str
    source: str
    class_name: str
    answers: dict[str, Answer]
    probabilities: tuple[float, ...]
    margin: float


SECTIONS = {
    "notes": "Read this first",
    "scores": "Scores",
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
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("components.evaluate"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"score": _score, "share": _share, "percent": _percent, "kilobytes": _kilobytes}
    videos = video_rows(evaluation)
    slices = {name: parts for name in DIMENSIONS if (parts := [part for part in evaluation.slices if part.dimension == name])}
    return environment.get_template("report.html").render(
        evaluation=evaluation,
        pruned=evaluation.models[PRUNED],
        sections=list(SECTIONS.items()),
        figures=_figures(evaluation),
        videos=videos,
        mistakes=[video for video in videos if not video.answers[PRUNED].is_right],
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
        "training": {name: figure for name, history in histories.items() if (figure := training_figure(history, name))},
    }


def video_rows(evaluation: Evaluation) -> list[VideoRow]:
    """Returns the test videos, the pruned model's worst mistakes first."""
    truth = evaluation.models[PRUNED].videos
    rows = [
        VideoRow(
            video_id=str(truth.video_ids[row]),
            group=str(truth.groups[row]),
            source=str(truth.sources[row]),
            class_name=evaluation.class_names[label],
            answers={name: _answer(model, row, evaluation.class_names) for name, model in evaluation.models.items()},
            probabilities=tuple(truth.probabilities[row].tolist()),
            margin=float(truth.probabilities[row, label] - np.delete(truth.probabilities[row], label).max()),
        )
        for row, label in enumerate(truth.labels)
    ]
    return sorted(rows, key=lambda row: (row.margin, row.video_id))


def _answer(model: EvaluatedModel, row: int, class_names: list[str]) -> Answer:
    predicted = model.videos.predicted[row]
    return Answer(class_names[predicted], float(model.videos.probabilities[row, predicted]), bool(predicted == model.videos.labels[row]))


def _score(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.2f}"


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _percent(value: float | None) -> str:
    return UNDEFINED if value is None else f"{100 * value:.0f} %"


def _kilobytes(num_bytes: float) -> str:
    return f"{num_bytes / 1000:,.0f} kB"
