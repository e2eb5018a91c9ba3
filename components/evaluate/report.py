"""The report: one self-contained HTML page for a reader who looks before reading (templates/report.html)."""

import dataclasses

import jinja2
import numpy as np

from components.evaluate.evaluation import PRUNED, EvaluatedModel, Evaluation
from components.evaluate.figures import roc_figure

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


def render_report(evaluation: Evaluation) -> str:
    """Returns the page; equal evaluations give equal bytes."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("components.evaluate"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"score": _score, "share": _share, "kilobytes": _kilobytes}
    videos = video_rows(evaluation)
    return environment.get_template("report.html").render(
        evaluation=evaluation,
        pruned=evaluation.models[PRUNED],
        rocs={name: roc_figure(model.video_scores, name) for name, model in evaluation.models.items()},
        videos=videos,
        mistakes=[video for video in videos if not video.answers[PRUNED].is_right],
    )


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


def _kilobytes(num_bytes: float) -> str:
    return f"{num_bytes / 1000:,.0f} kB"
