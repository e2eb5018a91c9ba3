import numpy as np
import pytest
from sklearn import metrics

from components.core.statistics.forecasts import MAX_BINS, MIN_PER_BIN, equal_bins, forecast, roc_points, weighted_brier


def drawn(seed: int, num: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is so, with the probability that is said of it, rounded so that there are ties, in groups of four."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(rng.uniform(size=num // 4), 4)
    return rng.uniform(size=num) < truth, np.round(truth, 2), np.repeat(np.arange(num // 4), 4).astype(str)


@pytest.mark.parametrize("seed", range(5))
def test_curves_and_brier_scores_are_scikit_learns_with_sample_weights(seed: int) -> None:
    is_so, probability, _ = drawn(seed)
    weights = np.random.default_rng(seed).integers(0, 3, size=(4, len(is_so))).astype(float)
    false_positive_rates, true_positive_rates = roc_points(is_so, probability, weights)
    briers, constants = weighted_brier(is_so, probability, weights)
    for row, sample_weight in enumerate(weights):
        expected = metrics.roc_curve(is_so, probability, sample_weight=sample_weight, drop_intermediate=False)
        found = np.unique(np.round([false_positive_rates[row], true_positive_rates[row]], 12), axis=1)
        np.testing.assert_allclose(found, np.unique(np.round(expected[:2], 12), axis=1))
        assert briers[row] == pytest.approx(metrics.brier_score_loss(is_so, probability, sample_weight=sample_weight))
        share = np.full(len(is_so), np.average(is_so, weights=sample_weight))
        assert constants[row] == pytest.approx(metrics.brier_score_loss(is_so, share, sample_weight=sample_weight))


def test_the_numbers_are_scikit_learns_and_lie_in_their_intervals() -> None:
    is_so, probability, groups = drawn(0)
    found = forecast(is_so, probability, groups, num_bootstrap=400, seed=0)
    assert (found.num, found.num_groups, found.num_so) == (200, 50, is_so.sum())
    assert found.auc.value == pytest.approx(metrics.roc_auc_score(is_so, probability))
    assert found.skill.value == pytest.approx(1 - metrics.brier_score_loss(is_so, probability) / is_so.var())
    for estimate in (found.auc, found.brier, found.skill):
        assert estimate.interval.low < estimate.value < estimate.interval.high
    assert found.calibration_error.interval.low == 0, "the probabilities are those that were drawn from"
    assert found.roc.false_positive_rates[-1] == found.roc.true_positive_rates[-1] == 1
    curve = np.interp(found.roc.at, found.roc.false_positive_rates, found.roc.true_positive_rates)
    assert (np.array(found.roc.low) <= curve).all()
    assert (np.array(found.roc.high) >= curve).all()
    assert found.roc.high[20] - found.roc.low[20] > 0.05


def test_bins_hold_equally_many_rows_with_their_mean_and_share() -> None:
    is_so, _, groups = drawn(1)
    probability = np.linspace(0, 1, 200)
    found = forecast(is_so, probability, groups, num_bootstrap=100, seed=0)
    assert [of_bin.num for of_bin in found.bins] == [20] * MAX_BINS
    expected_bins = [(probability[start : start + 20].mean(), is_so[start : start + 20].mean()) for start in range(0, 200, 20)]
    assert [(of_bin.probability, of_bin.share) for of_bin in found.bins] == [pytest.approx(pair) for pair in expected_bins]
    expected = np.mean([abs(mean - share) for mean, share in expected_bins])
    assert found.calibration_error.value == pytest.approx(expected)


def test_equal_probabilities_are_in_one_bin_and_few_rows_in_few_bins() -> None:
    assert equal_bins(np.full(100, 0.3)).shape == (100, 1)
    assert equal_bins(np.arange(MIN_PER_BIN + 1.0)).shape[1] == 1
    members = equal_bins(np.repeat([0.1, 0.2, 0.9], [70, 10, 20]))
    assert (members.sum(axis=1) == 1).all()
    assert all(len(set(np.repeat([0.1, 0.2, 0.9], [70, 10, 20])[column])) == 1 or column.sum() > MIN_PER_BIN for column in members.T)


def test_rows_that_are_all_alike_have_no_curve_and_no_skill() -> None:
    found = forecast(np.ones(20, bool), np.linspace(0.5, 1, 20), np.arange(20).astype(str), num_bootstrap=50, seed=0)
    assert (found.roc, found.auc.value, found.skill.value, found.bins[0].interval) == (None, None, None, None)
    assert found.brier.value == pytest.approx(metrics.brier_score_loss(np.ones(20, bool), np.linspace(0.5, 1, 20), labels=[0, 1]))


def test_a_single_group_has_no_interval() -> None:
    is_so, probability, _ = drawn(0)
    found = forecast(is_so, probability, np.full(200, "one"), num_bootstrap=50, seed=0)
    assert (found.auc.interval, found.roc.low, found.calibration_error.interval) == (None, (), None)


def test_bands_and_bins_cover_the_population() -> None:
    """Nominal 95 %, tolerated 88–99 %: 200 simulations have a standard error of 1.5 %, and percentile intervals of 50 groups fall short.

    The probability of a yes is p with p uniform, so that the share of a bin is its mean probability, and the true positive rate at a rate
    x of false positives is 1 − t² where (1 − t)² = x.
    """
    at_threshold = 1 - np.sqrt(0.2)
    covered = {"band": 0, "bin": 0}
    num_simulations = 200
    for simulation in range(num_simulations):
        rng = np.random.default_rng(simulation)
        probability = rng.uniform(size=200)
        found = forecast(rng.uniform(size=200) < probability, probability, np.repeat(np.arange(50), 4).astype(str), 200, simulation)
        column = found.roc.at.index(0.2)
        covered["band"] += found.roc.low[column] <= 1 - at_threshold**2 <= found.roc.high[column]
        share = found.bins[5].interval
        covered["bin"] += share.low <= found.bins[5].probability <= share.high
    assert {name: count for name, count in covered.items() if not 0.88 <= count / num_simulations <= 0.99} == {}
