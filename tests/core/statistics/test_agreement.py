import numpy as np
import pytest
import scipy.stats
from sklearn import metrics

from components.core.models.predictions import Graded
from components.core.records.findings import FINDINGS
from components.core.statistics.agreement import weighted_agreement

A_LINES, _, SEVERITY = FINDINGS


def drawn(seed: int, num_grades: int) -> tuple[Graded, np.ndarray]:
    """Rounded answers, so that there are ties, and how often each row is drawn."""
    rng = np.random.default_rng(seed)
    grades = rng.integers(num_grades, size=50)
    certain = np.clip(grades[:, None] - np.arange(num_grades - 1), 0, 1)
    probabilities = np.round(0.4 * certain + 0.6 * rng.uniform(size=certain.shape), 1)
    return Graded(grades, probabilities), rng.integers(0, 4, size=(5, 50))


@pytest.mark.parametrize("seed", range(5))
def test_two_grades_are_measured_as_scikit_learn_does(seed: int) -> None:
    graded, weights = drawn(seed, 2)
    found = weighted_agreement(A_LINES, graded, weights.astype(float))
    assert next(iter(found)) == "auc"
    for replicate, times in enumerate(weights):
        seen, expected = np.repeat(graded.grades, times), np.repeat(graded.expected, times)
        called = expected >= 0.5
        assert found["auc"][replicate] == pytest.approx(metrics.roc_auc_score(seen, expected))
        assert found["kappa"][replicate] == pytest.approx(metrics.cohen_kappa_score(seen, called))
        assert found["sensitivity"][replicate] == pytest.approx(metrics.recall_score(seen, called))
        assert found["specificity"][replicate] == pytest.approx(metrics.recall_score(seen, called, pos_label=0))
        assert found["brier"][replicate] == pytest.approx(metrics.brier_score_loss(seen, expected))


@pytest.mark.parametrize("seed", range(5))
def test_four_grades_are_measured_as_scipy_and_scikit_learn_do(seed: int) -> None:
    graded, weights = drawn(seed, 4)
    found = weighted_agreement(SEVERITY, graded, weights.astype(float))
    assert next(iter(found)) == "rank_correlation"
    for replicate, times in enumerate(weights):
        seen, expected = np.repeat(graded.grades, times), np.repeat(graded.expected, times)
        assert found["rank_correlation"][replicate] == pytest.approx(scipy.stats.spearmanr(seen, expected).statistic)
        called = np.floor(expected + 0.5)
        assert found["kappa"][replicate] == pytest.approx(metrics.cohen_kappa_score(seen, called.astype(int), weights="quadratic"))
        assert found["mean_absolute_error"][replicate] == pytest.approx(metrics.mean_absolute_error(seen, expected))


def test_what_is_not_defined_is_nan() -> None:
    alike = Graded(np.ones(4, int), np.full((4, 1), 0.7))
    found = weighted_agreement(A_LINES, alike, np.ones((1, 4)))
    assert np.isnan([found["auc"][0], found["kappa"][0], found["specificity"][0]]).all()
    assert found["sensitivity"][0] == 1
