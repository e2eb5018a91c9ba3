"""What a cross-validation found: scores over videos, their interval, and the same for trivial baselines. No TensorFlow."""

import dataclasses
import json
from typing import Any

import numpy as np

from components.core.models.predictions import Graded, Predictions
from components.core.pages import template
from components.core.records.findings import FINDINGS, NOT_STATED, Finding
from components.core.statistics.agreement import by_order, weighted_agreement
from components.core.statistics.bootstrap import macro_f1_over_groups, percentile_interval, sample_and_replicates, weighted_metrics


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


@dataclasses.dataclass(frozen=True)
class FindingScore:
    """How well a finding is told: the main measure of core.statistics.agreement, over the videos that state it.

    Attributes:
        measure: its name.
        num_videos: videos that state the finding.
        pooled: over all of them at once, mean of the repeats; None where it is not defined, like the others.
        repeats: the same of each repeat.
        low, high: 95 % percentile interval of `pooled`, from a bootstrap over groups.
        thumbnail: what a thumbnail reaches on the same videos.
        difference_low, difference_high: interval of `pooled` less that, paired over groups.
    """

    measure: str
    num_videos: int
    pooled: float | None
    repeats: tuple[float | None, ...]
    low: float | None
    high: float | None
    thumbnail: float | None
    difference_low: float | None
    difference_high: float | None


def finding_score_of(
    finding: Finding, videos: Videos, grades: np.ndarray, told: np.ndarray, by_thumbnail: np.ndarray, num_bootstrap: int, seed: int
) -> FindingScore:
    """Scores what is told of a finding.

    Args:
        finding: what is told.
        videos: of the dataset.
        grades: what is stated of them, or NOT_STATED, [n].
        told: [repeats, n, grades − 1], the probabilities of at least each grade but the first.
        by_thumbnail: what a thumbnail makes expect, [n].
        num_bootstrap: replicates behind the intervals.
        seed: of the replicates.
    """
    rows = np.flatnonzero(grades != NOT_STATED)
    weights = sample_and_replicates(videos.groups[rows], num_bootstrap, seed)
    measured = [weighted_agreement(finding, Graded(grades[rows], of_repeat[rows]), weights) for of_repeat in told]
    measure = next(iter(measured[0]))
    values = np.stack([of_repeat[measure] for of_repeat in measured])
    baseline = weighted_agreement(finding, by_order(grades[rows], by_thumbnail[rows], finding), weights)[measure]
    mean = values.mean(axis=0)
    interval, difference = percentile_interval(mean[1:]), percentile_interval(mean[1:] - baseline[1:])
    return FindingScore(
        measure=measure,
        num_videos=len(rows),
        pooled=_defined(mean[0]),
        repeats=tuple(map(_defined, values[:, 0])),
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        thumbnail=_defined(baseline[0]),
        difference_low=difference.low if difference else None,
        difference_high=difference.high if difference else None,
    )


def _two(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"


def _defined(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)


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
        grades: of each finding that was learnt, by its name, what is stated of the videos, or NOT_STATED, [n].
        told: likewise what the classifier says, [repeats, n, grades − 1].
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
    grades: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    told: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    findings: dict[str, FindingScore] = dataclasses.field(default_factory=dict)

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
            "findings": {name: dataclasses.asdict(score) for name, score in self.findings.items()},
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
        if not self.findings:
            return {}
        learnt = [finding for finding in FINDINGS if finding.name in self.findings]
        stated = {of.name: of.grades[grade] for of in learnt if (grade := int(self.grades[of.name][row])) != NOT_STATED}
        return {"stated": stated, "told": {name: np.round(values[:, row], 6).tolist() for name, values in self.told.items()}}

    def markdown(self) -> str:
        """Returns the table."""
        return template("components.crossval", "scores.md", two=_two).render(
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
        numbers |= {f"{name}_{score.measure}": score.pooled for name, score in self.findings.items()}
        numbers |= {f"baseline_{title}": other.pooled for title, other in self.scores.items() if title != self.title}
        return {name.replace(" ", "_"): round(value, 6) for name, value in numbers.items() if value is not None}
