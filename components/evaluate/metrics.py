"""Metrics of predictions, per clip, video or patient, with their intervals: core.statistics.bootstrap and scikit-learn. No TensorFlow.

A score that the data does not define is None, never zero: everything about a class that has no example, precision of a class that was
never predicted, an ROC curve without examples on both sides. Macro-F1 and balanced accuracy are means over the classes that have examples.
"""

import dataclasses
from typing import Any

import numpy as np
from sklearn import metrics

from components.core.models.predictions import Predictions
from components.core.statistics.bootstrap import (
    Interval,
    WeightedMetrics,
    calibration_interval,
    defined,
    excess_of_right,
    percentile_interval,
    sample_and_replicates,
    weighted_metrics,
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
    weights = sample_and_replicates(predictions.groups, num_bootstrap if predictions.num_groups > 1 else 0, seed)
    found = weighted_metrics(predictions, weights)
    intervals = {name: percentile_interval(values[1:]) for name, values in found.overall.items()}
    confusion_matrix = metrics.confusion_matrix(predictions.labels, predictions.predicted, labels=range(len(class_names)))
    return Scores(
        num=len(predictions.labels),
        confusion_matrix=tuple(map(tuple, confusion_matrix.tolist())),
        classes=tuple(_class_scores(predictions, label, name, found) for label, name in enumerate(class_names)),
        intervals={**intervals, "ece": calibration_interval(excess_of_right(predictions), weights[1:], found.overall["ece"][1:])},
        **{name: defined(values[0]) for name, values in found.overall.items()},
    )


def _class_scores(predictions: Predictions, label: int, name: str, found: WeightedMetrics) -> ClassScores:
    is_class = predictions.labels == label
    has_examples = bool(is_class.any())
    return ClassScores(
        class_name=name,
        support=int(is_class.sum()),
        roc=roc_curve(predictions, label),
        precision_recall=_precision_recall_curve(is_class, predictions.probabilities[:, label]) if has_examples else None,
        intervals={key: percentile_interval(values[1:, label]) for key, values in found.classes.items()} if has_examples else {},
        **{key: defined(values[0, label]) for key, values in found.classes.items()},
    )


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
