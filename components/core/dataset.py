"""Clip datasets as tf.data: what train, prune and evaluate read."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from components.core import clips
from components.core.errors import DataError
from components.core.shards import DatasetIndex

CLIP_SHAPE = (clips.CLIP_FRAMES, clips.FRAME_SIZE_PX, clips.FRAME_SIZE_PX, 3)
MAX_SHUFFLED_CLIPS = 2048  # they wait as JPEG, about 0.2 MB each

_CONTEXT_FEATURES = {
    clips.KEY_LABEL: tf.io.FixedLenFeature([], tf.int64),
    clips.KEY_CLIP_INDEX: tf.io.FixedLenFeature([], tf.int64),
    clips.KEY_VIDEO_ID: tf.io.FixedLenFeature([], tf.string),
    clips.KEY_GROUP: tf.io.FixedLenFeature([], tf.string),
    clips.KEY_SOURCE: tf.io.FixedLenFeature([], tf.string),
}
_SEQUENCE_FEATURES = {clips.KEY_FRAMES: tf.io.FixedLenSequenceFeature([], tf.string)}


def open_dataset(dataset_path: Path) -> DatasetIndex:
    """Reads the index of a dataset and checks that the models of this project can take its clips.

    Raises:
        DataError: it has no index, or other classes or another clip shape than this project's.
    """
    index = DatasetIndex.read(dataset_path)
    if tuple(index.class_names) not in (clips.CLASS_NAMES, clips.ALL_CLASS_NAMES):
        expected = f"{list(clips.CLASS_NAMES)}, and {clips.OTHER!r} if it was kept"
        raise DataError(f"the dataset has the classes {index.class_names}, expected {expected}; run preprocess again.")
    if tuple(index.clip_shape) != CLIP_SHAPE:
        raise DataError(f"the dataset has clips of shape {index.clip_shape}, expected {list(CLIP_SHAPE)}; run preprocess again.")
    return index


def read_clips(dataset_path: Path, split: str, shuffle_seed: int | None = None) -> tf.data.Dataset:
    """Reads the clips of one split.

    Args:
        dataset_path: output folder of preprocess.
        split: train, validation or test.
        shuffle_seed: seed of the order, another one in every pass; None keeps the order of the shards.

    Returns:
        A dataset of dicts: `clip` [14, 224, 224, 3] uint8 RGB, `label` [] int32, and `video_id`, `group`, `source` [] string.

    Raises:
        DataError: the dataset cannot be used, or the split has no clips.
    """
    index = open_dataset(dataset_path)
    if split not in index.splits or not index.splits[split].num_clips:
        raise DataError(f"the {split} split of {str(dataset_path)!r} has no clips; give preprocess more videos.")
    info = index.splits[split]
    records = tf.data.TFRecordDataset([str(dataset_path / shard.name) for shard in info.shards])
    if shuffle_seed is not None:
        records = records.shuffle(min(info.num_clips, MAX_SHUFFLED_CLIPS), seed=shuffle_seed)
    parsed = records.map(_parse_clip, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return parsed.apply(tf.data.experimental.assert_cardinality(info.num_clips))


def _parse_clip(record: tf.Tensor) -> dict[str, tf.Tensor]:
    context, sequence = tf.io.parse_single_sequence_example(record, _CONTEXT_FEATURES, _SEQUENCE_FEATURES)
    return {
        "clip": decode_frames(sequence[clips.KEY_FRAMES]),
        "label": tf.cast(context[clips.KEY_LABEL], tf.int32),
        "video_id": context[clips.KEY_VIDEO_ID],
        "group": context[clips.KEY_GROUP],
        "source": context[clips.KEY_SOURCE],
    }


def decode_frames(jpegs: tf.Tensor) -> tf.Tensor:
    """Returns a clip, [14, 224, 224, 3] uint8 RGB, from its frames as JPEG files, [14] string."""
    frames = tf.map_fn(
        lambda frame: tf.io.decode_jpeg(frame, channels=3, dct_method="INTEGER_ACCURATE"),
        jpegs,
        fn_output_signature=tf.TensorSpec(CLIP_SHAPE[1:], tf.uint8),
    )
    return tf.ensure_shape(frames, CLIP_SHAPE)


@contextlib.contextmanager
def failures_of_shards(dataset_path: Path) -> Iterator[None]:
    """Turns what TensorFlow raises in the block about missing or damaged shards into a DataError."""
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.NotFoundError) as error:
        detail = error.message.splitlines()[0]
        raise DataError(f"a shard of {str(dataset_path)!r} is missing or damaged ({detail}); run preprocess again.") from error


def class_weights(index: DatasetIndex, split: str = "train") -> dict[int, float]:
    """Returns the weight of each label that makes every class of a split count alike: n / (classes × n of the class).

    Raises:
        DataError: a class has no clip in the split.
    """
    counts = np.array([index.splits[split].clips_by_class.get(name, 0) for name in index.class_names])
    if not counts.all():
        absent = ", ".join(name for name, count in zip(index.class_names, counts, strict=True) if not count)
        raise DataError(f"the {split} split has no clips of class {absent}; give preprocess videos of every class.")
    weights: Any = counts.sum() / (len(counts) * counts)
    return dict(enumerate(weights.tolist()))
