from collections.abc import Iterator

import numpy as np
import pytest
import scipy.stats
from sklearn import metrics

from components.core.models.predictions import Graded
from components.core.records.findings import FINDINGS, Finding
from components.core.statistics.agreement import agreement, weighted_agreement

A_LINES, _, SEVERITY = FINDINGS


def drawn(seed: int, num_grades: int) -> tuple[Graded, np.ndarray]:
    """Rounded answers, so that there are ties, and how often each row is drawn."""
    rng = np.random.default_rng(seed)
    grades = rng.integers(num_grades, size=50)
    certain = np.clip(grades[:, None] - np.arange(num_grades - 1), 0, 1)
    probabilities = np.round(0.4 * certain + 0.6 * rng.uniform(size=certain.shape), 1)
    return Graded(grades, probabilities), rng.integers(0, 4, size=(5, 50))


def measured(finding: Finding, seed: int) -> Iterator[tuple[dict[str, float], np.ndarray, np.ndarray]]:
    """Yields of each draw what is found, and the stated and the expected grades of the rows as often as they are drawn."""
    graded, weights = drawn(seed, len(finding.grades))
    found = weighted_agreement(finding, graded, weights.astype(float))
    for replicate, times in enumerate(weights):
        yield (
            {name: values[replicate] for name, values in found.items()},
            np.repeat(graded.grades, times),
            np.repeat(graded.expected, times),
        )


@pytest.mark.parametrize("seed", range(5))
def test_two_grades_are_measured_as_scikit_learn_does(seed: int) -> None:
    for found, seen, expected in measured(A_LINES, seed):
        called = expected >= 0.5
        assert list(found) == ["auc", "kappa", "sensitivity", "specificity", "brier"]
        assert list(found.values()) == pytest.approx(
            [
                metrics.roc_auc_score(seen, expected),
                metrics.cohen_kappa_score(seen, called),
                metrics.recall_score(seen, called),
                metrics.recall_score(seen, called, pos_label=0),
                metrics.brier_score_loss(seen, expected),
            ]
        )


@pytest.mark.parametrize("seed", range(5))
def test_four_grades_are_measured_as_scipy_and_scikit_learn_do(seed: int) -> None:
    for found, seen, expected in measured(SEVERITY, seed):
        called = np.floor(expected + 0.5).astype(int)
        assert list(found) == ["rank_correlation", "kappa", "mean_absolute_error"]
        assert list(found.values()) == pytest.approx(
            [
                scipy.stats.spearmanr(seen, expected).statistic,
                metrics.cohen_kappa_score(seen, called, weights="quadratic"),
                metrics.mean_absolute_error(seen, expected),
            ]
        )


def test_repeats_are_scored_over_the_rows_that_state_it_beside_a_thumbnail() -> None:
    rng = np.random.default_rng(0)
    grades = rng.integers(-1, 2, size=90)
    told = [Graded(grades, np.clip(0.5 + 0.25 * grades + 0.2 * rng.normal(size=90), 0, 1)[:, None]) for _ in range(2)]
    found = agreement(A_LINES, told, rng.normal(size=90), np.repeat(np.arange(30), 3).astype(str), num_bootstrap=300, seed=0)
    known = grades >= 0
    expected = [metrics.roc_auc_score(grades[known], repeat.expected[known]) for repeat in told]
    interval = found.intervals["auc"]
    assert (found.main, found.num_videos) == ("auc", known.sum())
    assert found.videos_by_grade == {"no": int((grades == 0).sum()), "yes": int((grades == 1).sum())}
    assert found.repeats == pytest.approx(expected)
    assert found.scores["auc"] == pytest.approx(np.mean(expected))
    assert interval.low < found.scores["auc"] < interval.high
    assert found.thumbnail == pytest.approx(0.5, abs=0.2)
    assert 0 < found.difference.low < found.scores["auc"] - found.thumbnail < found.difference.high


def test_what_is_not_defined_is_nan() -> None:
    alike = Graded(np.ones(4, int), np.full((4, 1), 0.7))
    found = weighted_agreement(A_LINES, alike, np.ones((1, 4)))
    assert np.isnan([found["auc"][0], found["kappa"][0], found["specificity"][0]]).all()
    assert found["sensitivity"][0] == 1
