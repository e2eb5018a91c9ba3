"""What the videos of one person say together."""

import math
from typing import Any

import pytest

from components.predict.inputs import VideoTask
from components.predict.patients import patient_lines, summary


def task(number: int, patient: str, zone: str = "") -> VideoTask:
    return VideoTask(number, f"v{number}", f"/v{number}", patient=patient, zone=zone)


def line(covid: float, severity: float, a_lines: float = 0.5) -> dict[str, Any]:
    findings = {"a_lines": {"probability": a_lines}, "severity": {"expected": severity}}
    return {"probabilities": {"covid": covid, "normal": 1 - covid}, "findings": findings, "patient_scores": None}


NOTHING = {"probabilities": None, "findings": None, "patient_scores": None}
TASKS = [task(0, "p", "L1"), task(1, "q"), task(2, "p", "L1"), task(3, "p", "R2"), task(4, "p", "R3"), task(5, ""), task(6, "r", "L1")]
LINES = [line(0.9, 1.0, 0.2), line(0.2, 0.5), line(0.5, 2.0, 0.4), line(0.4, 2.5), NOTHING, line(0.1, 3.0), NOTHING]


def test_zones_stand_side_by_side_and_their_severities_are_summed() -> None:
    p, q, r = patient_lines(TASKS, LINES)
    assert (p["patient"], p["videos"], p["num_predicted"]) == ("p", ["v0", "v2", "v3", "v4"], 3)
    assert p["probabilities"] == {"covid": pytest.approx(0.6), "normal": pytest.approx(0.4)}
    assert p["most_probable"] == "covid"
    assert p["zones"] == {
        "L1": {"a_lines": {"probability": pytest.approx(0.3)}, "severity": {"expected": 1.5}},
        "R2": {"a_lines": {"probability": 0.5}, "severity": {"expected": 2.5}},
    }
    assert p["severity_sum"] == 4.0  # not 5.5: a zone that was recorded twice counts once
    assert (q["zones"], q["severity_sum"]) == ({}, None)
    assert (r["num_predicted"], r["probabilities"], r["most_probable"], r["severity_sum"]) == (0, None, None, None)


def test_a_line_for_a_person() -> None:
    assert [summary(patient) for patient in patient_lines(TASKS, LINES)] == [
        "patient p: covid 0.60 over 3 of 4 videos, severity 4.0 of 6 over 2 zones",
        "patient q: normal 0.80 over 1 of 1 videos",
        "patient r: no prediction for any of 1 videos",
    ]


def test_a_model_without_findings_gives_classes_alone() -> None:
    (patient,) = patient_lines([task(0, "p", "L1")], [{"probabilities": {"covid": 1.0, "normal": 0.0}, "patient_scores": None}])
    assert "zones" not in patient
    assert summary(patient) == "patient p: covid 1.00 over 1 of 1 videos"


def test_with_a_rule_the_classes_follow_from_the_mean_score_and_not_from_the_mean_probability() -> None:
    scored = [{**of, "patient_scores": scores} for of, scores in zip(LINES, ({"covid": -1.0, "normal": 1.0}, *[None] * 6), strict=True)]
    scored[2]["patient_scores"] = {"covid": 0.0, "normal": 0.0}
    scored[3]["patient_scores"] = {"covid": -0.5, "normal": 0.5}
    p, q, _ = patient_lines(TASKS, scored)
    assert p["probabilities"]["covid"] == pytest.approx(1 / (1 + math.exp(0.5 + 0.5)), abs=1e-6)
    assert p["most_probable"] == "normal"
    assert p["mean_of_videos"]["covid"] == pytest.approx(0.6)
    assert q["probabilities"] == q["mean_of_videos"]
