import numpy as np
import pytest

from components.core.models.predictions import Predictions
from components.evaluate.operating_points import abstention, operating_points, risk_coverage_curve

CLASS_NAMES = ["covid", "normal"]


def make(labels: list[int], covid_probabilities: list[float]) -> Predictions:
    ids = np.arange(len(labels)).astype(str)
    covid = np.array(covid_probabilities)
    return Predictions(np.array(labels), np.stack([covid, 1 - covid], axis=1), ids, ids, ids)


def test_the_threshold_has_the_largest_youden_index_on_validation_and_is_applied_to_test() -> None:
    # From 0.7 on: 2 of 3 covid videos, no other one. From 0.4 on: all 3, but 1 of 2 others. J = 2/3 against 1/2.
    validation = make([0, 0, 0, 1, 1], [0.9, 0.7, 0.4, 0.5, 0.1])
    test = make([0, 0, 1, 1, 1], [0.61, 0.2, 0.59, 0.95, 0.3])
    covid, _ = operating_points(validation, test, CLASS_NAMES, 0, 0)
    assert covid.threshold == pytest.approx(0.6), "midway between 0.7 and 0.5"
    assert (covid.validation_sensitivity, covid.validation_specificity) == (pytest.approx(2 / 3), 1.0)
    assert covid.num_validation_positives == 3
    assert {name: rate.value for name, rate in covid.test.items()} == {
        "recall": 1 / 2,
        "specificity": pytest.approx(2 / 3),
        "precision": 1 / 2,
        "npv": pytest.approx(2 / 3),
    }


def test_the_test_videos_do_not_move_the_threshold() -> None:
    validation = make([0, 0, 1, 1], [0.8, 0.6, 0.4, 0.2])
    for probabilities in ([0.1, 0.9], [0.9, 0.1]):
        covid, _ = operating_points(validation, make([0, 1], probabilities), CLASS_NAMES, 0, 0)
        assert covid.threshold == pytest.approx(0.5)


def test_without_a_validation_video_of_the_class_there_is_no_threshold() -> None:
    covid, normal = operating_points(make([1, 1], [0.2, 0.3]), make([0, 1], [0.8, 0.2]), CLASS_NAMES, 0, 0)
    assert (covid.threshold, covid.test) == (None, {})
    assert (normal.threshold, normal.test) == (None, {})


def test_rates_of_a_class_that_test_lacks_are_undefined() -> None:
    covid, _ = operating_points(make([0, 1], [0.9, 0.1]), make([1, 1], [0.8, 0.2]), CLASS_NAMES, 50, 0)
    assert covid.test["recall"].value is None
    assert covid.test["specificity"].value == 0.5


def test_the_model_abstains_where_a_fifth_of_the_validation_videos_is_less_certain() -> None:
    validation = make([0] * 5, [0.55, 0.9, 0.8, 0.7, 0.65])
    found = abstention(validation, make([0, 0, 1, 1], [0.95, 0.6, 0.7, 0.62]), CLASS_NAMES, 0, 0)
    assert found.threshold == pytest.approx(0.65)
    assert found.coverage == 0.5
    assert found.accuracy.value == 0.5
    assert found.macro_f1 == pytest.approx((2 / 3 + 0) / 2)


def test_the_risk_falls_with_the_coverage_when_the_model_knows_what_it_knows() -> None:
    coverages, risks = risk_coverage_curve(make([0, 0, 1, 0], [0.9, 0.8, 0.7, 0.6]))
    assert coverages == (0.25, 0.5, 0.75, 1.0)
    assert risks == (0, 0, pytest.approx(1 / 3), 0.25)


def test_equal_confidences_are_one_point_of_the_curve() -> None:
    assert risk_coverage_curve(make([0, 1, 0], [0.9, 0.9, 0.6])) == ((pytest.approx(2 / 3), 1.0), (0.5, pytest.approx(1 / 3)))
