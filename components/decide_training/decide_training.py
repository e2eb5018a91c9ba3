"""Decide-training: has anything changed since the last training?"""

import dataclasses
import datetime
from pathlib import Path

from components.core.parameters import check_values
from components.core.records.training_record import TrainingRecord, read_record
from components.core.records.video_records import VideoSet, read_videos
from components.core.registry.champion import Champion, read_champion


@dataclasses.dataclass(frozen=True)
class TrainingDecision:
    """Whether to train, and why."""

    needed: bool
    reason: str

    def to_markdown(self) -> str:
        """Returns the decision for the Kubeflow UI."""
        return f"# {'Training' if self.needed else 'Nothing new'}\n\n{self.reason}\n"


def decide(videos_path: Path, storage_uri: str, max_age_days: int, force: bool) -> TrainingDecision:
    """Decides on the state of the storage; see `decide_on`.

    Raises:
        UsageError: a parameter is out of its range.
        DataError: the list of videos, the champion's pointer or the record of the last training is broken.
        StorageError: the storage cannot be read.
    """
    check_values(max_age_days=max_age_days)
    videos = VideoSet.of(read_videos(videos_path))
    now = datetime.datetime.now(datetime.UTC)
    return decide_on(videos, read_record(storage_uri), read_champion(storage_uri), max_age_days, force, now)


def decide_on(
    videos: VideoSet,
    last: TrainingRecord | None,
    champion: Champion | None,
    max_age_days: int,
    force: bool,
    now: datetime.datetime,
) -> TrainingDecision:
    """Decides from what is known.

    Args:
        videos: what is stored now.
        last: the last finished training, or None.
        champion: the model in use, or None.
        max_age_days: see component.py.
        force: train in any case.
        now: UTC time.
    """
    if force:
        return TrainingDecision(True, "It was asked for (force).")
    if not last:
        return TrainingDecision(True, "It is not known what was trained on before.")
    if videos.fingerprint != last.videos_fingerprint:
        return TrainingDecision(
            True, f"The videos or their labels have changed: {videos.num_videos} videos now, {last.num_videos} at the last training."
        )
    if not champion:
        return TrainingDecision(True, "There is no champion yet.")
    age = now - last.finished
    if max_age_days and age >= datetime.timedelta(days=max_age_days):
        return TrainingDecision(True, f"The last training was {age.days} days ago, and at most {max_age_days} are allowed.")
    return TrainingDecision(
        False, f"The {videos.num_videos} videos and their labels are those of the last training, {last.finished_at}; the champion stays."
    )
