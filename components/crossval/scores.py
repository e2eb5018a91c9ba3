"""What a cross-validation found: scores over videos, their interval, and the same for trivial baselines. No TensorFlow."""

import dataclasses
import json
from typing import Any

import numpy as np

from components.core.models.predictions import Predictions
from components.core.pages import template
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
    """

    title: str
    divide_by: str
    class_names: list[str]
    parameters: dict[str, Any]
    dataset_fingerprint: str
    videos: Videos
    probabilities: np.ndarray
    scores: dict[str, Score]

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
            "videos": [
                {
                    "video_id": str(video_id),
                    "group": str(group),
                    self.divide_by: str(part),
                    "true": self.class_names[label],
                    "probabilities": np.round(probabilities, 6).tolist(),
                }
                for video_id, group, part, label, probabilities in rows
            ],
        }
        return json.dumps(fields, indent=2, ensure_ascii=False) + "\n"

    def markdown(self) -> str:
        """Returns the table."""
        return template("components.crossval", "scores.md").render(
            found=self,
            num_groups=len(np.unique(self.videos.groups)),
            num_parts=len(np.unique(self.videos.parts)),
            left_out=self.videos.parts_with(one_class=True),
        )

    def metrics(self) -> dict[str, float]:
        """Returns the numbers for the Kubeflow UI."""
        score = self.scores[self.title]
        numbers = {"macro_f1": score.pooled, "macro_f1_low": score.low, "macro_f1_high": score.high, "part_macro_f1": score.part_mean}
        numbers |= {f"baseline_{title}": other.pooled for title, other in self.scores.items() if title != self.title}
        return {name.replace(" ", "_"): round(value, 6) for name, value in numbers.items() if value is not None}
