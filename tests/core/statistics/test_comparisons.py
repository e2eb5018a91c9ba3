"""Paired differences over videos and patients; that they rarely see one where there is none is known from simulation."""

import numpy as np
import pytest
import scipy.stats
from sklearn import metrics

from components.core.models.predictions import Predictions
from components.core.statistics.bootstrap import Estimate, Interval
from components.core.statistics.comparisons import macro_f1_difference, paired_difference, patient_scores, verdict

CLASS_NAMES = ["covid", "pneumonia", "normal"]


def answers(rng: np.random.Generator, patients: int, videos: int, skills: tuple[float, ...]) -> list[Predictions]:
    """What models of these skills say of the same videos, one class a patient; a patient who is hard for one is hard for all."""
    labels = np.repeat(np.arange(patients) % 3, videos)
    groups = np.repeat(np.arange(patients), videos).astype(str)
    ids = np.arange(len(labels)).astype(str)
    hardness = np.repeat(rng.normal(size=(patients, 3)), videos, axis=0)

    def of_model(skill: float) -> Predictions:
        own = np.repeat(0.5 * rng.normal(size=(patients, 3)), videos, axis=0) + 0.5 * rng.normal(size=(len(labels), 3))
        exponentials = np.exp(hardness + own + skill * np.eye(3)[labels])
        return Predictions(labels, exponentials / exponentials.sum(axis=1, keepdims=True), ids, groups, ids)

    return [of_model(skill) for skill in skills]


def test_patients_have_the_mean_of_their_videos_and_scores_of_scikit_learn() -> None:
    first, second, thumbnail = answers(np.random.default_rng(0), 30, 4, (1.5, 1.5, 0.2))
    found = patient_scores([first, second], thumbnail, CLASS_NAMES, num_bootstrap=300, seed=0)
    assert list(found) == CLASS_NAMES
    covid = found["covid"]
    means = [videos.probabilities.reshape(30, 4, 3).mean(axis=1)[:, 0] for videos in (first, second, thumbnail)]
    expected = [metrics.roc_auc_score(np.arange(30) % 3 == 0, values) for values in means]
    assert (covid.num, covid.num_of_class) == (30, 10)
    assert covid.repeats == pytest.approx(expected[:2])
    assert covid.auc.value == pytest.approx(np.mean(expected[:2]))
    assert covid.thumbnail.value == pytest.approx(expected[2])
    assert covid.difference.value == pytest.approx(np.mean(expected[:2]) - expected[2])
    for estimate in (covid.auc, covid.thumbnail, covid.difference):
        assert estimate.interval.low < estimate.value < estimate.interval.high


def test_a_patient_with_videos_of_two_classes_counts_for_both() -> None:
    labels = np.array([0, 2, 2, 2])
    probabilities = np.array([[0.6, 0, 0.4], [0.2, 0, 0.8], [0.4, 0, 0.6], [0.9, 0, 0.1]])
    ids, groups = np.arange(4).astype(str), np.array(["course", "course", "course", "other"])
    videos = Predictions(labels, probabilities, ids, groups, ids)
    found = patient_scores([videos], videos, CLASS_NAMES, num_bootstrap=0, seed=0)
    assert list(found) == ["covid", "normal"], "nobody has pneumonia"
    assert (found["covid"].num, found["covid"].num_of_class, found["covid"].auc) == (3, 1, Estimate(0.5, None))


def test_patients_of_one_class_have_no_scores() -> None:
    (videos,) = answers(np.random.default_rng(0), 1, 4, (1.0,))
    assert patient_scores([videos], videos, CLASS_NAMES, num_bootstrap=10, seed=0) == {}


def test_the_difference_in_macro_f1_is_scikit_learns() -> None:
    first, second, other = answers(np.random.default_rng(1), 30, 2, (2.0, 2.0, 0.0))
    found = macro_f1_difference([first, second], [other], num_bootstrap=300, seed=0)
    scores = [metrics.f1_score(of.labels, of.predicted, average="macro") for of in (first, second, other)]
    assert found.value == pytest.approx(np.mean(scores[:2]) - scores[2])
    assert 0 < found.interval.low < found.value < found.interval.high


def test_a_verdict_needs_an_interval_without_zero() -> None:
    better, worse, unclear, unknown = (
        verdict("the network", "the thumbnail", Estimate(value, interval))
        for value, interval in (
            (0.1, Interval(0.02, 0.2, 9, 0)),
            (-0.1, Interval(-0.2, -0.02, 9, 0)),
            (0.1, Interval(-0.02, 0.2, 9, 0)),
            (0.1, None),
        )
    )
    assert better == "the network is better than the thumbnail by 0.10 (95 % interval of the difference 0.02 to 0.20)."
    assert worse == "the thumbnail is better than the network by 0.10 (95 % interval of the difference -0.20 to -0.02)."
    assert unclear.startswith("neither the network nor the thumbnail is shown to be better")
    assert unknown == "whether the network is better than the thumbnail cannot be said: the data gives no interval."


def test_the_interval_of_a_mean_difference_is_as_wide_as_students() -> None:
    """Replicates of a mean of n values have a variance of (n − 1) / n² times the values' own."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=8)
    replicates = values.mean() + values.std() / np.sqrt(8) * rng.normal(size=200_000)
    found = paired_difference(np.append(values.mean(), replicates), np.zeros(200_001), num_groups=8)
    expected = scipy.stats.ttest_1samp(values, 0).confidence_interval()
    assert (found.interval.low, found.interval.high) == pytest.approx((expected.low, expected.high), abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("patients", [18, 51])
def test_between_equally_good_models_the_interval_seldom_leaves_zero_out(patients: int) -> None:
    """Nominal 95 %, tolerated 91–99 %: 300 simulations have a standard error of 1.3 %."""
    covered = {"macro_f1": 0, "auc": 0}
    num_simulations = 300
    for simulation in range(num_simulations):
        one, other = answers(np.random.default_rng([simulation, 1]), patients, 5, (1.0, 1.0))
        differences = {
            "macro_f1": macro_f1_difference([one], [other], num_bootstrap=200, seed=simulation),
            "auc": patient_scores([one], other, CLASS_NAMES, num_bootstrap=200, seed=simulation)["covid"].difference,
        }
        for name, difference in differences.items():
            covered[name] += not difference.excludes_zero
    assert {name: count for name, count in covered.items() if not 0.91 <= count / num_simulations <= 0.99} == {}
