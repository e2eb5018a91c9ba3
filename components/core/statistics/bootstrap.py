"""Bootstrap over groups, for all metrics at once: numpy only.

A replicate draws as many groups as there are, with replacement, and takes all rows of a drawn group: rows of one group resemble each other,
so they are not independent evidence. A draw is a vector of weights, how often each group was drawn, and every metric is computed from the
weights, so that all metrics, levels and models are seen on the same draws and a thousand replicates are a few matrix products.
A metric that a replicate does not define is NaN there.
"""

import dataclasses
from typing import Any

import numpy as np

from components.core.models.predictions import Bools, Floats, Predictions, Strings

CONFIDENCE = 0.95
MIN_COMPLETE_REPLICATES = 0.5
NUM_CALIBRATION_BINS = 10


@dataclasses.dataclass(frozen=True)
class Interval:
    """A 95 % bootstrap interval.

    Attributes:
        low: lower end.
        high: upper end.
        num_replicates: replicates that it rests on.
        num_left_out: replicates that lacked a class of the test set, or do not define the metric, and were left out.
    """

    low: float
    high: float
    num_replicates: int
    num_left_out: int


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number, or None where the data does not define it, with its interval, or None without one."""

    value: float | None
    interval: Interval | None

    @classmethod
    def of(cls, values: Floats) -> "Estimate":
        """Returns the number that comes first and whose replicates follow, [1 + num_bootstrap]."""
        return cls(defined(values[0]), percentile_interval(values[1:]))

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero."""
        return self.interval is not None and (self.interval.low > 0 or self.interval.high < 0)


def draw_weights(groups: Strings, num_bootstrap: int, seed: int) -> Floats:
    """Returns how often each row is drawn in each replicate, [num_bootstrap, n]; equal groups and seeds give equal draws.

    Args:
        groups: of the rows, [n].
        num_bootstrap: replicates to draw.
        seed: of the draws.
    """
    names, rows = np.unique(groups, return_inverse=True)
    draws = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=num_bootstrap)
    return draws[:, rows].astype(np.float64)


def sample_and_replicates(groups: Strings, num_bootstrap: int, seed: int) -> Floats:
    """Returns the weights of the sample itself, which are one, above those of the replicates, [1 + num_bootstrap, n]."""
    return np.concatenate([np.ones((1, len(groups))), draw_weights(groups, num_bootstrap, seed)])


def percentile_interval(values: Floats, confidence: float = CONFIDENCE) -> Interval | None:
    """Returns the interval of a metric from its values in the replicates, or None when more than half of them are NaN."""
    defined = values[~np.isnan(values)]
    if not len(defined) or len(defined) < MIN_COMPLETE_REPLICATES * len(values):
        return None
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high), len(defined), len(values) - len(defined))


def calibration_interval(excess: Floats, weights: Floats, errors: Floats) -> Interval | None:
    """Returns the interval of the expected calibration error, or None when more than half of the replicates are NaN.

    The error of a sample is biased upwards, since distances from a curve cannot be negative, and a replicate's twice as much, so the
    replicates may all lie above the truth. The lower end is the error less the distance between the curves of sample and replicate that
    is seldom exceeded: by the triangle inequality the sample's error is seldom farther above the truth. The upper end lies as far above
    the error as the replicates reach below their mean.

    Args:
        excess: by how much what is so exceeds its probability, in the column of its bin, [n, bins].
        weights: [R, n]
        errors: error_in_bins of them, [R]; NaN where a replicate is left out.
    """
    interval = percentile_interval(errors)
    if interval is None:
        return None
    curve = excess.mean(axis=0)
    error = float(np.abs(curve).sum())
    distances = np.abs(mean_of(excess, weights) - curve).sum(axis=1)[~np.isnan(errors)]
    low, high = error - float(np.quantile(distances, CONFIDENCE)), error + float(np.nanmean(errors)) - interval.low
    return dataclasses.replace(interval, low=max(low, 0.0), high=min(high, 1.0))


@dataclasses.dataclass(frozen=True, eq=False)
class WeightedMetrics:
    """Metrics under R vectors of weights.

    Attributes:
        overall: by name, [R].
        classes: by name, [R, classes].
    """

    overall: dict[str, Floats]
    classes: dict[str, Floats]


def weighted_metrics(predictions: Predictions, weights: Floats) -> WeightedMetrics:
    """Computes every metric of metrics.Scores and metrics.ClassScores under weights.

    A replicate without an example of a class that `predictions` has measures another quantity: it is NaN throughout.

    Args:
        predictions: n rows.
        weights: [R, n]
    """
    num_classes = predictions.probabilities.shape[1]
    is_class = predictions.labels[:, None] == np.arange(num_classes)
    is_predicted = predictions.predicted[:, None] == np.arange(num_classes)
    present = is_class.any(axis=0)
    complete = (weights @ is_class > 0)[:, present].all(axis=1)
    classes = weighted_rates(is_class, is_predicted, weights)
    classes["f1"] = _f1(is_class, is_predicted, weights)
    squares = (predictions.probabilities - is_class) ** 2
    classes["brier"] = mean_of(squares, weights)
    ranked = [areas(is_class[:, label], predictions.probabilities[:, label], weights) for label in range(num_classes)]
    classes["auc"] = np.stack([auc for auc, _ in ranked], axis=1)
    classes["average_precision"] = np.stack([precision for _, precision in ranked], axis=1)
    for values in classes.values():
        values[:, ~present] = np.nan
        values[~complete] = np.nan
    overall = {
        "macro_f1": classes["f1"][:, present].mean(axis=1),
        "accuracy": mean_of(predictions.is_right.astype(float), weights),
        "balanced_accuracy": classes["recall"][:, present].mean(axis=1),
        "macro_auc": classes["auc"].mean(axis=1),
        "macro_average_precision": classes["average_precision"].mean(axis=1),
        "brier": mean_of(squares.sum(axis=1), weights),
        "ece": expected_calibration_error(predictions, weights),
    }
    return WeightedMetrics({name: np.where(complete, values, np.nan) for name, values in overall.items()}, classes)


def macro_f1_over_groups(predictions: Predictions, num_bootstrap: int, seed: int) -> tuple[float, Interval | None]:
    """Returns the macro-F1 of predictions, and its interval over groups where the data defines one."""
    weights = sample_and_replicates(predictions.groups, num_bootstrap, seed)
    values = weighted_metrics(predictions, weights).overall["macro_f1"]
    return float(values[0]), percentile_interval(values[1:])


def weighted_rates(is_positive: Bools, is_called: Bools, weights: Floats) -> dict[str, Floats]:
    """Returns recall, specificity, precision and NPV of yes-or-no answers under weights; NaN where there is nothing to divide by.

    Args:
        is_positive: the truth, [n] or [n, classes].
        is_called: the answers, likewise.
        weights: [R, n]
    """

    def rate(hits: Bools, among: Bools) -> Floats:
        return divide(weights @ (hits & among), weights @ among)

    return {
        "precision": rate(is_positive, is_called),
        "recall": rate(is_called, is_positive),
        "specificity": rate(~is_called, ~is_positive),
        "npv": rate(~is_positive, ~is_called),
    }


def expected_calibration_error(predictions: Predictions, weights: Floats) -> Floats:
    """Returns the expected calibration error of the most probable class under weights, [R].

    Guo et al., arXiv 1706.04599: the confidences are put into NUM_CALIBRATION_BINS bins of equal width; the error is the mean distance
    between the confidence and the part that is right in a bin.
    """
    return error_in_bins(excess_of_right(predictions), weights)


def error_in_bins(excess: Floats, weights: Floats) -> Floats:
    """Returns the mean distance between a probability and what is so in its bin, [R], given the excess of one over the other, [n, bins]."""
    return np.abs(mean_of(excess, weights)).sum(axis=1)


def in_bins(confidence: Floats) -> Bools:
    """Returns which of NUM_CALIBRATION_BINS bins of equal width each confidence is in, [n, bins]."""
    bins = np.minimum((confidence * NUM_CALIBRATION_BINS).astype(int), NUM_CALIBRATION_BINS - 1)
    return bins[:, None] == np.arange(NUM_CALIBRATION_BINS)


def excess_of_right(predictions: Predictions) -> Floats:
    """Returns by how much a right answer exceeds its confidence, in the column of its bin, [n, bins]."""
    return (predictions.is_right - predictions.confidence)[:, None] * in_bins(predictions.confidence)


def _f1(is_class: Bools, is_predicted: Bools, weights: Floats) -> Floats:
    return divide(2 * (weights @ (is_class & is_predicted)), weights @ is_class + weights @ is_predicted)


def areas(is_positive: Bools, scores: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Returns the area under the ROC curve, ties counting half, and the average precision under weights, [R] each."""
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.inf))
    positives = np.add.reduceat(weights[:, order] * is_positive[order], starts, axis=1)
    negatives = np.add.reduceat(weights[:, order] * ~is_positive[order], starts, axis=1)
    num_positives, num_negatives = positives.sum(axis=1), negatives.sum(axis=1)
    positives_so_far, negatives_so_far = positives.cumsum(axis=1), negatives.cumsum(axis=1)
    pairs_in_order = positives * (num_negatives[:, None] - negatives_so_far + negatives / 2)
    precision = np.nan_to_num(divide(positives_so_far, positives_so_far + negatives_so_far))
    return (
        divide(pairs_in_order.sum(axis=1), num_positives * num_negatives),
        divide((positives * precision).sum(axis=1), num_positives),
    )


def defined(value: Any) -> Any:
    """Returns a number, or None for NaN."""
    return None if np.isnan(value) else float(value)


def mean_of(values: Floats, weights: Floats) -> Floats:
    """Returns the mean of values [n] or [n, columns] under weights [R, n]; NaN where all weights are zero."""
    totals = weights.sum(axis=1)
    return divide(weights @ values, totals if values.ndim == 1 else totals[:, None])


def divide(numerator: Floats, denominator: Floats) -> Floats:
    """Returns the quotient; NaN where there is nothing to divide by."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(denominator > 0, numerator / denominator, np.nan)
