"""What a classifier is fitted to: batches of clips, augmented in training, weighted such that every class counts alike.

Batches are (inputs, one-hot labels, weights of the classes); core.models.features makes them of cached maps.
"""

import dataclasses
from pathlib import Path
from typing import Any

import tensorflow as tf

from components.core.models.augmentation import Augmentation, augment
from components.core.models.dataset import Part, in_colour, parse_clip, part_of_split, read_clips, read_records


@dataclasses.dataclass(frozen=True)
class ClipExamples:
    """The clips of a dataset, read, decoded and augmented in every pass.

    Attributes:
        dataset_path: output folder of preprocess.
        train: what to learn from.
        held_out: what to choose the epoch by.
    """

    dataset_path: Path
    train: Part
    held_out: Part

    @classmethod
    def of(cls, dataset_path: Path) -> "ClipExamples":
        """Returns the train and the validation split.

        Raises:
            DataError: a split has no clips, or lacks a class.
        """
        train, held_out = part_of_split(dataset_path, "train"), part_of_split(dataset_path, "validation")
        train.check_classes()
        held_out.check_classes()
        return cls(dataset_path, train, held_out)

    @property
    def num_training(self) -> int:
        """Number of clips to learn from."""
        return self.train.num_clips

    def training(self, batch_size: int, seed: int, first_batch: int = 0) -> tf.data.Dataset:
        """Returns training batches without end; the seed and the number of the clip, from the start of training, decide its changes."""
        weighted = weighting(self.train)

        def prepared(number: tf.Tensor, record: tf.Tensor) -> tuple[tf.Tensor, ...]:
            example = parse_clip(record)
            clip = augment(example["clip"], tf.stack([tf.constant(seed, tf.int64), number]), Augmentation())
            return in_colour(clip), *weighted(example["label"])

        records = read_records(self.train, shuffle_seed=seed).repeat().enumerate().skip(first_batch * batch_size)
        batches = records.map(prepared, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).batch(batch_size, drop_remainder=True)
        return batches.prefetch(tf.data.AUTOTUNE)

    def validation(self, batch_size: int) -> tf.data.Dataset:
        """Returns the clips as they are stored, in their order."""
        weighted = weighting(self.held_out)
        examples = read_clips(self.dataset_path, self.held_out).map(lambda example: (example["clip"], *weighted(example["label"])))
        return examples.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def weighting(part: Part) -> Any:
    """Returns a function from labels to their one-hot forms and the weights of their classes in the part."""
    table = tf.constant(part.class_weights(), tf.float32)
    return lambda labels: (tf.one_hot(labels, len(part.clips_by_class)), tf.gather(table, labels))
