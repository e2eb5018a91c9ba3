"""Metrics of predictions, per clip, video or patient: scikit-learn, with intervals from core.statistics.bootstrap. No TensorFlow.

A score that the data does not define is None, never zero: everything about a class that has no example, precision of a class that was
never predicted, an ROC curve without examples on both sides. Macro-F1 and balanced accuracy are means over the classes that have examples.
"""

import dataclasses
import math
from typing import Any

import numpy as np
from sklearn import metrics

from components.core.models.predictions import Floats, Predictions
from components.core.statistics.bootstrap import (
    Interval,
    WeightedMetrics,
    calibration_interval,
    draw_weights,
    expected_calibration_error,
    percentile_interval,
    weighted_metrics,
    weighted_rates,
)


@dataclasses.dataclass(frozen=True)
class RocCurve:
    """One class against the rest; thresholds fall, and lie in [0, 1]."""

    false_positive_rates: tuple[float, ...]
    true_positive_rates: tuple[float, ...]
    thresholds: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class PrecisionRecallCurve:
    """One class against the rest; recalls fall from 1 to 0."""

    precisions: tuple[float, ...]
    recalls: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class ClassScores:
    """Scores of one class against the rest; None where undefined.

    Attributes:
        class_name: the class.
        support: number of its examples.
        precision: the positive predictive value.
        recall: the sensitivity.
        specificity: part of the other classes' examples that is not taken for this class.
        npv: the negative predictive value.
        f1: harmonic mean of precision and recall.
        auc: area under the ROC curve.
        average_precision: the mean precision over the recalls (area under the precision-recall curve, by steps).
        brier: mean squared distance between the probability of the class and the truth.
        roc: the ROC curve.
        precision_recall: the precision-recall curve.
        intervals: by the names of the scores; None where there is no interval.
    """

    class_name: str
    support: int
    precision: float | None
    recall: float | None
    specificity: float | None
    npv: float | None
    f1: float | None
    auc: float | None
    average_precision: float | None
    brier: float | None
    roc: RocCurve | None
    precision_recall: PrecisionRecallCurve | None
    intervals: dict[str, Interval | None] = dataclasses.field(default_factory=dict)

    @classmethod
    def undefined(cls, class_name: str) -> "ClassScores":
        """Returns the scores of a class without examples."""
        return cls(class_name, 0, None, None, None, None, None, None, None, None, None, None)


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores of n predictions.

    Attributes:
        num: n.
        macro_f1: mean F1 of the classes that have examples.
        accuracy: part that is right.
        balanced_accuracy: mean recall of the classes that have examples.
        macro_auc: mean area under the ROC curves, or None when a class has none.
        macro_average_precision: mean of the classes' average precisions, or None when a class has none.
        brier: mean over examples of the squared distances, summed over the classes: 0 is best, 2 is worst.
        ece: expected calibration error of the most probable class.
        confusion_matrix: counts; a row is a true class, a column a predicted one.
        classes: scores by class, in the order of the labels.
        intervals: by the names of the scores; None where there is no interval.
    """

    num: int
    macro_f1: float
    accuracy: float
    balanced_accuracy: float
    macro_auc: float | None
    macro_average_precision: float | None
    brier: float
    ece: float
    confusion_matrix: tuple[tuple[int, ...], ...]
    classes: tuple[ClassScores, ...]
    intervals: dict[str, Interval | None] = dataclasses.field(default_factory=dict)


def score(predictions: Predictions, class_names: list[str], num_bootstrap: int = 0, seed: int = 0) -> Scores:
    """Returns the scores of at least one prediction, with 95 % intervals over groups when there are two groups or more.

    Args:
        predictions: per clip, video or patient.
        class_names: in the order of the labels.
        num_bootstrap: replicates behind the intervals; 0 for none.
        seed: of the replicates.
    """
    truth, predicted = predictions.labels, predictions.predicted
    labels = list(range(len(class_names)))
    present = np.unique(truth)
    ece = float(expected_calibration_error(predictions, np.ones((1, len(truth))))[0])
    weights = draw_weights(predictions.groups, num_bootstrap, seed) if num_bootstrap and predictions.num_groups > 1 else None
    replicates = None if weights is None else weighted_metrics(predictions, weights)
    classes = tuple(_class_scores(predictions, label, name, replicates) for label, name in enumerate(class_names))
    return Scores(
        num=len(truth),
        macro_f1=float(metrics.f1_score(truth, predicted, labels=present, average="macro", zero_division=0)),
        accuracy=float(metrics.accuracy_score(truth, predicted)),
        balanced_accuracy=float(metrics.recall_score(truth, predicted, labels=present, average="macro")),
        macro_auc=_mean_of_all([scores.auc for scores in classes]),
        macro_average_precision=_mean_of_all([scores.average_precision for scores in classes]),
        brier=float(np.mean(np.sum((predictions.probabilities - np.eye(len(labels))[truth]) ** 2, axis=1))),
        ece=ece,
        confusion_matrix=tuple(tuple(row) for row in metrics.confusion_matrix(truth, predicted, labels=labels).tolist()),
        classes=classes,
        intervals=_intervals(predictions, weights, replicates) if weights is not None and replicates else {},
    )


def _intervals(predictions: Predictions, weights: Floats, replicates: WeightedMetrics) -> dict[str, Interval | None]:
    intervals = {name: percentile_interval(values) for name, values in replicates.overall.items()}
    return {**intervals, "ece": calibration_interval(predictions, weights, replicates.overall["ece"])}


def _class_scores(predictions: Predictions, label: int, name: str, replicates: WeightedMetrics | None) -> ClassScores:
    is_class, probability = predictions.labels == label, predictions.probabilities[:, label]
    support = int(is_class.sum())
    if not support:
        return ClassScores.undefined(name)
    roc = roc_curve(predictions, label)
    rates = weighted_rates(is_class, predictions.predicted == label, np.ones((1, len(is_class))))
    return ClassScores(
        class_name=name,
        support=support,
        f1=float(metrics.f1_score(is_class, predictions.predicted == label, zero_division=0)),
        auc=float(metrics.auc(roc.false_positive_rates, roc.true_positive_rates)) if roc else None,
        average_precision=float(metrics.average_precision_score(is_class, probability)),
        brier=float(metrics.brier_score_loss(is_class, probability)),
        roc=roc,
        precision_recall=_precision_recall_curve(is_class, probability),
        intervals={key: percentile_interval(values[:, label]) for key, values in replicates.classes.items()} if replicates else {},
        **{key: _defined(value[0]) for key, value in rates.items()},
    )


def _defined(value: Any) -> float | None:
    return None if math.isnan(value) else float(value)


def _mean_of_all(values: list[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return math.fsum(defined) / len(defined) if len(defined) == len(values) else None


def roc_curve(predictions: Predictions, label: int) -> RocCurve | None:
    """Returns the curve of one class against the rest, or None when one side has no example."""
    positive = predictions.labels == label
    if positive.all() or not positive.any():
        return None
    false_positive_rates, true_positive_rates, thresholds = metrics.roc_curve(positive, predictions.probabilities[:, label])
    # scikit-learn opens the curve at an infinite threshold, which neither JSON nor the Kubeflow UI knows.
    thresholds = np.clip(thresholds, 0, 1)
    return RocCurve(tuple(false_positive_rates.tolist()), tuple(true_positive_rates.tolist()), tuple(thresholds.tolist()))


def _precision_recall_curve(is_class: Any, probability: Any) -> PrecisionRecallCurve:
    precisions, recalls, _ = metrics.precision_recall_curve(is_class, probability)
    return PrecisionRecallCurve(tuple(precisions.tolist()), tuple(recalls.tolist()))
