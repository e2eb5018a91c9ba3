"""Thresholds that are chosen on the validation videos and then applied to the test videos: for each class, and for abstaining.

A class's threshold is the one with the largest Youden index (sensitivity + specificity − 1) on the validation videos; of equals the
highest; it lies midway between two scores, as it separates them. A model abstains where its most probable class is less probable than the
threshold that leaves TARGET_COVERAGE of the validation videos answered.
"""

import dataclasses
import math

import numpy as np
from sklearn import metrics

from components.core.models.predictions import Floats, Predictions
from components.core.statistics.bootstrap import Estimate, sample_and_replicates, weighted_rates
from components.evaluate.metrics import score

TARGET_COVERAGE = 0.8


@dataclasses.dataclass(frozen=True)
class OperatingPoint:
    """Answering yes or no about one class.

    Attributes:
        class_name: the class.
        threshold: a video is called positive from this probability on; None when the validation split lacks a side.
        num_validation_positives: validation videos of the class.
        validation_sensitivity: at the threshold.
        validation_specificity: at the threshold.
        test: by the names recall (the sensitivity), specificity, precision and npv; empty without a threshold.
    """

    class_name: str
    threshold: float | None
    num_validation_positives: int
    validation_sensitivity: float | None
    validation_specificity: float | None
    test: dict[str, Estimate]


@dataclasses.dataclass(frozen=True)
class Abstention:
    """Leaving the least certain videos to a human.

    Attributes:
        threshold: a video is answered from this probability of its most probable class on; chosen on the validation videos.
        coverage: part of the test videos that is answered.
        accuracy: of the answered test videos; None when none is.
        macro_f1: of the answered test videos.
        coverages: of the curve: the part that is answered, from the most certain test video to all of them.
        risks: of the curve: the part of the answered ones that is wrong.
    """

    threshold: float
    coverage: float
    accuracy: Estimate
    macro_f1: float | None
    coverages: tuple[float, ...]
    risks: tuple[float, ...]


def operating_points(
    validation: Predictions, test: Predictions, class_names: list[str], num_bootstrap: int, seed: int
) -> tuple[OperatingPoint, ...]:
    """Chooses a threshold for every class on the validation videos and applies it to the test videos."""
    weights = sample_and_replicates(test.groups, num_bootstrap, seed)
    return tuple(_operating_point(validation, test, label, name, weights) for label, name in enumerate(class_names))


def _operating_point(validation: Predictions, test: Predictions, label: int, name: str, weights: Floats) -> OperatingPoint:
    is_positive = validation.labels == label
    num_positives = int(is_positive.sum())
    if is_positive.all() or not num_positives:
        return OperatingPoint(name, None, num_positives, None, None, {})
    scores = validation.probabilities[:, label]
    false_positive_rates, true_positive_rates, thresholds = metrics.roc_curve(is_positive, scores, drop_intermediate=False)
    best = int(np.argmax(true_positive_rates - false_positive_rates))
    threshold = _midway_below(thresholds[best], scores)
    rates = weighted_rates(test.labels == label, test.probabilities[:, label] >= threshold, weights)
    return OperatingPoint(
        class_name=name,
        threshold=threshold,
        num_validation_positives=num_positives,
        validation_sensitivity=float(true_positive_rates[best]),
        validation_specificity=float(1 - false_positive_rates[best]),
        test={key: Estimate.of(values) for key, values in rates.items()},
    )


def _midway_below(threshold: float, scores: Floats) -> float:
    """Returns the middle between a threshold and the next score below it; above all scores, 1 stands for the threshold."""
    below = scores[scores < threshold]
    upper = min(float(threshold), 1.0)
    return (upper + float(below.max())) / 2 if len(below) else upper


def abstention(validation: Predictions, test: Predictions, class_names: list[str], num_bootstrap: int, seed: int) -> Abstention:
    """Chooses when to abstain on the validation videos and applies it to the test videos."""
    threshold = _threshold_for_coverage(validation.confidence)
    answered = test.confidence >= threshold
    right = weighted_rates(test.is_right, answered, sample_and_replicates(test.groups, num_bootstrap, seed))["precision"]
    coverages, risks = risk_coverage_curve(test)
    return Abstention(
        threshold=threshold,
        coverage=float(np.mean(answered)),
        accuracy=Estimate.of(right),
        macro_f1=score(test.where(answered), class_names).macro_f1 if answered.any() else None,
        coverages=coverages,
        risks=risks,
    )


def _threshold_for_coverage(confidence: Floats) -> float:
    num_answered = math.ceil(TARGET_COVERAGE * len(confidence))
    return float(np.sort(confidence)[::-1][num_answered - 1])


def risk_coverage_curve(predictions: Predictions) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns the coverages and risks of all thresholds on the confidence, coverage rising; equal confidences are one point."""
    order = np.argsort(-predictions.confidence, kind="stable")
    confidence, wrong = predictions.confidence[order], ~predictions.is_right[order]
    last_of_equals = np.flatnonzero(np.diff(confidence, append=-np.inf))
    answered = last_of_equals + 1
    coverages = answered / len(wrong)
    risks = np.cumsum(wrong)[last_of_equals] / answered
    return tuple(coverages.tolist()), tuple(risks.tolist())
