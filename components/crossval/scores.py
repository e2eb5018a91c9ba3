"""What a cross-validation found: scores over videos, their interval, and the same for trivial baselines. No TensorFlow."""

import dataclasses
import json
from typing import Any

import numpy as np

from components.core.models.predictions import Graded, Predictions
from components.core.pages import template
from components.core.records.findings import FINDINGS, NOT_STATED
from components.core.statistics.agreement import Agreement
from components.core.statistics.bootstrap import (
    Interval,
    macro_f1_over_groups,
    percentile_interval,
    sample_and_replicates,
    weighted_metrics,
)


@dataclasses.dataclass(frozen=True, eq=False)
class Videos:
    """The videos of a dataset.

    Attributes:
        ids: [n]
        labels: [n]
        groups: [n]
        parts: [n], the fold or source with which each was set aside.
    """

    ids: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    parts: np.ndarray

    def parts_with(self, one_class: bool) -> list[str]:
        """Returns the parts whose videos are all of one class, or the others.

        In the former nothing can be mistaken for that class, so that their macro-F1 tells little.
        """
        names = np.unique(self.parts)
        return [str(name) for name in names if (len(np.unique(self.labels[self.parts == name])) == 1) == one_class]


@dataclasses.dataclass(frozen=True)
class Score:
    """Macro-F1 over videos.

    Attributes:
        pooled: over all videos at once, mean of the repeats.
        repeats: the same of each repeat.
        low, high: 95 % percentile interval of `pooled`, from a bootstrap over groups; None without one.
        part_mean, part_deviation: over the repeats and the parts with several classes, each part by itself, over the classes that it has;
            None without such a part.
    """

    pooled: float
    repeats: tuple[float, ...]
    low: float | None
    high: float | None
    part_mean: float | None
    part_deviation: float | None


def score_of(videos: Videos, predicted: np.ndarray, num_bootstrap: int, seed: int) -> Score:
    """Scores predictions.

    Args:
        videos: with the true labels.
        predicted: [repeats, n] labels.
        num_bootstrap: replicates behind the interval; one draws as many groups as there are, with replacement, and takes all their videos.
        seed: of the replicates; a replicate that lacks a class is left out.
    """
    classes = np.eye(1 + max(videos.labels.max(), predicted.max()))
    answers = [Predictions(videos.labels, classes[row], videos.ids, videos.groups, videos.parts) for row in predicted]
    weights = sample_and_replicates(videos.groups, num_bootstrap, seed)
    macro_f1 = np.stack([weighted_metrics(of_repeat, weights).overall["macro_f1"] for of_repeat in answers])
    members = [videos.parts == part for part in videos.parts_with(one_class=False)]
    parts = [macro_f1_over_groups(of_repeat.where(rows), 0, seed)[0] for of_repeat in answers for rows in members]
    interval = percentile_interval(macro_f1[:, 1:].mean(axis=0))
    low, high = (interval.low, interval.high) if interval else (None, None)
    part_mean, part_deviation = (float(np.mean(parts)), float(np.std(parts))) if parts else (None, None)
    return Score(float(macro_f1[:, 0].mean()), tuple(macro_f1[:, 0].tolist()), low, high, part_mean, part_deviation)


def _ends(interval: Interval | None) -> str:
    return f"{_two(interval.low)} to {_two(interval.high)}" if interval else "undefined"


def _two(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"


@dataclasses.dataclass(frozen=True, eq=False)
class CrossValidation:
    """Everything that was found.

    Attributes:
        title: of the classifier.
        divide_by: fold or source.
        class_names: in the order of the labels.
        parameters: of the training.
        dataset_fingerprint: of the dataset.
        videos: which were tested.
        probabilities: [repeats, n, classes], of the classifier.
        scores: by title, the classifier's first.
        told: of each finding that was learnt, by its name, what the classifier says of the videos in each repeat.
        findings: likewise the scores of that.
    """

    title: str
    divide_by: str
    class_names: list[str]
    parameters: dict[str, Any]
    dataset_fingerprint: str
    videos: Videos
    probabilities: np.ndarray
    scores: dict[str, Score]
    told: dict[str, list[Graded]] = dataclasses.field(default_factory=dict)
    findings: dict[str, Agreement] = dataclasses.field(default_factory=dict)

    def to_json(self) -> str:
        """Returns all of it as JSON."""
        rows = zip(
            self.videos.ids, self.videos.groups, self.videos.parts, self.videos.labels, self.probabilities.swapaxes(0, 1), strict=True
        )
        fields = {
            "class_names": self.class_names,
            "dataset_fingerprint": self.dataset_fingerprint,
            "divide_by": self.divide_by,
            "parts_of_one_class": self.videos.parts_with(one_class=True),
            "parameters": self.parameters,
            "scores": {title: dataclasses.asdict(score) for title, score in self.scores.items()},
            "findings": {name: dataclasses.asdict(found) for name, found in self.findings.items()},
            "videos": [
                {
                    "video_id": str(video_id),
                    "group": str(group),
                    self.divide_by: str(part),
                    "true": self.class_names[label],
                    "probabilities": np.round(probabilities, 6).tolist(),
                    **self._findings_of(number),
                }
                for number, (video_id, group, part, label, probabilities) in enumerate(rows)
            ],
        }
        return json.dumps(fields, indent=2, ensure_ascii=False) + "\n"

    def _findings_of(self, row: int) -> dict[str, Any]:
        """Returns what is stated and told of each finding in a video."""
        if not self.told:
            return {}
        grades = {name: int(repeats[0].grades[row]) for name, repeats in self.told.items()}
        told = {name: [np.round(of.probabilities[row], 6).tolist() for of in repeats] for name, repeats in self.told.items()}
        stated = {of.name: of.grades[grades[of.name]] for of in FINDINGS if grades.get(of.name, NOT_STATED) != NOT_STATED}
        return {"stated": stated, "told": told}

    def markdown(self) -> str:
        """Returns the table."""
        return template("components.crossval", "scores.md", two=_two, ends=_ends).render(
            found=self,
            num_groups=len(np.unique(self.videos.groups)),
            num_parts=len(np.unique(self.videos.parts)),
            titles={finding.name: finding.title for finding in FINDINGS},
            left_out=self.videos.parts_with(one_class=True),
        )

    def metrics(self) -> dict[str, float]:
        """Returns the numbers for the Kubeflow UI."""
        score = self.scores[self.title]
        numbers = {"macro_f1": score.pooled, "macro_f1_low": score.low, "macro_f1_high": score.high, "part_macro_f1": score.part_mean}
        numbers |= {f"{name}_{found.main}": found.scores[found.main] for name, found in self.findings.items()}
        numbers |= {f"baseline_{title}": other.pooled for title, other in self.scores.items() if title != self.title}
        return {name.replace(" ", "_"): round(value, 6) for name, value in numbers.items() if value is not None}
