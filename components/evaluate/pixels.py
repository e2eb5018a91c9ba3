"""What the report needs of the pixels of a clip dataset: borders, and the clips and frames to show. TensorFlow reads the shards."""

import dataclasses
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.core.models.dataset import failures_of_shards, read_clips
from components.core.models.predictions import Floats
from components.core.records.clips import CLIP_FRAMES
from components.core.records.shards import DatasetIndex
from components.evaluate.baselines import border_features


@dataclasses.dataclass(frozen=True)
class VideoPixels:
    """What is kept of the pixels of the videos, by their ids.

    Attributes:
        borders: border_features, averaged over the clips.
        first_clips: of the wanted videos, the first clip, [14, 224, 224, 3] uint8 RGB.
        middle_frames: of the wanted videos, the middle frame of the first clip, [224, 224] uint8 grey.
    """

    borders: dict[str, Floats]
    first_clips: dict[str, npt.NDArray[np.uint8]]
    middle_frames: dict[str, npt.NDArray[np.uint8]]


def read_pixels(dataset_path: Path, index: DatasetIndex, wanted_clips: Collection[str], wanted_frames: Collection[str]) -> VideoPixels:
    """Reads all clips of a dataset once.

    Args:
        dataset_path: output folder of preprocess.
        index: of the dataset.
        wanted_clips: ids of the videos whose first clip is wanted.
        wanted_frames: ids of the videos whose middle frame is wanted.

    Raises:
        DataError: a shard is missing or damaged.
    """
    borders: dict[str, list[Floats]] = defaultdict(list)
    first_clips: dict[str, npt.NDArray[np.uint8]] = {}
    middle_frames: dict[str, npt.NDArray[np.uint8]] = {}
    for split in (name for name, info in index.splits.items() if info.num_clips):
        with failures_of_shards(dataset_path):
            for example in read_clips(dataset_path, split).prefetch(4).as_numpy_iterator():
                video_id, clip = example["video_id"].decode(), example["clip"]
                borders[video_id].append(border_features(clip))
                if video_id in wanted_clips:
                    first_clips.setdefault(video_id, clip)
                if video_id in wanted_frames:
                    middle_frames.setdefault(video_id, clip[CLIP_FRAMES // 2, ..., 0])
    return VideoPixels({key: np.mean(values, axis=0) for key, values in borders.items()}, first_clips, middle_frames)
