"""Prune: a dense classifier → the same network with most of its weights zero, trained further so that it keeps its accuracy.

Zeros grow along a cubic ramp (Zhu and Gupta, arXiv 1710.01878) in every kernel of a convolution, ConvLSTM2D or dense layer that training
changes. They make the compressed file smaller; a CPU runs the network as fast as before.

The model artifact (core.classifier) holds, beside the model and its metadata:

    pruning_log.csv    loss and macro-F1 of every epoch, on train and validation clips
    kernels.csv        weights and zeros of every kernel
"""

import csv
import dataclasses
import logging
import math
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from tf_keras import layers

from components.core.classifier import (
    MODEL_NAME,
    ClassifierMetadata,
    code_revision,
    load_classifier,
    save_model,
    size_on_disk,
    write_metadata,
)
from components.core.dataset import open_dataset
from components.core.errors import DataError
from components.core.fitting import (
    MACRO_F1,
    BestEpoch,
    History,
    fit_classifier,
    make_reproducible,
    score_on_validation,
    steps_per_epoch,
    write_history,
)
from components.core.storage import staged_folder
from components.prune.options import PruningOptions

LOG_NAME = "pruning_log.csv"
KERNELS_NAME = "kernels.csv"
RAMP = 2 / 3  # part of the training after which the sparsity is reached; the rest recovers from it

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class KernelCount:
    """How many weights of a kernel are exactly zero."""

    name: str
    num_weights: int
    num_zeros: int

    @property
    def sparsity(self) -> float:
        """Zeros as a part of the weights."""
        return self.num_zeros / self.num_weights


def prune_classifier(dataset_path: Path, dense_model_path: Path, pruned_model_path: Path, options: PruningOptions) -> dict[str, Any]:
    """Prunes a classifier and writes the model artifact of the result.

    Args:
        dataset_path: output folder of preprocess.
        dense_model_path: model artifact to start from.
        pruned_model_path: folder of the new model artifact; it appears when all has ended well.
        options: what the user asked for.

    Returns:
        The numbers that describe the result, by name.

    Raises:
        DataError: the dataset or the model cannot be used, or the loss is no longer a number.
        StorageError: the output cannot be written.
    """
    index = open_dataset(dataset_path)
    dense, dense_metadata = load_classifier(dense_model_path)
    if dense_metadata.class_names != index.class_names:
        raise DataError(f"the model has the classes {dense_metadata.class_names}, the dataset {index.class_names}; train on this dataset.")
    make_reproducible(options.seed)
    results = {f"dense_{name}": value for name, value in _measure(dense, dense_model_path, dataset_path, options.batch_size).items()}
    with staged_folder(pruned_model_path) as staged:
        pruned, history = _fit_pruned(dense, dataset_path, options)
        save_model(staged, pruned)
        write_history(staged / LOG_NAME, history)

        saved = tf_keras.models.load_model(staged / MODEL_NAME, compile=False)
        kernels = count_zeros(saved)
        results |= _measure(saved, staged, dataset_path, options.batch_size)
        results["sparsity"] = sum(kernel.num_zeros for kernel in kernels) / sum(kernel.num_weights for kernel in kernels)
        _write_kernels(staged / KERNELS_NAME, kernels)
        write_metadata(
            staged,
            ClassifierMetadata(
                kind="pruned",
                class_names=index.class_names,
                dataset_fingerprint=index.fingerprint,
                code_revision=code_revision(),
                parameters=dataclasses.asdict(options),
                results={**results, "sparsity_by_kernel": {kernel.name: kernel.sparsity for kernel in kernels}},
            ),
        )
    _log.info(
        "sparsity %.3f: validation macro-F1 %.3f before, %.3f after; gzipped %d bytes before, %d after",
        results["sparsity"],
        results["dense_validation_macro_f1"],
        results["validation_macro_f1"],
        results["dense_model_gzip_bytes"],
        results["model_gzip_bytes"],
    )
    return results


def count_zeros(model: tf_keras.Model) -> list[KernelCount]:
    """Counts the weights that are exactly zero in every kernel that can be pruned."""
    arrays = [(kernel.name.removesuffix(":0"), kernel.numpy()) for layer in model.layers for kernel in _prunable_kernels(layer)]
    return [KernelCount(name, array.size, int((array == 0).sum())) for name, array in arrays]


def _measure(model: tf_keras.Model, folder: Path, dataset_path: Path, batch_size: int) -> dict[str, float]:
    scores = score_on_validation(model, dataset_path, batch_size)
    return {"validation_macro_f1": scores[MACRO_F1], "validation_loss": scores["loss"], **size_on_disk(folder)}


def _fit_pruned(model: tf_keras.Model, dataset_path: Path, options: PruningOptions) -> tuple[tf_keras.Model, History]:
    """Prunes and trains; returns the model of the best epoch among those that have the full sparsity."""
    steps = steps_per_epoch(dataset_path, options.batch_size)
    ramp_steps = max(1, round(RAMP * options.pruning_epochs * steps))
    first_epoch = math.ceil(ramp_steps / steps) - 1
    _log.info("pruning to sparsity %g in %d epochs, choosing from epoch %d on", options.sparsity, options.pruning_epochs, first_epoch + 1)
    prunable = with_pruning(model, options.sparsity, ramp_steps)
    history = fit_classifier(
        prunable,
        dataset_path,
        BestEpoch(first_epoch=first_epoch),
        epochs=options.pruning_epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        seed=options.seed,
        callbacks=[tfmot.sparsity.keras.UpdatePruningStep()],
    )
    return tfmot.sparsity.keras.strip_pruning(prunable), history


def with_pruning(model: tf_keras.Model, sparsity: float, ramp_steps: int) -> tf_keras.Model:
    """Returns the model with pruning around its layers, whose weights it shares.

    Args:
        model: classifier of stock layers.
        sparsity: part of every kernel that is zero in the end; with 0 nothing is wrapped.
        ramp_steps: training steps until then.

    Returns:
        A model to fit with tfmot's UpdatePruningStep, and to strip afterwards.
    """
    schedule = tfmot.sparsity.keras.PolynomialDecay(0.0, sparsity, begin_step=0, end_step=ramp_steps, frequency=1)

    def wrapped(layer: layers.Layer) -> layers.Layer:
        if not sparsity or not _prunable_kernels(layer):
            return layer
        layer.get_prunable_weights = lambda: _prunable_kernels(layer)  # tfmot knows no ConvLSTM2D by itself
        return tfmot.sparsity.keras.prune_low_magnitude(layer, pruning_schedule=schedule)

    return tf_keras.models.clone_model(model, clone_function=wrapped)


def _prunable_kernels(layer: layers.Layer) -> list[tf.Variable]:
    """Returns what is pruned of a layer: not the fixed grey convolution, no bias, no normalisation."""
    if not layer.trainable:
        return []
    if isinstance(layer, layers.ConvLSTM2D):
        return [layer.cell.kernel, layer.cell.recurrent_kernel]
    return [layer.kernel] if isinstance(layer, layers.Conv2D | layers.Dense) else []


def _write_kernels(path: Path, kernels: list[KernelCount]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["kernel", "num_weights", "num_zeros", "sparsity"])
        writer.writerows([kernel.name, kernel.num_weights, kernel.num_zeros, f"{kernel.sparsity:.4f}"] for kernel in kernels)
