"""Record-training: what the last finished training was trained on (core.records.training_record has the layout)."""

import datetime
import json
from pathlib import Path

from components.core import storage
from components.core.errors import DataError
from components.core.records.training_record import LISTED_VIDEOS_KEY, TrainingRecord, write_record
from components.core.records.video_records import VideoSet


def record(evaluation_path: Path, storage_uri: str) -> TrainingRecord:
    """Writes the record of the training that an evaluation ends, and returns it.

    Raises:
        DataError: the evaluation cannot be understood.
        StorageError: the storage cannot be written.
    """
    try:
        evaluation = json.loads(storage.read_bytes(evaluation_path))
        videos, dataset_fingerprint = VideoSet(**evaluation[LISTED_VIDEOS_KEY]), evaluation["dataset_fingerprint"]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{str(evaluation_path)!r} is not an evaluation of this pipeline ({error!r}).") from None
    finished = TrainingRecord(
        videos_fingerprint=videos.fingerprint,
        num_videos=videos.num_videos,
        dataset_fingerprint=dataset_fingerprint,
        finished_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
    write_record(storage_uri, finished)
    return finished
