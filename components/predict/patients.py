"""Patients: what the videos of one person say together, where a manifest says whose they are.

patients    a line a patient, in the order in which they were first asked for:
            patient, videos (their ids), num_predicted
            probabilities     of the classes, from all videos that have a prediction, by the rule that was learnt on train patients
                              (core.models.reference), of a model without one the mean over the videos; null without any
            most_probable     the class with the highest of them
            mean_of_videos    the mean over the videos in any case
            zones             of a model that tells findings: by the zone of the chest that the manifest states, the findings, each
                              the mean over the videos of the zone that have a prediction
            severity_sum      the sum over the zones of the severity that is expected: the lung ultrasound score, of 3 a zone; null
                              without zones (Soldati et al., J Ultrasound Med 39, 2020, sum over the zones that they examine)
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from components.core.models.reference import of_patients
from components.core.records.findings import SEVERITY
from components.predict.inputs import VideoTask

DECIMALS = 6

Line = dict[str, Any]


def patient_lines(tasks: Sequence[VideoTask], lines: Iterable[Line]) -> list[Line]:
    """Returns a line for every patient of the tasks, given the lines of the predictions in the same order."""
    videos: dict[str, list[tuple[VideoTask, Line]]] = defaultdict(list)
    for task, line in zip(tasks, lines, strict=True):
        if task.patient:
            videos[task.patient].append((task, line))
    return [_patient(name, members) for name, members in videos.items()]


def summary(patient: Line) -> str:
    """Returns what a person wants to see of a patient in a line."""
    name, num_videos = patient["patient"], len(patient["videos"])
    if not patient["num_predicted"]:
        return f"patient {name}: no prediction for any of {num_videos} videos"
    best = patient["most_probable"]
    said = f"patient {name}: {best} {patient['probabilities'][best]:.2f} over {patient['num_predicted']} of {num_videos} videos"
    if patient.get("severity_sum") is None:
        return said
    num_zones = len(patient["zones"])
    return f"{said}, severity {patient['severity_sum']:.1f} of {SEVERITY.num_thresholds * num_zones} over {num_zones} zones"


def _patient(name: str, members: list[tuple[VideoTask, Line]]) -> Line:
    predicted = [(task, line) for task, line in members if line["probabilities"]]
    mean_of_videos = _means([line["probabilities"] for _, line in predicted])
    probabilities = _by_rule([line["patient_scores"] for _, line in predicted if line["patient_scores"]]) or mean_of_videos
    patient = {
        "patient": name,
        "videos": [task.video_id for task, _ in members],
        "num_predicted": len(predicted),
        "probabilities": probabilities or None,
        "most_probable": max(probabilities, key=lambda of: probabilities[of]) if probabilities else None,
        "mean_of_videos": mean_of_videos or None,
    }
    if any("findings" in line for _, line in members):
        in_zone: dict[str, list[Line]] = defaultdict(list)
        for task, line in predicted:
            if task.zone:
                in_zone[task.zone].append(line["findings"])
        zones = {zone: _findings(found) for zone, found in sorted(in_zone.items())}
        severities = [zone[SEVERITY.name][SEVERITY.measure] for zone in zones.values() if SEVERITY.name in zone]
        patient |= {"zones": zones, "severity_sum": rounded(sum(severities)) if severities else None}
    return patient


def _by_rule(scores: list[dict[str, float]]) -> dict[str, float]:
    """Returns the probabilities of the classes by the mean of the videos' scores, if there are any."""
    means = _means(scores)
    return dict(zip(means, map(rounded, of_patients(np.array(list(means.values())))), strict=True)) if means else {}


def _findings(found: list[Line]) -> Line:
    return {name: _means([of_video[name] for of_video in found]) for name in found[0]}


def _means(values: list[dict[str, float]]) -> dict[str, float]:
    names = values[0] if values else {}
    return {name: rounded(np.mean([of[name] for of in values])) for name in names}


def rounded(value: float | np.floating[Any]) -> float:
    """Returns a number as all outputs of predict say it."""
    return round(float(value), DECIMALS)
