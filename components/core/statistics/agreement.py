"""How well the grade of a finding that a model expects agrees with the one that experts state, under the weights of a bootstrap.

Two grades (A-lines, B-lines): the area under the ROC curve, sensitivity and specificity at the middle, the Brier score. More (severity):
Spearman's rank correlation and the mean absolute error. Both: Cohen's kappa with quadratic weights, which of two grades is the plain one
("Weighted kappa", Psychological Bulletin 70, 1968).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from components.core.models.predictions import Floats, Graded, Integers, Strings
from components.core.records.findings import Finding
from components.core.statistics.bootstrap import (
    Interval,
    areas,
    defined,
    divide,
    mean_of,
    percentile_interval,
    sample_and_replicates,
    weighted_rates,
)
from components.core.statistics.comparisons import paired_difference


@dataclasses.dataclass(frozen=True)
class Agreement:
    """What is told of a finding against what experts state, over the rows that state it.

    Attributes:
        num_videos: these rows.
        num_groups: their groups.
        videos_by_grade: how many state each grade.
        scores: weighted_agreement's measures, the main one first, the mean of the repeats; None where the rows do not define one.
        intervals: 95 % percentile intervals of them, from a bootstrap over groups; None where there is none.
        repeats: the main one of each repeat.
        thumbnail: the main one of a thumbnail (core.statistics.thumbnails).
        difference: interval of the main one less the thumbnail's, paired over groups.
    """

    num_videos: int
    num_groups: int
    videos_by_grade: dict[str, int]
    scores: dict[str, float | None]
    intervals: dict[str, Interval | None]
    repeats: tuple[float | None, ...]
    thumbnail: float | None
    difference: Interval | None

    @property
    def main(self) -> str:
        """The name of the score to look at first."""
        return next(iter(self.scores))


def agreement(finding: Finding, told: Sequence[Graded], by_thumbnail: Floats, groups: Strings, num_bootstrap: int, seed: int) -> Agreement:
    """Scores what is told of a finding, given at least one row that states it.

    Args:
        finding: what is told.
        told: n rows each, what repeated trainings say of the same rows.
        by_thumbnail: what a thumbnail makes expect, [n]; only its order means something.
        groups: of the rows, [n].
        num_bootstrap: replicates behind the intervals.
        seed: of the replicates.
    """
    rows = np.flatnonzero(told[0].is_stated)
    grades, groups = told[0].grades[rows], groups[rows]
    num_groups = len(np.unique(groups))
    weights = sample_and_replicates(groups, num_bootstrap if num_groups > 1 else 0, seed)
    measured = [weighted_agreement(finding, Graded(grades, of_repeat.probabilities[rows]), weights) for of_repeat in told]
    means = {name: np.mean([of_repeat[name] for of_repeat in measured], axis=0) for name in measured[0]}
    main = next(iter(means))
    of_thumbnail = weighted_agreement(finding, _by_order(grades, by_thumbnail[rows], finding), weights)[main]
    return Agreement(
        num_videos=len(rows),
        num_groups=num_groups,
        videos_by_grade={grade: int((grades == number).sum()) for number, grade in enumerate(finding.grades)},
        scores={name: defined(values[0]) for name, values in means.items()},
        intervals={name: percentile_interval(values[1:]) for name, values in means.items()},
        repeats=tuple(defined(of_repeat[main][0]) for of_repeat in measured),
        thumbnail=defined(of_thumbnail[0]),
        difference=paired_difference(means[main], of_thumbnail, num_groups).interval,
    )


def weighted_agreement(finding: Finding, graded: Graded, weights: Floats) -> dict[str, Floats]:
    """Returns every measure by its name, the first one being the one to look at first, [R] each; NaN where it is not defined.

    Args:
        finding: what is graded.
        graded: n rows, all of which are stated.
        weights: [R, n]
    """
    answered = answered_grades(graded)
    kappa = {"kappa": _kappa(graded.grades, answered, len(finding.grades), weights)}
    if finding.num_thresholds == 1:
        is_seen = graded.grades == 1
        rates = weighted_rates(is_seen, answered == 1, weights)
        auc, _ = areas(is_seen, graded.expected, weights)
        brier = mean_of((graded.expected - graded.grades) ** 2, weights)
        return {"auc": auc, **kappa, "sensitivity": rates["recall"], "specificity": rates["specificity"], "brier": brier}
    error = mean_of(np.abs(graded.expected - graded.grades), weights)
    return {"rank_correlation": rank_correlation(graded.grades, graded.expected, weights), **kappa, "mean_absolute_error": error}


def _by_order(grades: Integers, values: Floats, finding: Finding) -> Graded:
    """Returns numbers of which only the order means something as answers, for the measures that look at nothing else: the first ones."""
    probabilities = np.zeros((len(values), finding.num_thresholds))
    probabilities[:, 0] = values
    return Graded(grades, probabilities)


def answered_grades(graded: Graded) -> Integers:
    """Returns the grades nearest to the expected ones, [n]; the higher of two that are equally near."""
    return np.floor(graded.expected + 0.5).astype(np.int64)


def _kappa(stated: Integers, answered: Integers, num_grades: int, weights: Floats) -> Floats:
    grades = np.arange(num_grades)
    cells = (stated[:, None] == grades)[:, :, None] & (answered[:, None] == grades)[:, None, :]
    observed = np.tensordot(weights, cells.astype(float), axes=1)
    totals = observed.sum(axis=(1, 2))
    by_chance = observed.sum(axis=2)[:, :, None] * observed.sum(axis=1)[:, None, :]
    distances = (grades[:, None] - grades) ** 2
    return 1 - divide((observed * distances).sum(axis=(1, 2)) * totals, (by_chance * distances).sum(axis=(1, 2)))


def rank_correlation(one: np.ndarray, other: np.ndarray, weights: Floats) -> Floats:
    """Returns Spearman's correlation, as if each row were there as often as its weight says; ties share the mean rank."""
    first, second = (_centred(_ranks(values, weights), weights) for values in (one, other))
    covariance, first_variance, second_variance = (
        (weights * a * b).sum(axis=1) for a, b in ((first, second), (first, first), (second, second))
    )
    return divide(covariance, np.sqrt(first_variance * second_variance))


def _centred(values: Floats, weights: Floats) -> Floats:
    return values - divide((weights * values).sum(axis=1), weights.sum(axis=1))[:, None]


def _ranks(values: np.ndarray, weights: Floats) -> Floats:
    """Returns the rank of every row in each replicate, [R, n]."""
    names, places = np.unique(values, return_inverse=True)
    sizes = weights @ (places[:, None] == np.arange(len(names)))
    return (sizes.cumsum(axis=1) - sizes / 2)[:, places]
