import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from components.evaluate.metrics import Predictions, bootstrap_difference, bootstrap_macro_f1, chance_p_value, roc_curve, score

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


def test_a_class_without_examples_is_undefined_not_zero() -> None:
    scores = score(certain([0, 0, 1, 1], [0, 2, 1, 1]), CLASS_NAMES)
    normal = scores.classes[2]
    assert (normal.precision, normal.recall, normal.f1, normal.auc, normal.roc, normal.support) == (None, None, None, None, None, 0)
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
    assert bootstrap_macro_f1(predictions, 200, seed=1) == bootstrap_macro_f1(predictions, 200, seed=1)
    assert bootstrap_macro_f1(predictions, 200, seed=1) != bootstrap_macro_f1(predictions, 200, seed=2)


def test_groups_are_drawn_whole() -> None:
    # All videos of a patient are right or wrong together: 12 patients are less evidence than 48 videos.
    labels, right = np.repeat([0, 1, 2], 16), np.repeat(np.tile([True, True, False, True], 3), 4)
    predicted = np.where(right, labels, (labels + 1) % 3)
    patients = [str(number // 4) for number in range(48)]
    by_patient = bootstrap_macro_f1(certain(labels.tolist(), predicted.tolist(), patients), 1000, seed=0)
    by_video = bootstrap_macro_f1(certain(labels.tolist(), predicted.tolist()), 1000, seed=0)
    assert by_patient is not None
    assert by_video is not None
    assert by_patient.high - by_patient.low > 1.5 * (by_video.high - by_video.low)


def test_right_answers_throughout_give_an_interval_of_no_width() -> None:
    interval = bootstrap_macro_f1(certain([0, 1, 2] * 10, [0, 1, 2] * 10), 100, seed=0)
    assert interval is not None
    assert (interval.low, interval.high) == (1.0, 1.0)


def test_replicates_that_lack_a_class_are_left_out_and_counted() -> None:
    # One of ten groups holds the only covid videos: a replicate misses it with probability (1 - 1/10)^10.
    labels = [0] + [1, 2] * 9
    groups = ["only"] + [str(number // 2) for number in range(18)]
    interval = bootstrap_macro_f1(certain(labels, labels, groups), 4000, seed=0)
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
    assert bootstrap_macro_f1(certain(labels, labels, groups), num_bootstrap, seed=0) is None


def test_the_interval_covers_the_true_score() -> None:
    """30 patients a class, two videos each, right or wrong together at 75 %: the population's macro-F1 is 0.75."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 60)
    patients = [str(number // 2) for number in range(180)]
    covered, num_simulations = 0, 150
    for simulation in range(num_simulations):
        right = np.repeat(rng.random(90) < 0.75, 2)
        predicted = np.where(right, labels, (labels + np.repeat(rng.integers(1, 3, size=90), 2)) % 3)
        interval = bootstrap_macro_f1(certain(labels.tolist(), predicted.tolist(), patients), 200, seed=simulation)
        assert interval is not None
        covered += interval.low <= 0.75 <= interval.high
    assert 0.88 <= covered / num_simulations <= 0.99


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
    apart = bootstrap_macro_f1(challenger, 400, seed=0)
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
