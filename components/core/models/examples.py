"""What a classifier is fitted to: batches of clips, augmented in training, weighted such that every class counts alike.

Batches are (inputs, targets, weights), the latter two by head (core.models.heads); core.models.features makes them of cached maps.
"""

import dataclasses
from pathlib import Path
from typing import Any

import tensorflow as tf

from components.core.models import heads
from components.core.models.augmentation import Augmentation, augment
from components.core.models.dataset import Part, in_colour, parse_clip, part_of_split, read_clips, read_records
from components.core.records.findings import FINDINGS


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
        wanted = wanted_of(self.train)

        def prepared(number: tf.Tensor, record: tf.Tensor) -> tuple[tf.Tensor, ...]:
            example = parse_clip(record)
            clip = augment(example["clip"], tf.stack([tf.constant(seed, tf.int64), number]), Augmentation())
            return in_colour(clip), *wanted(example["label"], example["findings"])

        records = read_records(self.train, shuffle_seed=seed).repeat().enumerate().skip(first_batch * batch_size)
        batches = records.map(prepared, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).batch(batch_size, drop_remainder=True)
        return batches.prefetch(tf.data.AUTOTUNE)

    def validation(self, batch_size: int) -> tf.data.Dataset:
        """Returns the clips as they are stored, in their order."""
        wanted = wanted_of(self.held_out)
        examples = read_clips(self.dataset_path, self.held_out)
        batches = examples.map(lambda example: (example["clip"], *wanted(example["label"], example["findings"]))).batch(batch_size)
        return batches.prefetch(tf.data.AUTOTUNE)


def wanted_of(part: Part) -> Any:
    """Returns a function from examples to what each head should say of them, and how much that counts.

    Every class counts alike, and each finding as much as the class (Part.grade_weights); where it is not stated, it counts nothing.

    Args:
        part: the clips that the weights are balanced over.

    Returns:
        A function of `label` [...] and `findings` [..., 3], as dataset.parse_clip gives them, to targets and weights by head, in the
        form in which the model gives its answer.
    """
    class_weights = tf.constant(part.class_weights(), tf.float32)
    grade_weights = {finding.name: tf.constant(part.grade_weights(finding), tf.float32) for finding in part.findings}

    def of_example(label: tf.Tensor, grades: tf.Tensor) -> tuple[Any, Any]:
        targets = {heads.CLASSES: tf.one_hot(label, len(part.clips_by_class))}
        weights = {heads.CLASSES: tf.gather(class_weights, label)}
        for finding in part.findings:
            grade = grades[..., FINDINGS.index(finding)]
            thresholds = tf.range(1, len(finding.grades))
            targets[finding.name] = tf.cast(grade[..., tf.newaxis] >= thresholds, tf.float32)
            weight = tf.gather(grade_weights[finding.name], tf.maximum(grade, 0))
            weights[finding.name] = tf.where(grade < 0, 0.0, weight)
        return heads.like_the_model(targets), heads.like_the_model(weights)

    return of_example
