"""Record-training: what the last finished training was trained on (core.training_record has the layout)."""

import datetime
import json
from pathlib import Path

from components.core import storage
from components.core.errors import DataError
from components.core.manifest import read_videos
from components.core.training_record import TrainingRecord, fingerprint_of_videos, stored, write_record


def record(videos_path: Path, evaluation_path: Path, storage_uri: str) -> TrainingRecord:
    """Writes the record and returns it.

    Raises:
        DataError: an input cannot be understood.
        StorageError: the storage cannot be written.
    """
    videos = read_videos(videos_path)
    try:
        dataset_fingerprint = json.loads(storage.read_bytes(evaluation_path))["dataset_fingerprint"]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{str(evaluation_path)!r} is not an evaluation of this pipeline ({error!r}).") from None
    finished = TrainingRecord(
        videos_fingerprint=fingerprint_of_videos(videos),
        num_videos=len(stored(videos)),
        dataset_fingerprint=dataset_fingerprint,
        finished_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
    write_record(storage_uri, finished)
    return finished
