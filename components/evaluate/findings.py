"""Findings in the test videos: how well what the model tells agrees with the experts, and with how much less one could tell as much.

The baseline is a ridge regression on a thumbnail of the mean frame, fitted on the train videos that state the finding. A model that is not
better, by the paired interval over groups, has learned little about the lung.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from components.core.models.predictions import Floats, Graded, Predictions
from components.core.records.findings import FINDINGS, Finding
from components.core.statistics.agreement import by_order, weighted_agreement
from components.core.statistics.bootstrap import Interval, percentile_interval, sample_and_replicates
from components.core.statistics.thumbnails import expected_by_thumbnail
from components.evaluate.metrics import defined
from components.evaluate.video_facts import VideoFacts, usable


@dataclasses.dataclass(frozen=True)
class FindingScores:
    """What a model tells of a finding in the test videos that state it.

    Attributes:
        name: of the finding.
        num_videos: videos that state it.
        num_groups: their groups.
        videos_by_grade: how many state each grade.
        scores: core.statistics.agreement's measures, the main one first; None where the videos do not define one.
        intervals: of the scores; None where there is none.
        thumbnail: the main score of the baseline, or None.
        difference: interval of the model's main score less the baseline's, paired over groups, or None.
    """

    name: str
    num_videos: int
    num_groups: int
    videos_by_grade: dict[str, int]
    scores: dict[str, float | None]
    intervals: dict[str, Interval | None]
    thumbnail: float | None
    difference: Interval | None

    @property
    def main(self) -> str:
        """The name of the score to look at first."""
        return next(iter(self.scores))


def score_findings(
    videos: Predictions, facts: Sequence[VideoFacts], thumbnails: Mapping[str, Floats], num_bootstrap: int, seed: int
) -> tuple[FindingScores, ...]:
    """Scores what a model tells beside the class, where test videos state it.

    Args:
        videos: what it says of the test videos.
        facts: what the dataset states about its videos.
        thumbnails: thumbnail_of every usable video, by its id.
        num_bootstrap: replicates behind the intervals.
        seed: of the replicates.
    """
    return tuple(
        _scores(finding, videos, _baseline(finding, videos, facts, thumbnails), num_bootstrap, seed)
        for finding in FINDINGS
        if finding.name in videos.findings and videos.findings[finding.name].is_stated.any()
    )


def _scores(finding: Finding, videos: Predictions, baseline: Floats, num_bootstrap: int, seed: int) -> FindingScores:
    told = videos.findings[finding.name]
    rows = np.flatnonzero(told.is_stated)
    stated, groups = Graded(told.grades[rows], told.probabilities[rows]), videos.groups[rows]
    weights = sample_and_replicates(groups, num_bootstrap if len(np.unique(groups)) > 1 else 0, seed)
    found = weighted_agreement(finding, stated, weights)
    main = next(iter(found))
    of_baseline = weighted_agreement(finding, by_order(stated.grades, baseline[rows], finding), weights)[main]
    return FindingScores(
        name=finding.name,
        num_videos=len(rows),
        num_groups=len(np.unique(groups)),
        videos_by_grade={grade: int((stated.grades == number).sum()) for number, grade in enumerate(finding.grades)},
        scores={name: defined(values[0]) for name, values in found.items()},
        intervals={name: percentile_interval(values[1:]) for name, values in found.items()},
        thumbnail=defined(of_baseline[0]),
        difference=percentile_interval(found[main][1:] - of_baseline[1:]),
    )


def _baseline(finding: Finding, videos: Predictions, facts: Sequence[VideoFacts], thumbnails: Mapping[str, Floats]) -> Floats:
    """Returns what the thumbnails of the videos tell, learnt from the train videos."""
    known = usable(facts, "train")
    grades = np.array([finding.grade_of(video.findings.get(finding.name, "")) for video in known])
    return expected_by_thumbnail(
        np.stack([thumbnails[video.video_id] for video in known]), grades, np.stack([thumbnails[video_id] for video_id in videos.video_ids])
    )
