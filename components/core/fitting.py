"""How a classifier is fitted to a clip dataset: what train and prune have in common.

Clips are weighted such that every class counts alike, in the training loss and in the validation loss. The best epoch is the one with the
highest macro-F1 on the validation clips; because few clips give few distinct values, the lower validation loss decides between equals.
"""

import csv
import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import tensorflow as tf
import tf_keras

from components.core.augmentation import Augmentation, augment
from components.core.dataset import class_weights, failures_of_shards, open_dataset, read_clips
from components.core.errors import DataError

MACRO_F1 = "macro_f1"
History: TypeAlias = dict[str, list[float]]

_log = logging.getLogger(__name__)


def make_reproducible(seed: int) -> None:
    """Seeds every random generator and makes TensorFlow use deterministic kernels only; holds for the whole process."""
    tf_keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def compile_classifier(model: tf_keras.Model, optimizer: Any) -> None:
    """Gives a classifier the loss and the metric that this project trains and selects by."""
    model.compile(optimizer, loss="categorical_crossentropy", metrics=[tf_keras.metrics.F1Score(average="macro", name=MACRO_F1)])


def validation_batches(dataset_path: Path, batch_size: int) -> tf.data.Dataset:
    """Returns batches of the validation split as (clips, one-hot labels, weights)."""
    weighted = _weighted(dataset_path, "validation")
    examples = read_clips(dataset_path, "validation").map(lambda example: (example["clip"], *weighted(example["label"])))
    return examples.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def training_batches(dataset_path: Path, batch_size: int, seed: int, augmentation: Augmentation) -> tf.data.Dataset:
    """Returns batches of the train split as (clips, one-hot labels, weights) without end, in another order in every pass.

    The seed and the number of the example, counted from the start of training, decide how a clip is augmented.
    """
    weighted = _weighted(dataset_path, "train")

    def augmented(number: tf.Tensor, example: dict[str, tf.Tensor]) -> tuple[tf.Tensor, ...]:
        clip = augment(example["clip"], tf.stack([tf.constant(seed, tf.int64), number]), augmentation)
        return clip, *weighted(example["label"])

    examples = read_clips(dataset_path, "train", shuffle_seed=seed).repeat().enumerate()
    batches = examples.map(augmented, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).batch(batch_size)
    return batches.prefetch(tf.data.AUTOTUNE)


def _weighted(dataset_path: Path, split: str) -> Any:
    """Returns a function from a label to its one-hot form and the weight of its class in the split."""
    weights = class_weights(open_dataset(dataset_path), split)
    table = tf.constant([weights[label] for label in range(len(weights))], tf.float32)
    return lambda label: (tf.one_hot(label, len(weights)), table[label])


class BestEpoch(tf_keras.callbacks.Callback):
    """Keeps the weights of the best epoch and gives them back to the model at the end of training.

    Attributes:
        epoch: number of the best epoch, from 0.
        logs: what was measured in it.
    """

    def __init__(self, first_epoch: int = 0, patience: int | None = None) -> None:
        """Makes the callback.

        Args:
            first_epoch: epochs before this one are not considered.
            patience: training stops after so many epochs without a better one; None never stops it.
        """
        super().__init__()
        self.epoch = -1
        self.logs: dict[str, float] = {}
        self._first_epoch = first_epoch
        self._patience = patience
        self._weights: list[Any] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Compares the epoch with the best one so far."""
        if epoch < self._first_epoch:
            return
        if not self.logs or _rank(logs) > _rank(self.logs):
            self.epoch, self.logs, self._weights = epoch, dict(logs), self.model.get_weights()
        elif self._patience is not None and epoch - self.epoch >= self._patience:
            self.model.stop_training = True

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Gives the weights of the best epoch to the model."""
        self.model.set_weights(self._weights)


def _rank(logs: dict[str, float]) -> tuple[float, float]:
    return logs[f"val_{MACRO_F1}"], -logs["val_loss"]


class _Progress(tf_keras.callbacks.Callback):
    """Logs one line an epoch, and stops with a sentence when the loss is no longer a number."""

    def __init__(self, best: BestEpoch, learning_rate: float) -> None:
        super().__init__()
        self._best = best
        self._learning_rate = learning_rate
        self._epoch = 0
        self._started_s = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._epoch, self._started_s = epoch, time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        if not math.isfinite(logs["loss"]):
            raise DataError(
                f"the loss became {logs['loss']} in epoch {self._epoch + 1}; "
                f"give a learning_rate lower than {self._learning_rate:g} or look for damaged clips."
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        _log.info(
            "epoch %*d/%d: loss %.3f, macro-F1 %.3f; validation loss %.3f, macro-F1 %.3f; %.1f s%s",
            len(str(self.params["epochs"])),
            epoch + 1,
            self.params["epochs"],
            logs["loss"],
            logs[MACRO_F1],
            logs["val_loss"],
            logs[f"val_{MACRO_F1}"],
            time.monotonic() - self._started_s,
            ", best so far" if self._best.epoch == epoch else "",
        )


def steps_per_epoch(dataset_path: Path, batch_size: int) -> int:
    """Returns the number of training batches in an epoch."""
    return math.ceil(open_dataset(dataset_path).splits["train"].num_clips / batch_size)


def fit_classifier(
    model: tf_keras.Model,
    dataset_path: Path,
    best: BestEpoch,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    callbacks: Sequence[tf_keras.callbacks.Callback] = (),
) -> History:
    """Fits a classifier to the train split; afterwards the model has the weights of the best epoch.

    Args:
        model: clips → probabilities; it is compiled here.
        dataset_path: output folder of preprocess.
        best: decides which epoch is the best.
        epochs: largest number of passes over the train split.
        batch_size: clips in a training step.
        learning_rate: step size of Adam.
        seed: of the order of the clips and of their augmentation.
        callbacks: run before `best` in each epoch.

    Returns:
        Per epoch: loss, macro_f1, val_loss and val_macro_f1.

    Raises:
        DataError: the dataset cannot be used, or the loss is no longer a number.
    """
    steps = steps_per_epoch(dataset_path, batch_size)
    compile_classifier(model, tf_keras.optimizers.Adam(learning_rate, clipnorm=1.0))
    with failures_of_shards(dataset_path):
        history = model.fit(
            training_batches(dataset_path, batch_size, seed, Augmentation()),
            epochs=epochs,
            steps_per_epoch=steps,
            validation_data=validation_batches(dataset_path, batch_size),
            callbacks=[*callbacks, best, _Progress(best, learning_rate)],
            verbose=0,
        )
    return {name: [float(value) for value in values] for name, values in history.history.items()}


def score_on_validation(model: tf_keras.Model, dataset_path: Path, batch_size: int) -> dict[str, float]:
    """Returns `loss` and `macro_f1` of a classifier on the validation clips; the model is compiled here.

    Raises:
        DataError: the dataset cannot be used.
    """
    compile_classifier(model, tf_keras.optimizers.Adam())
    with failures_of_shards(dataset_path):
        scores = model.evaluate(validation_batches(dataset_path, batch_size), return_dict=True, verbose=0)
    return {name: float(value) for name, value in scores.items()}


def write_history(path: Path, history: History) -> None:
    """Writes what was measured in each epoch as CSV, one line an epoch, numbered from 1."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", *history])
        writer.writerows([number, *values] for number, values in enumerate(zip(*history.values(), strict=True), start=1))
