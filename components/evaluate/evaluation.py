"""What an evaluation found, as numbers: evaluation.json, the metrics of the Kubeflow UI and the printed table are views of it.

    evaluation.json
      attention          shares of the pruned model's attribution where there should be little evidence
      baseline           always answering the most frequent class of the train split
      chests             the severity of every zone of the test patients, as stated and as the pruned model expects it; null without zones
      baselines          classifiers that see leftovers of the videos only: on the test videos, and leaving one source out
      bootstrap          how the intervals were made
      class_names        in the order of the labels
      code_revision      of this project
      comparison         core.registry.versions.Comparison, for promote
      data_flow          how the listed videos became the splits, licences, and the search for leaks
      dataset_fingerprint
      listed_videos      core.records.video_records.VideoSet of what preprocess was given, for record_training
      models             per name (pruned, dense, int8, champion): clip, video, group (scores with intervals), operating_points, abstention,
                         findings (what the model tells beside the class), forecasts (of at least each grade), patients (the AUC of each
                         class over patients, beside a thumbnail), video_macro_f1_interval, videos (every prediction), …
      notes              what a reader must know, in sentences
      slices             the pruned model by source, probe, class detail, sex, age and length of the videos
      test_set           videos, groups and clips by class and by source

A score that the data does not define is null.
"""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from components.core.models.classifier import ClassifierMetadata
from components.core.models.predictions import Predictions
from components.core.records.training_record import LISTED_VIDEOS_KEY
from components.core.records.video_records import VideoSet
from components.core.registry.versions import COMPARISON_KEY, Comparison
from components.core.statistics.agreement import Agreement
from components.core.statistics.bootstrap import CONFIDENCE, Interval
from components.core.statistics.comparisons import PatientScore
from components.core.statistics.forecasts import Forecast
from components.evaluate.attention import Attention
from components.evaluate.baselines import MAJORITY, Baseline
from components.evaluate.chests import Chests
from components.evaluate.data_flow import DataFlow
from components.evaluate.illustrations import Illustrations
from components.evaluate.metrics import ClassScores, Scores
from components.evaluate.operating_points import Abstention, OperatingPoint
from components.evaluate.slices import Slice

PRUNED, DENSE, INT8, CHAMPION = "pruned", "dense", "int8", "champion"
RULE = "rule"  # who tells patients beside the models: the rule in the reference of the pruned one
ROC_CLASS = "covid"
JSON_DECIMALS = 6
SHOWN_SCORES = ("macro_f1", "accuracy", "balanced_accuracy", "macro_auc", "brier", "ece")  # per video, in the Kubeflow UI


@dataclasses.dataclass(frozen=True)
class EvaluatedModel:
    """A model and its scores on the test split.

    Attributes:
        name: pruned, dense, int8 (the pruned one as TFLite in 8 bits) or champion.
        version: the champion's version, or an empty string.
        metadata: of the model artifact.
        model_sha256: of the model.keras of its artifact.
        sizes: of its file, `bytes` and `gzip_bytes` (core.models.classifier.file_sizes).
        clip_scores: scores over clips.
        video_scores: scores over videos; the probability of a video is the mean of its clips'.
        group_scores: scores over groups, usually patients; the probability of a group is the mean of its videos'.
        operating_points: a threshold for every class, chosen on the validation videos.
        abstention: when to leave a video to a human, chosen on the validation videos.
        history: what was measured in each epoch of its training, by name; empty when it has no log.
        clips: its predictions, one row a clip.
        videos: its predictions, one row a video.
    """

    name: str
    version: str
    metadata: ClassifierMetadata
    model_sha256: str
    sizes: dict[str, int]
    clip_scores: Scores
    video_scores: Scores
    group_scores: Scores
    operating_points: tuple[OperatingPoint, ...]
    abstention: Abstention
    history: dict[str, list[float]]
    clips: Predictions
    videos: Predictions

    @property
    def interval(self) -> Interval | None:
        """Of the video-level macro-F1, or None when the data gives none."""
        return self.video_scores.intervals.get("macro_f1")


@dataclasses.dataclass(frozen=True)
class Majority:
    """What always answering the most frequent class of the train split scores on the test videos."""

    class_name: str
    macro_f1: float
    accuracy: float

    @classmethod
    def of(cls, baselines: Sequence[Baseline]) -> "Majority":
        """Takes it from the baselines."""
        (scores,) = (baseline.scores for baseline in baselines if baseline.name == MAJORITY and baseline.scores)
        answered = np.sum(scores.confusion_matrix, axis=0)
        return cls(scores.classes[int(answered.argmax())].class_name, scores.macro_f1, scores.accuracy)


@dataclasses.dataclass(frozen=True)
class Tally:
    """How much of something there is in the test split."""

    videos: int
    groups: int
    clips: int


@dataclasses.dataclass(frozen=True)
class TestSet:
    """What the test split holds, in all, by class name, by source, and the videos of each class by source."""

    __test__ = False  # not a test case for pytest

    total: Tally
    classes: dict[str, Tally]
    sources: dict[str, Tally]
    videos_by_source_and_class: dict[str, dict[str, int]]

    @classmethod
    def of(cls, clips: Predictions, class_names: list[str]) -> "TestSet":
        """Counts the clips of the test split."""

        def tally(chosen: Any) -> Tally:
            return Tally(len(np.unique(clips.video_ids[chosen])), len(np.unique(clips.groups[chosen])), int(np.sum(chosen)))

        of_class = {name: clips.labels == label for label, name in enumerate(class_names)}
        of_source = {str(source): clips.sources == source for source in np.unique(clips.sources)}
        return cls(
            total=tally(np.ones(len(clips.labels), bool)),
            classes={name: tally(chosen) for name, chosen in of_class.items()},
            sources={source: tally(chosen) for source, chosen in of_source.items()},
            videos_by_source_and_class={
                source: {name: tally(from_source & in_class).videos for name, in_class in of_class.items()}
                for source, from_source in of_source.items()
            },
        )


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Everything that was found on the test split.

    Attributes:
        class_names: in the order of the labels.
        dataset_fingerprint: of the clip dataset.
        listed_videos: what the dataset was made of.
        code_revision: of this project.
        num_bootstrap: replicates behind the intervals.
        seed: of the replicates.
        test_set: what the test split holds.
        baseline: the trivial classifier.
        baselines: classifiers that see leftovers of the videos only.
        slices: the pruned model on parts of the test videos.
        flow: how the listed videos became the splits.
        attention: where the pruned model's attribution lies, or None when its layers do not tell.
        illustrations: pictures for the report; evaluation.json has none.
        models: by name; pruned and dense always, int8 when prune exported it, champion when it could be compared.
        findings: by the name of the model, then of the finding, what it tells beside the class, over videos.
        forecasts: likewise, then by the grade, how good the probability of at least that grade is.
        patients: by the name of the model, then of the class, how well patients are told, beside a thumbnail; also by RULE, when the
            pruned model has a reference (core.models.reference).
        num_strange: test videos that are unlike the train videos to the pruned model, or None without a reference.
        chests: the severities that the pruned model expects in the zones of the test patients, or None without zones.
        comparison: for promote.
        notes: what a reader must know, in sentences.
    """

    class_names: list[str]
    dataset_fingerprint: str
    listed_videos: VideoSet
    code_revision: str
    num_bootstrap: int
    seed: int
    test_set: TestSet
    baseline: Majority
    baselines: tuple[Baseline, ...]
    slices: tuple[Slice, ...]
    flow: DataFlow
    attention: Attention | None
    illustrations: Illustrations
    models: dict[str, EvaluatedModel]
    findings: dict[str, dict[str, Agreement]]
    forecasts: dict[str, dict[str, dict[str, Forecast]]]
    patients: dict[str, dict[str, PatientScore]]
    num_strange: int | None
    chests: Chests | None
    comparison: Comparison
    notes: tuple[str, ...]

    def to_json(self) -> str:
        """Returns the text of evaluation.json: equal evaluations give equal bytes."""
        fields = {
            "attention": self.attention,
            "baseline": self.baseline,
            "baselines": {baseline.name: _baseline_fields(baseline) for baseline in self.baselines},
            "bootstrap": {"confidence": CONFIDENCE, "num_bootstrap": self.num_bootstrap, "seed": self.seed, "unit": "group"},
            "chests": self.chests,
            "class_names": self.class_names,
            "code_revision": self.code_revision,
            COMPARISON_KEY: self.comparison,
            "data_flow": self.flow,
            "dataset_fingerprint": self.dataset_fingerprint,
            LISTED_VIDEOS_KEY: self.listed_videos,
            "models": {name: self._model_fields(model) for name, model in self.models.items()},
            "notes": self.notes,
            "num_strange": self.num_strange,
            "patients_by_rule": self.patients.get(RULE),
            "slices": self.slices,
            "test_set": self.test_set,
        }
        return json.dumps(_plain(fields), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"

    def metrics(self) -> dict[str, float]:
        """Returns the numbers that the Kubeflow UI shows, under flat names; undefined ones are absent."""
        numbers: dict[str, float | None] = {}
        for name, model in self.models.items():
            numbers |= {f"{name}_video_{score}": getattr(model.video_scores, score) for score in SHOWN_SCORES}
            if model.interval:
                numbers |= {f"{name}_video_macro_f1_low": model.interval.low, f"{name}_video_macro_f1_high": model.interval.high}
            numbers |= {f"{name}_{finding}_{found.main}": found.scores[found.main] for finding, found in self.findings[name].items()}
            numbers |= {f"{name}_clip_macro_f1": model.clip_scores.macro_f1, f"{name}_group_macro_f1": model.group_scores.macro_f1}
        for name, patients in self.patients.items():
            numbers |= {f"{name}_{of_class}_patient_auc": found.auc.value for of_class, found in patients.items()}
        numbers |= {"baseline_video_macro_f1": self.baseline.macro_f1, "baseline_video_accuracy": self.baseline.accuracy}
        numbers |= {"num_test_videos": self.test_set.total.videos, "num_test_groups": self.test_set.total.groups}
        return {name: round(value, JSON_DECIMALS) for name, value in numbers.items() if value is not None}

    def confusion_of_pruned(self) -> list[list[int]]:
        """Returns the pruned model's confusion matrix per video: a row is a true class, a column a predicted one."""
        return [list(row) for row in self.models[PRUNED].video_scores.confusion_matrix]

    def roc_of_pruned(self) -> tuple[list[float], list[float], list[float]] | None:
        """Returns the pruned model's curve of ROC_CLASS against the rest, per video: false and true positive rates and thresholds."""
        curves = {scores.class_name: scores.roc for scores in self.models[PRUNED].video_scores.classes}
        if roc := curves.get(ROC_CLASS):
            return list(roc.false_positive_rates), list(roc.true_positive_rates), list(roc.thresholds)
        return None

    def summary(self) -> str:
        """Returns the table that the step prints at its end."""
        total = self.test_set.total
        header = ("model", "video macro-F1", "95 % interval", "accuracy", "balanced", "clip macro-F1")
        rows = [header, *(_summary_row(model) for model in self.models.values())]
        rows.append((f"always {self.baseline.class_name}", f"{self.baseline.macro_f1:.3f}", "", f"{self.baseline.accuracy:.3f}", "", ""))
        widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
        lines = [f"test split: {total.videos} videos of {total.groups} groups, {total.clips} clips"]
        lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        pruned = self.models[PRUNED]
        for by in (by for by in (PRUNED, RULE) if by in self.patients):
            lines += [_patients_in_a_line(name, by, found) for name, found in self.patients[by].items()]
        lines += [_in_a_line(finding, found) for finding, found in self.findings[PRUNED].items()]
        interval = f" (95 %: {pruned.interval.low:.2f} to {pruned.interval.high:.2f})" if pruned.interval else ""
        result = f"result: pruned model, macro-F1 {pruned.video_scores.macro_f1:.3f}{interval} on {total.videos} test videos"
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes), result])

    def _model_fields(self, model: EvaluatedModel) -> dict[str, Any]:
        return {
            "abstention": model.abstention,
            "clip": _score_fields(model.clip_scores),
            "findings": self.findings[model.name],
            "forecasts": self.forecasts[model.name],
            "group": _score_fields(model.group_scores),
            "metadata": model.metadata,
            "model_sha256": model.model_sha256,
            "patients": self.patients[model.name],
            "operating_points": {point.class_name: point for point in model.operating_points},
            "sizes": model.sizes,
            "version": model.version or None,
            "video": _score_fields(model.video_scores),
            "video_macro_f1_interval": model.interval,
            "videos": model.videos.answers(self.class_names),
        }


def _baseline_fields(baseline: Baseline) -> dict[str, Any]:
    scores = {name: _score_fields(value) for name in ("scores", "held_out") if (value := getattr(baseline, name))}
    return {**vars(baseline), **scores}


def _score_fields(scores: Scores) -> dict[str, Any]:
    return {**vars(scores), "classes": {of_class.class_name: _class_fields(of_class) for of_class in scores.classes}}


def _class_fields(scores: ClassScores) -> dict[str, Any]:
    return {name: value for name, value in vars(scores).items() if name != "class_name"}


def _summary_row(model: EvaluatedModel) -> tuple[str, ...]:
    interval = f"{model.interval.low:.3f}–{model.interval.high:.3f}" if model.interval else "undefined"
    scores = (model.video_scores.accuracy, model.video_scores.balanced_accuracy, model.clip_scores.macro_f1)
    return (model.name, f"{model.video_scores.macro_f1:.3f}", interval, *(f"{value:.3f}" for value in scores))


def _patients_in_a_line(class_name: str, by: str, found: PatientScore) -> str:
    interval = found.auc.interval
    bounds = f" (95 %: {interval.low:.2f} to {interval.high:.2f})" if interval else ""
    subject = f"{class_name} per patient{' by the rule' if by == RULE else ''}"
    return f"{subject}: auc {found.auc.value:.2f}{bounds}, a thumbnail {found.thumbnail.value:.2f}; {found.num} patients"


def _in_a_line(finding: str, found: Agreement) -> str:
    value, interval = found.scores[found.main], found.intervals[found.main]
    if value is None:
        return f"{finding}: {found.num_videos} test videos state it, too few for a score"
    bounds = f" (95 %: {interval.low:.2f} to {interval.high:.2f})" if interval else ""
    thumbnail = f", a thumbnail {found.thumbnail:.2f}" if found.thumbnail is not None else ""
    videos = f"{found.num_videos} videos of {found.num_groups} groups"
    return f"{finding}: {found.main.replace('_', ' ')} {value:.2f}{bounds}{thumbnail}; {videos}"


def _plain(value: Any) -> Any:
    """Makes dictionaries of dataclasses, and rounds floats, so that the last bits of a machine's arithmetic do not show."""
    if dataclasses.is_dataclass(value):
        return _plain(vars(value))
    if isinstance(value, float):
        return round(value, JSON_DECIMALS)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
