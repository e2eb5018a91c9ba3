"""How good the probability of a yes is: whether it ranks, as a ROC curve, and whether it is right, in bins of equally many rows.

A forecast is right when of the rows that it gives 0.7 seven of ten are so. Its Brier score is the mean squared distance from what is so;
the skill is the part of it that is saved against always giving the share of these very rows, the best of all forecasts that see nothing:
1 is perfect, 0 no better than that (Brier, Monthly Weather Review 78, 1950; Murphy, ibid. 116, 1988).
"""

import dataclasses

import numpy as np

from components.core.models.predictions import Bools, Floats, Strings
from components.core.statistics.bootstrap import (
    CONFIDENCE,
    Estimate,
    Interval,
    areas,
    calibration_interval,
    divide,
    error_in_bins,
    mean_of,
    percentile_interval,
    sample_and_replicates,
    weighted_rates,
)

MAX_BINS, MIN_PER_BIN = 10, 15
NUM_BAND_POINTS = 51


@dataclasses.dataclass(frozen=True)
class RocBand:
    """A ROC curve, and where its replicates lie at evenly spaced rates of false positives.

    Attributes:
        false_positive_rates: of the curve's points.
        true_positive_rates: likewise.
        at: the evenly spaced rates of false positives.
        low, high: the 95 % interval of the true positive rate at each of these, by itself; empty without replicates.
    """

    false_positive_rates: tuple[float, ...]
    true_positive_rates: tuple[float, ...]
    at: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Bin:
    """Rows of similar probability: how many, their mean probability, and the part that is so with its interval.

    A bin whose rows are all alike gives no interval: its replicates are alike, too.
    """

    num: int
    probability: float
    share: float
    interval: Interval | None


@dataclasses.dataclass(frozen=True)
class Forecast:
    """The probability of a yes against what is so.

    Attributes:
        num: rows.
        num_groups: their groups.
        num_so: rows that are so.
        auc: area under the ROC curve.
        brier: the Brier score.
        constant_brier: that of always giving the share of the rows that are so.
        skill: the Brier skill against that.
        calibration_error: mean distance between probability and share in the bins.
        roc: the curve; None when all rows are alike, as is every number that needs both kinds.
        bins: the probability rising; equal probabilities are in one bin.
    """

    num: int
    num_groups: int
    num_so: int
    auc: Estimate
    brier: Estimate
    constant_brier: Estimate
    skill: Estimate
    calibration_error: Estimate
    roc: RocBand | None
    bins: tuple[Bin, ...]


def forecast(is_so: Bools, probability: Floats, groups: Strings, num_bootstrap: int, seed: int) -> Forecast:
    """Scores at least one probability.

    Args:
        is_so: [n]
        probability: of that, [n].
        groups: of the rows, [n].
        num_bootstrap: replicates behind the intervals, over groups.
        seed: of the replicates.
    """
    num_groups = len(np.unique(groups))
    weights = sample_and_replicates(groups, num_bootstrap if num_groups > 1 else 0, seed)
    members = equal_bins(probability)
    excess = (is_so - probability)[:, None] * members
    errors = error_in_bins(excess, weights)
    brier, constant_brier = weighted_brier(is_so, probability, weights)
    return Forecast(
        num=len(is_so),
        num_groups=num_groups,
        num_so=int(is_so.sum()),
        auc=Estimate.of(areas(is_so, probability, weights)[0]),
        brier=Estimate.of(brier),
        constant_brier=Estimate.of(constant_brier),
        skill=Estimate.of(1 - divide(brier, constant_brier)),
        calibration_error=Estimate(float(errors[0]), calibration_interval(excess, weights[1:], errors[1:])),
        roc=_roc_band(is_so, probability, weights) if 0 < is_so.sum() < len(is_so) else None,
        bins=_bins(is_so, probability, members, weights),
    )


def weighted_brier(is_so: Bools, probability: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Returns the Brier score, and that of always giving the share of the rows that are so, under weights, [R] each."""
    share = mean_of(is_so.astype(float), weights)
    return mean_of((probability - is_so) ** 2, weights), share * (1 - share)


def equal_bins(probability: Floats) -> Bools:
    """Returns which bin each row is in, [n, bins]: MAX_BINS of equally many rows, fewer when that leaves less than MIN_PER_BIN in one."""
    num_bins = max(1, min(MAX_BINS, len(probability) // MIN_PER_BIN))
    edges = np.unique(np.quantile(probability, np.arange(1, num_bins) / num_bins))
    members = np.searchsorted(edges, probability, side="right")[:, None] == np.arange(len(edges) + 1)
    return members[:, members.any(axis=0)]


def _bins(is_so: Bools, probability: Floats, members: Bools, weights: Floats) -> tuple[Bin, ...]:
    shares = weighted_rates(is_so[:, None] & members, members, weights)["precision"]
    counts = members.sum(axis=0)
    means = (probability @ members) / counts
    return tuple(
        Bin(int(count), float(mean), float(share[0]), percentile_interval(share[1:]) if 0 < share[0] < 1 else None)
        for count, mean, share in zip(counts, means, shares.T, strict=True)
    )


def roc_points(is_so: Bools, scores: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Returns the false and the true positive rates at every threshold, falling, from above all scores, under weights, [R, points]."""
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.inf))

    def rates(is_counted: Bools) -> Floats:
        counts = np.add.reduceat(weights[:, order] * is_counted[order], starts, axis=1).cumsum(axis=1)
        return np.pad(divide(counts, counts[:, -1:]), ((0, 0), (1, 0)))

    return rates(~is_so), rates(is_so)


def _roc_band(is_so: Bools, scores: Floats, weights: Floats) -> RocBand:
    false_positive_rates, true_positive_rates = roc_points(is_so, scores, weights)
    at = np.linspace(0, 1, NUM_BAND_POINTS)
    is_whole = ~np.isnan(false_positive_rates + true_positive_rates).any(axis=1)
    pairs = list(zip(false_positive_rates[is_whole], true_positive_rates[is_whole], strict=True))
    replicates = [np.interp(at, *pair) for pair in pairs[1:]]
    ends = np.quantile(replicates, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0) if replicates else np.zeros((2, 0))
    low, high = (tuple(end.tolist()) for end in ends)
    return RocBand(tuple(false_positive_rates[0].tolist()), tuple(true_positive_rates[0].tolist()), tuple(at.tolist()), low, high)
