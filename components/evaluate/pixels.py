"""What the report needs of the pixels of a clip dataset: borders, and the clips to show. TensorFlow reads the shards."""

from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.core.models.dataset import failures_of_shards, read_clips
from components.core.models.predictions import Floats
from components.core.records.shards import DatasetIndex
from components.evaluate.baselines import border_features


def read_pixels(
    dataset_path: Path, index: DatasetIndex, wanted: Collection[str]
) -> tuple[dict[str, Floats], dict[str, npt.NDArray[np.uint8]]]:
    """Reads all clips of a dataset once.

    Args:
        dataset_path: output folder of preprocess.
        index: of the dataset.
        wanted: ids of the videos whose first clip is wanted.

    Returns:
        By the ids of the videos: border_features, averaged over the clips; and of the wanted ones the first clip, [14, 224, 224, 3] uint8
        RGB.

    Raises:
        DataError: a shard is missing or damaged.
    """
    borders: dict[str, list[Floats]] = defaultdict(list)
    first_clips: dict[str, npt.NDArray[np.uint8]] = {}
    for split in (name for name, info in index.splits.items() if info.num_clips):
        with failures_of_shards(dataset_path):
            for example in read_clips(dataset_path, split).prefetch(4).as_numpy_iterator():
                video_id, clip = example["video_id"].decode(), example["clip"]
                borders[video_id].append(border_features(clip))
                if video_id in wanted:
                    first_clips.setdefault(video_id, clip)
    return {key: np.mean(values, axis=0) for key, values in borders.items()}, first_clips
