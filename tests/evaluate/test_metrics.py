import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from components.core.models.predictions import Predictions
from components.core.statistics.bootstrap import Interval
from components.evaluate.metrics import roc_curve, score
from components.evaluate.significance import bootstrap_difference, chance_p_value

CLASS_NAMES = ["covid", "pneumonia", "normal"]


def make(labels: list[int], probabilities: np.ndarray, groups: list[str] | None = None, video_ids: list[str] | None = None) -> Predictions:
    ids = [str(number) for number in range(len(labels))]
    return Predictions(
        np.array(labels),
        np.asarray(probabilities, float),
        np.array(video_ids or ids),
        np.array(groups or ids),
        np.array(["s"] * len(labels)),
    )


def certain(labels: list[int], predicted: list[int], groups: list[str] | None = None) -> Predictions:
    return make(labels, np.eye(3)[predicted], groups)


def macro_f1_interval(predictions: Predictions, num_bootstrap: int, seed: int) -> Interval | None:
    return score(predictions, CLASS_NAMES, num_bootstrap, seed).intervals.get("macro_f1")


def test_a_video_has_the_mean_probability_of_its_clips() -> None:
    clips = make(
        [2, 0, 2],
        np.array([[0.2, 0.2, 0.6], [0.9, 0.1, 0.0], [0.6, 0.0, 0.4]]),
        groups=["p2", "p1", "p2"],
        video_ids=["v2", "v1", "v2"],
    )
    videos = clips.by_video()
    assert videos.video_ids.tolist() == ["v1", "v2"]
    assert videos.labels.tolist() == [0, 2]
    assert videos.groups.tolist() == ["p1", "p2"]
    np.testing.assert_allclose(videos.probabilities, [[0.9, 0.1, 0.0], [0.4, 0.1, 0.5]])
    assert videos.predicted.tolist() == [0, 2]
    assert videos.num_groups == 2


def test_a_patient_has_the_mean_probability_of_its_videos_class_by_class() -> None:
    videos = make([0, 0, 2, 1], np.array([[0.8, 0.2, 0], [0.6, 0.0, 0.4], [0, 0, 1], [0.1, 0.9, 0]]), groups=["p1", "p1", "p1", "p0"])
    patients = videos.by_group()
    assert patients.groups.tolist() == ["p0", "p1", "p1"]
    assert patients.labels.tolist() == [1, 0, 2]
    np.testing.assert_allclose(patients.probabilities, [[0.1, 0.9, 0], [0.7, 0.1, 0.2], [0, 0, 1]])


def test_scores_of_a_small_example_counted_by_hand() -> None:
    # truth:      c c c p p n      predicted: c c p p n n
    scores = score(certain([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 2, 2]), CLASS_NAMES)
    covid, pneumonia, normal = scores.classes
    assert scores.num == 6
    assert scores.confusion_matrix == ((2, 1, 0), (0, 1, 1), (0, 0, 1))
    assert (covid.precision, covid.recall, covid.f1, covid.support) == (1.0, pytest.approx(2 / 3), pytest.approx(0.8), 3)
    assert (pneumonia.precision, pneumonia.recall, pneumonia.f1, pneumonia.support) == (0.5, 0.5, 0.5, 2)
    assert (normal.precision, normal.recall, normal.f1, normal.support) == (0.5, 1.0, pytest.approx(2 / 3), 1)
    assert scores.macro_f1 == pytest.approx((0.8 + 0.5 + 2 / 3) / 3)
    assert scores.accuracy == pytest.approx(4 / 6)
    assert scores.balanced_accuracy == pytest.approx((2 / 3 + 0.5 + 1) / 3)


def test_answering_one_class_throughout_has_zero_f1_but_no_precision_for_the_others() -> None:
    scores = score(certain([0, 1, 2, 2], [2, 2, 2, 2]), CLASS_NAMES)
    covid = scores.classes[0]
    assert (covid.precision, covid.recall, covid.f1) == (None, 0.0, 0.0)
    assert scores.macro_f1 == pytest.approx((2 * 0.5 / 1.5) / 3)


@pytest.mark.parametrize("seed", range(20))
def test_scores_equal_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([[0, 1, 2], rng.integers(3, size=30)])
    probabilities = rng.dirichlet(np.ones(3), size=33)
    scores = score(make(labels.tolist(), probabilities), CLASS_NAMES)
    report = sklearn_metrics.classification_report(
        labels, probabilities.argmax(axis=1), labels=[0, 1, 2], target_names=CLASS_NAMES, output_dict=True, zero_division=np.nan
    )
    aucs = sklearn_metrics.roc_auc_score(labels, probabilities, multi_class="ovr", average=None)
    assert scores.macro_f1 == pytest.approx(report["macro avg"]["f1-score"])
    assert scores.balanced_accuracy == pytest.approx(sklearn_metrics.balanced_accuracy_score(labels, probabilities.argmax(axis=1)))
    assert scores.macro_auc == pytest.approx(aucs.mean())
    for by_class, auc in zip(scores.classes, aucs, strict=True):
        expected = report[by_class.class_name]
        assert by_class.recall == pytest.approx(expected["recall"])
        assert by_class.f1 == pytest.approx(expected["f1-score"])
        assert by_class.support == expected["support"]
        assert by_class.auc == pytest.approx(auc)
        is_class, column = labels == CLASS_NAMES.index(by_class.class_name), probabilities[:, CLASS_NAMES.index(by_class.class_name)]
        assert by_class.average_precision == pytest.approx(sklearn_metrics.average_precision_score(is_class, column))
        assert by_class.brier == pytest.approx(sklearn_metrics.brier_score_loss(is_class, column))
        others = sklearn_metrics.recall_score(~is_class, column != probabilities.max(axis=1))
        assert by_class.specificity == pytest.approx(others)
        assert by_class.npv == pytest.approx(sklearn_metrics.precision_score(~is_class, column != probabilities.max(axis=1)))
    assert scores.brier == pytest.approx(sklearn_metrics.brier_score_loss(labels, probabilities, scale_by_half=False))


def test_the_calibration_error_is_the_mean_gap_of_the_bins() -> None:
    # Two answers of 0.95 of which one is right, four of 0.55 of which two are: |0.5 - 0.95| × 2/6 + |0.5 - 0.55| × 4/6.
    probabilities = np.array([[0.95, 0.05, 0]] * 2 + [[0.55, 0.45, 0]] * 4)
    scores = score(make([0, 1, 0, 1, 0, 1], probabilities), CLASS_NAMES)
    assert scores.ece == pytest.approx(0.45 * 2 / 6 + 0.05 * 4 / 6)


def test_a_class_without_examples_is_undefined_not_zero() -> None:
    scores = score(certain([0, 0, 1, 1], [0, 2, 1, 1]), CLASS_NAMES)
    normal = scores.classes[2]
    assert normal.support == 0
    assert {value for name, value in vars(normal).items() if name not in ("class_name", "support", "intervals")} == {None}
    assert scores.macro_auc is None
    assert scores.macro_f1 == pytest.approx((2 / 3 + 1) / 2), "the mean of the classes that have examples"
    assert scores.balanced_accuracy == pytest.approx((0.5 + 1) / 2)
    assert scores.confusion_matrix[2] == (0, 0, 0)


def test_with_one_class_there_is_no_roc_curve_at_all() -> None:
    scores = score(certain([0, 0], [0, 1]), CLASS_NAMES)
    assert [by_class.roc for by_class in scores.classes] == [None, None, None]
    assert scores.macro_f1 == pytest.approx(2 / 3)


def test_a_roc_curve_is_finite_and_goes_from_corner_to_corner() -> None:
    curve = roc_curve(make([0, 1, 0, 2], np.array([[0.9, 0.1, 0], [0.6, 0.2, 0.2], [0.4, 0.3, 0.3], [0.1, 0, 0.9]])), 0)
    assert curve is not None
    assert curve.false_positive_rates == (0.0, 0.0, 0.5, 0.5, 1.0)
    assert curve.true_positive_rates == (0.0, 0.5, 0.5, 1.0, 1.0)
    assert curve.thresholds == (1.0, 0.9, 0.6, 0.4, 0.1)


def test_an_interval_depends_on_the_seed_alone() -> None:
    rng = np.random.default_rng(0)
    predictions = certain(rng.integers(3, size=40).tolist(), rng.integers(3, size=40).tolist())
    assert macro_f1_interval(predictions, 200, seed=1) == macro_f1_interval(predictions, 200, seed=1)
    assert macro_f1_interval(predictions, 200, seed=1) != macro_f1_interval(predictions, 200, seed=2)


def test_groups_are_drawn_whole() -> None:
    # All videos of a patient are right or wrong together: 12 patients are less evidence than 48 videos.
    labels, right = np.repeat([0, 1, 2], 16), np.repeat(np.tile([True, True, False, True], 3), 4)
    predicted = np.where(right, labels, (labels + 1) % 3)
    patients = [str(number // 4) for number in range(48)]
    by_patient = macro_f1_interval(certain(labels.tolist(), predicted.tolist(), patients), 1000, seed=0)
    by_video = macro_f1_interval(certain(labels.tolist(), predicted.tolist()), 1000, seed=0)
    assert by_patient is not None
    assert by_video is not None
    assert by_patient.high - by_patient.low > 1.5 * (by_video.high - by_video.low)


def test_right_answers_throughout_give_an_interval_of_no_width() -> None:
    interval = macro_f1_interval(certain([0, 1, 2] * 10, [0, 1, 2] * 10), 100, seed=0)
    assert interval is not None
    assert (interval.low, interval.high) == (1.0, 1.0)


def test_replicates_that_lack_a_class_are_left_out_and_counted() -> None:
    # One of ten groups holds the only covid videos: a replicate misses it with probability (1 - 1/10)^10.
    labels = [0] + [1, 2] * 9
    groups = ["only"] + [str(number // 2) for number in range(18)]
    interval = macro_f1_interval(certain(labels, labels, groups), 4000, seed=0)
    assert interval is not None
    assert interval.num_replicates + interval.num_left_out == 4000
    assert interval.num_left_out / 4000 == pytest.approx(0.9**10, abs=0.03)
    assert interval.low == 1.0, "a missing class is not a zero"


@pytest.mark.parametrize(
    ("labels", "groups", "num_bootstrap"),
    [
        ([0, 1, 2], ["a", "b", "c"], 500),  # a replicate holds all three classes with probability 6/27
        ([0, 1, 2], ["a", "a", "a"], 500),
        ([0, 1, 2] * 5, None, 0),
    ],
)
def test_without_enough_groups_or_replicates_there_is_no_interval(labels: list[int], groups: list[str] | None, num_bootstrap: int) -> None:
    assert macro_f1_interval(certain(labels, labels, groups), num_bootstrap, seed=0) is None


def test_a_paired_difference_is_between_the_same_groups() -> None:
    """The challenger is right where the champion is, and on one group in ten more: no replicate can show it worse."""
    labels = [0, 1, 2] * 20
    groups = [str(number // 2) for number in range(60)]
    wrong = [(label + 1) % 3 for label in labels]
    champion = certain(
        labels, [w if number % 3 == 0 else label for number, (label, w) in enumerate(zip(labels, wrong, strict=True))], groups
    )
    challenger = certain(
        labels, [w if number % 6 == 0 else label for number, (label, w) in enumerate(zip(labels, wrong, strict=True))], groups
    )
    better = bootstrap_difference(challenger, champion, 400, seed=0)
    worse = bootstrap_difference(champion, challenger, 400, seed=0)
    assert better is not None
    assert worse is not None
    assert 0 <= better.low < better.high
    assert (worse.low, worse.high) == pytest.approx((-better.high, -better.low))
    apart = macro_f1_interval(challenger, 400, seed=0)
    assert apart is not None
    assert better.high - better.low < 1.5 * (apart.high - apart.low), "pairing removes what both have in common"


def test_equal_predictions_differ_by_nothing() -> None:
    predictions = certain([0, 1, 2] * 10, [0, 1, 1] * 10)
    interval = bootstrap_difference(predictions, predictions, 200, seed=0)
    assert interval is not None
    assert (interval.low, interval.high) == (0.0, 0.0)


def test_the_p_value_is_the_share_of_permutations() -> None:
    # Three groups of one video, all right: one of the 3! = 6 ways to deal the labels does as well.
    assert chance_p_value(certain([0, 1, 2], [0, 1, 2]), seed=0) == pytest.approx(1 / 6, abs=0.03)
    # Two groups a class, all right: 1 of 6! / (2!)^3 = 90 ways.
    assert chance_p_value(certain([0, 1, 2] * 2, [0, 1, 2] * 2), seed=0) == pytest.approx(1 / 90, abs=0.01)
    # One answer throughout says nothing about labels.
    assert chance_p_value(certain([0, 1, 2] * 5, [1] * 15), seed=0) == 1.0


def test_videos_of_one_group_are_one_piece_of_evidence() -> None:
    labels = np.repeat([0, 1, 2], 20).tolist()
    assert chance_p_value(certain(labels, labels, [str(label) for label in labels]), seed=0) == pytest.approx(1 / 6, abs=0.03)


def test_a_model_that_knows_nothing_passes_the_chance_test_at_its_rate() -> None:
    """Predictions that do not depend on the labels: at most 5 % of them may have a p-value of at most 0.05."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(24), rng.integers(1, 6, size=24))
    passed, num_simulations = 0, 200
    for simulation in range(num_simulations):
        labels = np.resize([0, 1, 1, 2, 2, 2], 24)[groups]
        answers = rng.choice(3, p=[0.2, 0.3, 0.5], size=24)[groups]  # a group's videos are answered alike
        passed += chance_p_value(certain(labels.tolist(), answers.tolist(), groups.astype(str).tolist()), seed=simulation) <= 0.05
    assert passed / num_simulations <= 0.05 + 2 * (0.05 * 0.95 / num_simulations) ** 0.5


def test_a_model_that_knows_something_is_told_from_chance() -> None:
    """Of thirty videos of fifteen patients three of four are right, and a patient's two are answered alike: found in nine of ten."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(15), 2)
    labels = groups % 3
    found, num_simulations = 0, 60
    for simulation in range(num_simulations):
        answers = np.where(rng.random(15) < 0.75, np.arange(15) % 3, rng.integers(3, size=15))[groups]
        found += chance_p_value(certain(labels.tolist(), answers.tolist(), groups.astype(str).tolist()), seed=simulation) <= 0.05
    assert found / num_simulations >= 0.9
