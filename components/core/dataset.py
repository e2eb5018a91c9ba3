"""Clip datasets as tf.data: what train, prune and evaluate read."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from components.core import clips
from components.core.errors import DataError
from components.core.shards import DatasetIndex

CLIP_SHAPE = (clips.CLIP_FRAMES, clips.FRAME_SIZE_PX, clips.FRAME_SIZE_PX, 3)

_CONTEXT_FEATURES = {
    clips.KEY_LABEL: tf.io.FixedLenFeature([], tf.int64),
    clips.KEY_CLIP_INDEX: tf.io.FixedLenFeature([], tf.int64),
    clips.KEY_VIDEO_ID: tf.io.FixedLenFeature([], tf.string),
    clips.KEY_GROUP: tf.io.FixedLenFeature([], tf.string),
    clips.KEY_SOURCE: tf.io.FixedLenFeature([], tf.string),
}
_SEQUENCE_FEATURES = {clips.KEY_FRAMES: tf.io.FixedLenSequenceFeature([], tf.string)}


def read_clips(dataset_path: Path, split: str, shuffle_seed: int | None = None) -> tf.data.Dataset:
    """Reads the clips of one split.

    Args:
        dataset_path: output folder of preprocess.
        split: train, validation or test.
        shuffle_seed: seed of the order, another one in every pass; None keeps the order of the shards.

    Returns:
        A dataset of dicts: `clip` [14, 224, 224, 3] uint8 RGB, `label` [] int32, and `video_id`, `group`, `source` [] string.

    Raises:
        DataError: the dataset has no index, or the split has no clips.
    """
    index = DatasetIndex.read(dataset_path)
    if split not in index.splits or not index.splits[split].num_clips:
        raise DataError(f"the {split} split of {str(dataset_path)!r} has no clips; give preprocess more videos.")
    info = index.splits[split]
    paths = [str(dataset_path / shard.name) for shard in info.shards]
    records = tf.data.TFRecordDataset(paths)
    if shuffle_seed is not None:
        records = records.shuffle(info.num_clips, seed=shuffle_seed)
    parsed = records.map(_parse_clip, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return parsed.apply(tf.data.experimental.assert_cardinality(info.num_clips))


def _parse_clip(record: tf.Tensor) -> dict[str, tf.Tensor]:
    context, sequence = tf.io.parse_single_sequence_example(record, _CONTEXT_FEATURES, _SEQUENCE_FEATURES)
    frames = tf.map_fn(
        lambda frame: tf.io.decode_jpeg(frame, channels=3),
        sequence[clips.KEY_FRAMES],
        fn_output_signature=tf.TensorSpec(CLIP_SHAPE[1:], tf.uint8),
    )
    return {
        "clip": tf.ensure_shape(frames, CLIP_SHAPE),
        "label": tf.cast(context[clips.KEY_LABEL], tf.int32),
        "video_id": context[clips.KEY_VIDEO_ID],
        "group": context[clips.KEY_GROUP],
        "source": context[clips.KEY_SOURCE],
    }


def class_weights(index: DatasetIndex) -> dict[int, float]:
    """Returns the weight of each label that makes every class count alike in training: n / (classes × n of the class).

    Raises:
        DataError: a class has no training clip.
    """
    counts = np.array([index.splits["train"].clips_by_class.get(name, 0) for name in index.class_names])
    if not counts.all():
        absent = ", ".join(name for name, count in zip(index.class_names, counts, strict=True) if not count)
        raise DataError(f"the train split has no clips of class {absent}; give preprocess videos of every class.")
    weights: Any = counts.sum() / (len(counts) * counts)
    return dict(enumerate(weights.tolist()))
