"""The severity of every zone of a chest: what experts stated beside what a model expects, and the sums of both.

The sum over the zones is the lung ultrasound score of a patient (Soldati et al., J Ultrasound Med 39, 2020). Sums of different numbers of
zones cannot be compared, so only the patients with as many zones as anybody has take part in the correlation of the sums.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from components.core.models.predictions import Predictions
from components.core.records.findings import NOT_STATED, SEVERITY
from components.core.statistics.agreement import rank_correlation
from components.core.statistics.bootstrap import Estimate, sample_and_replicates
from components.evaluate.video_facts import VideoFacts


@dataclasses.dataclass(frozen=True)
class Chest:
    """A patient.

    Attributes:
        patient: the name.
        group: theirs.
        class_names: of the videos, sorted.
        stated: by zone, the severity that experts stated, the mean of its videos; a zone without is absent.
        expected: by zone, the severity that the model expects, likewise.
    """

    patient: str
    group: str
    class_names: tuple[str, ...]
    stated: dict[str, float]
    expected: dict[str, float]

    @property
    def num_zones(self) -> int:
        """Zones with both."""
        return len(self.stated.keys() & self.expected.keys())

    @property
    def sums(self) -> tuple[float, float]:
        """What is stated and what is expected, summed over the zones with both."""
        zones = sorted(self.stated.keys() & self.expected.keys())
        return sum(self.stated[zone] for zone in zones), sum(self.expected[zone] for zone in zones)


@dataclasses.dataclass(frozen=True)
class Chests:
    """The test patients of whom zones are stated.

    Attributes:
        zones: all that there are.
        chests: of the patients, sorted by name.
        num_zones: as many as any patient has with both; of so many are the sums.
        correlation: Spearman's, of the sums of the patients who have so many.
    """

    zones: tuple[str, ...]
    chests: tuple[Chest, ...]
    num_zones: int
    correlation: Estimate

    @property
    def summed(self) -> tuple[Chest, ...]:
        """The patients whose sums are compared."""
        return _with_zones(self.chests, self.num_zones)


def severities_of_chests(videos: Predictions, facts: Sequence[VideoFacts], num_bootstrap: int, seed: int) -> Chests | None:
    """Returns what is stated and expected in the zones of the test patients, or None where no zone is stated or no severity told.

    Args:
        videos: what a model says of the test videos.
        facts: what the dataset states about its videos.
        num_bootstrap: replicates behind the interval, over groups.
        seed: of the replicates.
    """
    by_id = {video.video_id: video for video in facts if video.zone}
    members: dict[str, list[int]] = defaultdict(list)
    for row, video_id in enumerate(videos.video_ids.tolist()):
        if video_id in by_id:
            members[by_id[video_id].patient].append(row)
    if not members or SEVERITY.name not in videos.findings:
        return None
    graded = videos.findings[SEVERITY.name]

    def chest(patient: str, rows: list[int]) -> Chest:
        known = [by_id[str(videos.video_ids[row])] for row in rows]
        zones = [video.zone for video in known]
        return Chest(
            patient=patient,
            group=known[0].group,
            class_names=tuple(sorted({video.class_name for video in known})),
            stated=_means(
                (zone, float(graded.grades[row])) for zone, row in zip(zones, rows, strict=True) if graded.grades[row] != NOT_STATED
            ),
            expected=_means((zone, float(graded.expected[row])) for zone, row in zip(zones, rows, strict=True)),
        )

    chests = tuple(chest(patient, rows) for patient, rows in sorted(members.items()))
    num_zones = max(of.num_zones for of in chests)
    return Chests(
        zones=tuple(sorted({zone for of in chests for zone in of.expected})),
        chests=chests,
        num_zones=num_zones,
        correlation=_correlation(_with_zones(chests, num_zones), num_bootstrap, seed),
    )


def _with_zones(chests: Sequence[Chest], num_zones: int) -> tuple[Chest, ...]:
    return tuple(chest for chest in chests if num_zones and chest.num_zones == num_zones)


def _means(values: Iterable[tuple[str, float]]) -> dict[str, float]:
    of_zone = defaultdict(list)
    for zone, value in values:
        of_zone[zone].append(value)
    return {zone: float(np.mean(found)) for zone, found in sorted(of_zone.items())}


def _correlation(chests: Sequence[Chest], num_bootstrap: int, seed: int) -> Estimate:
    if len(chests) < 2:
        return Estimate(None, None)
    groups = np.array([chest.group for chest in chests])
    stated, expected = np.array([chest.sums for chest in chests]).T
    return Estimate.of(rank_correlation(stated, expected, sample_and_replicates(groups, num_bootstrap, seed)))
