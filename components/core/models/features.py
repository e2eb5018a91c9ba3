"""Cached features: what a frozen backbone sees in the clips, computed once instead of in every epoch.

A network whose first layers do not learn is cut where the learning begins. The maps at the cut are computed for every clip, as it is
stored and in a few augmented versions, and kept as float16 in a file that is mapped into memory; then only the rest of the network is
trained. With EfficientNet-Lite0 the maps of a clip take 18 kB.
"""

import dataclasses
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from components.core.files.local_files import array_on_disk
from components.core.models.augmentation import Augmentation, augment
from components.core.models.checkpoints import Checkpoints
from components.core.models.dataset import Part, failures_of_shards, in_colour, parse_clip, read_records
from components.core.models.examples import wanted_of
from components.core.models.reference import look_of_maps
from components.core.records.findings import FINDINGS

_log = logging.getLogger(__name__)
# Fewer weights than these are no backbone: computing them anew costs nothing.
MIN_FROZEN_WEIGHTS = 1000
LOG_EVERY_S = 20


def cut_at_learning(model: tf_keras.Model) -> tuple[tf_keras.Model, tf_keras.Model] | None:
    """Cuts a network before the first layer that learns.

    Returns:
        The frozen part and the learning part, which share their layers with the model; None when nothing but the fixed input layers is
        frozen, or more than one map crosses the cut.
    """
    first = next(number for number, layer in enumerate(model.layers) if layer.trainable_weights)
    cut = model.layers[first].input
    frozen = tf_keras.Model(model.input, cut)
    if sum(int(tf.size(weight)) for weight in frozen.weights) < MIN_FROZEN_WEIGHTS:
        return None
    inputs = tf_keras.layers.Input(cut.shape[1:], dtype=cut.dtype)
    replaced = {id(cut): inputs}
    for layer in model.layers[first:]:
        if any(id(tensor) not in replaced for tensor in tf.nest.flatten(layer.input)):
            return None
        replaced[id(layer.output)] = layer(tf.nest.map_structure(lambda tensor: replaced[id(tensor)], layer.input))
    return frozen, tf_keras.Model(inputs, tf.nest.map_structure(lambda output: replaced[id(output)], model.output))


@dataclasses.dataclass(frozen=True, eq=False)
class Features:
    """The maps of clips at the cut.

    Attributes:
        maps: [versions, clips, 3, height, width, channels] float16; version 0 is the clip as it is stored, the others are augmented.
        labels: [clips]
        grades: [clips, 3], of the findings
        video_ids: [clips]
    """

    maps: np.ndarray
    labels: np.ndarray
    grades: np.ndarray
    video_ids: np.ndarray

    def rows_of(self, part: Part) -> np.ndarray:
        """Returns the numbers of the clips of a part."""
        wanted = part.video_ids
        return np.flatnonzero(np.isin(self.video_ids, sorted(wanted))) if wanted is not None else np.arange(len(self.labels))

    def looks(self) -> dict[str, np.ndarray]:
        """Returns the look of each video (core.models.reference), [2 × channels], by its id."""
        looks = look_of_maps(self.maps[0].astype(np.float32))
        return {video_id: looks[self.video_ids == video_id].mean(axis=0) for video_id in np.unique(self.video_ids).tolist()}


def compute_features(
    frozen: tf_keras.Model,
    part: Part,
    num_versions: int,
    seed: int,
    folder: Path,
    batch_size: int = 4,
    checkpoints: Checkpoints | None = None,
) -> Features:
    """Computes the maps of a part of a dataset.

    Args:
        frozen: [batch, 14, 224, 224, 3] uint8 RGB → maps.
        part: which clips.
        num_versions: augmented versions of each clip, beside the clip as it is stored.
        seed: of the augmentation.
        folder: for the file; it must live as long as the features.
        batch_size: clips at a time.
        checkpoints: knows whether the process was asked to end.

    Raises:
        Interrupted: it was; nothing of the features is saved.
        DataError: a shard is missing or damaged.
        DiskError: the disk has no room for the maps.
    """
    shape = (1 + num_versions, part.num_clips, *frozen.output_shape[1:])
    maps = array_on_disk(folder / f"{part.name}.npy", np.float16, shape)
    labels, grades = np.zeros(part.num_clips, np.int32), np.zeros((part.num_clips, len(FINDINGS)), np.int32)
    video_ids = np.zeros(part.num_clips, object)
    logged_s = time.monotonic()
    for version, batch in _batches(part, num_versions, seed, batch_size):
        if checkpoints:
            checkpoints.check("the computation of features")
        rows = batch["number"]
        maps[version, rows] = frozen.predict_on_batch(batch["clip"]).astype(np.float16)
        labels[rows], grades[rows], video_ids[rows] = batch["label"], batch["findings"], batch["video_id"]
        if time.monotonic() - logged_s > LOG_EVERY_S:
            logged_s = time.monotonic()
            done = version * part.num_clips + int(rows[-1]) + 1
            _log.info("features of %d of %d clips, augmented ones among them", done, shape[0] * part.num_clips)
    return Features(maps, labels, grades, np.char.decode(video_ids.astype(bytes), "utf-8"))


def _batches(part: Part, num_versions: int, seed: int, batch_size: int) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Yields the clips as they are stored, then augmented: the number of the version, and what parse_clip gives, and `number`."""
    for version in range(1 + num_versions):

        def prepared(number: tf.Tensor, record: tf.Tensor, version: int = version) -> dict[str, tf.Tensor]:
            example = parse_clip(record)
            if version:
                draw = tf.stack([tf.constant(seed, tf.int64), number + version * part.num_clips])
                example["clip"] = augment(example["clip"], draw, Augmentation())
            return {**example, "number": number, "clip": in_colour(example["clip"])}

        examples = read_records(part).enumerate().map(prepared, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        with failures_of_shards(part.paths[0].parent):
            for batch in examples.batch(batch_size).prefetch(1).as_numpy_iterator():
                yield version, batch


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureExamples:
    """Examples for fit_classifier made of cached maps; a training example is a random version of its clip.

    Attributes:
        features: gives the maps of at least the clips to learn from, and of those to choose by; asked when they are needed.
        train: what to learn from.
        held_out: what to choose the epoch by.
    """

    features: Callable[[], tuple[Features, Features]]
    train: Part
    held_out: Part

    @property
    def num_training(self) -> int:
        """Number of clips to learn from."""
        return self.train.num_clips

    def training(self, batch_size: int, seed: int, first_batch: int = 0) -> tf.data.Dataset:
        """Returns training batches without end; the seed and the number of the pass decide the order and the versions."""
        features, _ = self.features()
        rows = features.rows_of(self.train)
        per_pass = len(rows)

        def drawn(first: int) -> Any:
            for number in range(first, 2**62):
                position = number % per_pass
                if position == 0 or number == first:
                    rng = np.random.default_rng((seed, number // per_pass))
                    order, versions = rng.permutation(rows), rng.integers(len(features.maps), size=per_pass)
                yield versions[position], order[position]

        spec = (tf.TensorSpec([], tf.int64), tf.TensorSpec([], tf.int64))
        numbers = tf.data.Dataset.from_generator(lambda: drawn(first_batch * batch_size), output_signature=spec)
        return numbers.batch(batch_size).map(_gather(features, self.train)).prefetch(tf.data.AUTOTUNE)

    def validation(self, batch_size: int) -> tf.data.Dataset:
        """Returns the clips to choose by, not augmented."""
        _, features = self.features()
        rows = features.rows_of(self.held_out)
        numbers = tf.data.Dataset.from_tensor_slices((np.zeros_like(rows), rows))
        return numbers.batch(batch_size).map(_gather(features, self.held_out)).prefetch(tf.data.AUTOTUNE)


def _gather(features: Features, part: Part) -> Any:
    wanted = wanted_of(part)
    labels, grades = tf.constant(features.labels), tf.constant(features.grades)
    shape = features.maps.shape[2:]

    def gather(versions: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, ...]:
        maps = tf.numpy_function(lambda version, row: features.maps[version, row], [versions, rows], tf.float16, stateful=False)
        return tf.cast(tf.ensure_shape(maps, (None, *shape)), tf.float32), *wanted(tf.gather(labels, rows), tf.gather(grades, rows))

    return gather
