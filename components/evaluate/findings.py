"""Findings in the test videos: how well what the model tells agrees with the experts, and with how much less one could tell as much.

The thumbnail's regression is fitted on the train videos. A model that is not better, by the paired interval over groups, has learned little
about the lung. Each grade but the first is a forecast, too, of at least that grade: a curve, and whether its probability is right.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from components.core.models.predictions import Floats, Predictions
from components.core.records.findings import FINDINGS, Finding
from components.core.statistics.agreement import Agreement, agreement
from components.core.statistics.forecasts import Forecast, forecast
from components.core.statistics.thumbnails import expected_by_thumbnail
from components.evaluate.video_facts import VideoFacts, usable


def score_findings(
    videos: Predictions, facts: Sequence[VideoFacts], thumbnails: Mapping[str, Floats], num_bootstrap: int, seed: int
) -> dict[str, Agreement]:
    """Scores what a model tells beside the class, where test videos state it, by the name of the finding.

    Args:
        videos: what it says of the test videos.
        facts: what the dataset states about its videos.
        thumbnails: thumbnail_of every usable video, by its id.
        num_bootstrap: replicates behind the intervals.
        seed: of the replicates.
    """
    train = usable(facts, "train")
    known = np.stack([thumbnails[video.video_id] for video in train])
    asked = np.stack([thumbnails[video_id] for video_id in videos.video_ids])

    def scored(finding: Finding) -> Agreement:
        grades = np.array([finding.grade_of(video.findings.get(finding.name, "")) for video in train])
        by_thumbnail = expected_by_thumbnail(known, grades, asked)
        return agreement(finding, [videos.findings[finding.name]], by_thumbnail, videos.groups, num_bootstrap, seed)

    return {finding.name: scored(finding) for finding in _stated(videos)}


def forecast_findings(videos: Predictions, num_bootstrap: int, seed: int) -> dict[str, dict[str, Forecast]]:
    """Scores the probability of at least each grade but the first, where test videos state one, by finding and grade."""

    def forecasts(finding: Finding) -> dict[str, Forecast]:
        graded = videos.findings[finding.name]
        rows = np.flatnonzero(graded.is_stated)
        grades, groups, probabilities = graded.grades[rows], videos.groups[rows], graded.probabilities[rows]
        return {
            grade: forecast(grades >= number, probabilities[:, number - 1], groups, num_bootstrap, seed)
            for number, grade in enumerate(finding.grades[1:], start=1)
        }

    return {finding.name: forecasts(finding) for finding in _stated(videos)}


def _stated(videos: Predictions) -> list[Finding]:
    """Returns the findings that are told of at least one video that states them."""
    return [finding for finding in FINDINGS if finding.name in videos.findings and videos.findings[finding.name].is_stated.any()]
