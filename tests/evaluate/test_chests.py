"""Severities by zone: what is stated beside what is expected, and the sums of both."""

import dataclasses
import json
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats

from components.core.models.predictions import Graded, Predictions
from components.evaluate.chests import severities_of_chests
from components.evaluate.evaluation import Evaluation
from components.evaluate.report import MAX_CHESTS, render_report
from components.evaluate.video_facts import VideoFacts
from tests.evaluate.conftest import make_clips, make_facts


def video_facts(video_id: str, patient: str, zone: str) -> VideoFacts:
    return VideoFacts(
        video_id, "covid", f"group-{patient}", "a", "", "test", 1, True, "", None, None, {}, {}, {}, zone=zone, patient=patient
    )


def told(rows: list[tuple[str, str, int, float]]) -> tuple[Predictions, list[VideoFacts]]:
    """What is said of videos, given patient, zone, stated and expected severity of each."""
    ids = np.array([f"{number:02}" for number in range(len(rows))])
    patients, zones, grades, expected = zip(*rows, strict=True)
    severity = Graded(np.array(grades), np.array([[value / 3] * 3 for value in expected]))
    groups = np.array([f"group-{patient}" for patient in patients])
    videos = Predictions(np.zeros(len(rows), int), np.ones((len(rows), 1)), ids, groups, ids, findings={"severity": severity})
    return videos, [video_facts(*of) for of in zip(ids.tolist(), patients, zones, strict=True)]


def test_a_zone_has_the_mean_of_its_videos_and_sums_are_over_zones_with_both() -> None:
    videos, facts = told([("p", "L1", 3, 2.0), ("p", "L1", 2, 1.0), ("p", "R1", 1, 0.5), ("p", "R2", -1, 3.0), ("p", "", 3, 3.0)])
    found = severities_of_chests(videos, facts, 10, seed=0)
    assert found is not None
    (chest,) = found.chests
    assert chest.stated == {"L1": 2.5, "R1": 1}
    assert chest.expected == pytest.approx({"L1": 1.5, "R1": 0.5, "R2": 3.0})
    assert chest.sums == pytest.approx((3.5, 2.0))
    assert (found.zones, found.num_zones) == (("L1", "R1", "R2"), 2)
    assert found.correlation.value is None, "of one patient there is no correlation"


def test_only_patients_with_the_most_zones_are_in_the_correlation() -> None:
    rng = np.random.default_rng(0)
    stated = rng.integers(4, size=(20, 3))
    expected = np.clip(stated + 0.8 * rng.normal(size=stated.shape), 0, 3)
    rows = [
        (f"{patient:02}", f"L{zone}", int(stated[patient, zone]), float(expected[patient, zone]))
        for patient in range(20)
        for zone in range(3)
        if patient < 15 or zone
    ]
    found = severities_of_chests(*told(rows), 300, seed=0)
    assert found is not None
    assert [chest.patient for chest in found.summed] == [f"{patient:02}" for patient in range(15)]
    correlation = found.correlation
    assert correlation.value == pytest.approx(scipy.stats.spearmanr(stated[:15].sum(axis=1), expected[:15].sum(axis=1)).statistic)
    assert correlation.interval is not None
    assert correlation.interval.low < correlation.value < correlation.interval.high


def test_without_zones_or_without_severity_there_is_nothing() -> None:
    videos, facts = told([("p", "", 3, 2.0)])
    assert severities_of_chests(videos, facts, 10, seed=0) is None
    videos, facts = told([("p", "L1", 3, 2.0)])
    assert severities_of_chests(dataclasses.replace(videos, findings={}), facts, 10, seed=0) is None


def test_facts_give_the_zones_of_the_test_videos() -> None:
    videos = make_clips(1, 1.4, np.repeat([0, 1, 2], (6, 6, 6)), findings=True).by_video()
    found = severities_of_chests(videos, make_facts(videos, zones=True), 10, seed=0)
    assert found is not None
    assert [(chest.patient, chest.class_names) for chest in found.chests] == [
        (f"patient-{number}", (name,)) for number, name in enumerate(("covid", "normal", "pneumonia"))
    ]
    assert all(len(chest.expected) == 6 for chest in found.chests)


def test_the_page_shows_few_patients_and_says_so(make_evaluation: Callable[..., Evaluation]) -> None:
    evaluation = make_evaluation(counts=(66, 66, 66), findings=True, zones=True, with_champion=False)
    page = render_report(evaluation)
    assert evaluation.chests is not None
    assert len(evaluation.chests.chests) == 33
    assert f"The first {MAX_CHESTS} of 33 patients by name are shown" in page
    assert page.count('<td class="sum">') == 2 * MAX_CHESTS
    assert "Sum over 5 zones" in page
    assert len(json.loads(evaluation.to_json())["chests"]["chests"]) == 33


def test_a_page_without_zones_says_so(make_evaluation: Callable[..., Evaluation]) -> None:
    assert "No zones are stated of the test videos" in render_report(make_evaluation())


def test_names_of_patients_are_escaped(make_evaluation: Callable[..., Evaluation]) -> None:
    evaluation = make_evaluation(findings=True, zones=True)
    assert evaluation.chests is not None
    chests = tuple(dataclasses.replace(chest, patient="<script>") for chest in evaluation.chests.chests)
    page = render_report(dataclasses.replace(evaluation, chests=dataclasses.replace(evaluation.chests, chests=chests)))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
