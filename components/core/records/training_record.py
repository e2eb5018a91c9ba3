"""What the last finished training was trained on, kept in storage, so that a scheduled run knows whether there is anything new.

    <storage>/last_training.json    TrainingRecord

It is of the last training, not of the champion: a challenger that lost would else be trained again, on the same videos, at every run.
"""

import dataclasses
import datetime
import json

from components.core import storage
from components.core.errors import DataError

RECORD_NAME = "last_training.json"
LISTED_VIDEOS_KEY = "listed_videos"  # of evaluation.json


@dataclasses.dataclass(frozen=True)
class TrainingRecord:
    """A finished training.

    Attributes:
        videos_fingerprint: of the videos and their labels, as preprocess read them (core.records.video_records.VideoSet).
        num_videos: how many there were.
        dataset_fingerprint: of the clip dataset that was made of them.
        finished_at: UTC time, ISO 8601.
    """

    videos_fingerprint: str
    num_videos: int
    dataset_fingerprint: str
    finished_at: str

    @property
    def finished(self) -> datetime.datetime:
        """The time as such."""
        return datetime.datetime.fromisoformat(self.finished_at)


def read_record(storage_uri: str) -> TrainingRecord | None:
    """Returns the last training, or None when none is known.

    Raises:
        DataError: the record cannot be understood.
        StorageError: the storage cannot be read.
    """
    uri = storage.join(storage_uri, RECORD_NAME)
    if not storage.exists(uri):
        return None
    try:
        record = TrainingRecord(**json.loads(storage.read_bytes(uri)))
        if record.finished.tzinfo is None:
            raise ValueError("the time has no zone")
    except (TypeError, ValueError) as error:
        raise DataError(f"{uri!r} is not the record of a training ({error}); delete it to train anew.") from None
    return record


def write_record(storage_uri: str, record: TrainingRecord) -> None:
    """Replaces the record.

    Raises:
        StorageError: it cannot be written.
    """
    text = json.dumps(dataclasses.asdict(record), indent=2, sort_keys=True) + "\n"
    storage.write_bytes(storage.join(storage_uri, RECORD_NAME), text.encode())
