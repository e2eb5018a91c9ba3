"""Prune: a dense classifier → the same network with most of its weights zero, trained further so that it keeps its accuracy.

Zeros grow along a cubic ramp (Zhu and Gupta, arXiv 1710.01878) in every kernel of a convolution, recurrent or dense layer that training
changes; depthwise convolutions, and a network of Keras that is applied to each frame, stay as they are. With the pattern 2by4 the zeros are
there from the first step on. Zeros make the compressed file smaller; a CPU runs the network as fast as before.

The model artifact (core.models.classifier) holds, beside the model and its metadata:

    reference.npz      what its train videos look like (core.models.reference)
    pruning_log.csv    loss and macro-F1 of every epoch, on train and validation clips
    kernels.csv        weights and zeros of every kernel
    curve.png          accuracy and size against sparsity, when asked for
    exports/           the files for servers and devices (core.models.exports)
"""

import dataclasses
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from tf_keras import layers

from components.core.files.local_files import temporary_folder
from components.core.files.outputs import staged_folder, written_aside
from components.core.models.classifier import (
    MODEL_NAME,
    ClassifierMetadata,
    check_belongs,
    file_sizes,
    load_classifier,
    save_model,
    write_metadata,
)
from components.core.models.dataset import failures_of_shards, open_dataset, read_clips
from components.core.models.epochs import MACRO_F1, BestEpoch, History, write_history
from components.core.models.examples import ClipExamples
from components.core.models.exports import load_export
from components.core.models.features import FeatureExamples, compute_features, cut_at_learning
from components.core.models.fitting import Schedule, fit_classifier, make_reproducible, score_on_validation, steps_per_epoch
from components.core.models.model_files import load_keras
from components.core.models.reference import write_reference
from components.core.parameters import parse_sparsities
from components.prune.comparison import DENSE, compare_exports
from components.prune.export import export_classifier
from components.prune.options import PruningOptions
from components.prune.summary import KernelCount, SparsityPoint, draw_curve, summary_html

LOG_NAME = "pruning_log.csv"
KERNELS_NAME = "kernels.csv"
CURVE_NAME = "curve.png"
PATTERN_2BY4 = "2by4"
NUM_CALIBRATION_CLIPS = 100
CACHED_VERSIONS = 2  # augmented versions of a clip whose features are kept where layers are frozen
RAMP = 2 / 3  # part of the training after which the sparsity is reached; the rest recovers from it

_log = logging.getLogger(__name__)


def prune_classifier(
    dataset_path: Path, dense_model_path: Path, pruned_model_path: Path, summary_path: Path, options: PruningOptions
) -> dict[str, Any]:
    """Prunes a classifier, exports it, and writes the model artifact of the result.

    Args:
        dataset_path: output folder of preprocess.
        dense_model_path: model artifact to start from.
        pruned_model_path: folder of the new model artifact; it appears when all has ended well.
        summary_path: HTML file with the exported files, the kernels and the curve.
        options: what the user asked for.

    Returns:
        The numbers that describe the result, by name.

    Raises:
        DataError: the dataset or the model cannot be used or do not belong together, or the loss is no longer a number.
        StorageError: the output cannot be written.
    """
    index = open_dataset(dataset_path)
    dense, dense_metadata = load_classifier(dense_model_path)
    check_belongs(DENSE, dense_metadata, index)
    make_reproducible(options.seed)
    results = {f"dense_{name}": value for name, value in _measure(dense, dense_model_path, dataset_path, options.batch_size).items()}
    outputs = written_aside(summary_path), staged_folder(pruned_model_path)
    with outputs[0] as summary, outputs[1] as staged, temporary_folder("lus-features-") as folder:
        examples = _examples(dense, dataset_path, options.seed, folder)
        history = _write_pruned(staged, dense_model_path, examples, options)
        write_history(staged / LOG_NAME, history)

        saved = load_keras(staged / MODEL_NAME)
        write_reference(staged, saved, dataset_path, options.batch_size)
        kernels = count_zeros(saved)
        results |= _measure(saved, staged, dataset_path, options.batch_size)
        results["sparsity"] = sum(kernel.num_zeros for kernel in kernels) / sum(kernel.num_weights for kernel in kernels)
        rows = [(kernel.name, kernel.num_weights, kernel.num_zeros, kernel.sparsity) for kernel in kernels]
        table = pd.DataFrame(rows, columns=["kernel", "num_weights", "num_zeros", "sparsity"])
        table.to_csv(staged / KERNELS_NAME, index=False, float_format="%.4f")
        if options.curve_sparsities:
            points = _curve(dense_model_path, dataset_path, examples, options, results)
            draw_curve(staged / CURVE_NAME, points, options.sparsity, results["dense_validation_macro_f1"])
        export_classifier(saved, index.class_names, _calibration_clips(dataset_path, options.seed), staged)
        files = compare_exports(dense_model_path, staged, dataset_path)
        measured = {
            **results,
            "sparsity_by_kernel": {kernel.name: kernel.sparsity for kernel in kernels},
            "exports": {file.name: file.reproducible_fields() for file in files},
        }
        write_metadata(staged, ClassifierMetadata.of("pruned", index, dataclasses.asdict(options), measured))
        curve_path = staged / CURVE_NAME if options.curve_sparsities else None
        summary.write_text(summary_html(files, kernels, index.splits["validation"].num_clips, curve_path), encoding="utf-8")
    _log.info(
        "result: sparsity %.3f, macro-F1 %.3f → %.3f, gzipped %.0f → %.0f kB",
        results["sparsity"],
        results["dense_validation_macro_f1"],
        results["validation_macro_f1"],
        results["dense_model_gzip_bytes"] / 1e3,
        results["model_gzip_bytes"] / 1e3,
    )
    return results


def count_zeros(model: tf_keras.Model) -> list[KernelCount]:
    """Counts the weights that are exactly zero in every kernel that can be pruned."""
    return [_counted(layer.name, kernel) for layer in model.layers for kernel in _prunable_kernels(layer)]


def _counted(layer_name: str, kernel: tf.Variable) -> KernelCount:
    array = kernel.numpy()
    return KernelCount(f"{layer_name}/{kernel.name.split('/')[-1].removesuffix(':0')}", array.size, int((array == 0).sum()))


def _measure(model: tf_keras.Model, folder: Path, dataset_path: Path, batch_size: int) -> dict[str, Any]:
    scores = score_on_validation(model, dataset_path, batch_size)
    sizes = {f"model_{name}": size for name, size in file_sizes(folder / MODEL_NAME).items()}
    return {"validation_macro_f1": scores[MACRO_F1], "validation_loss": scores["loss"], **sizes}


def _examples(dense: tf_keras.Model, dataset_path: Path, seed: int, folder: Path) -> ClipExamples | FeatureExamples:
    """Returns the clips to train on, as the frozen layers see them where there are any: pruning leaves those as they are."""
    examples = ClipExamples.of(dataset_path)
    parts = cut_at_learning(dense)
    if not parts:
        return examples
    train = compute_features(parts[0], examples.train, CACHED_VERSIONS, seed, folder)
    held_out = compute_features(parts[0], examples.held_out, 0, seed, folder)
    return FeatureExamples(lambda: (train, held_out), examples.train, examples.held_out)


def _write_pruned(folder: Path, dense_model_path: Path, examples: ClipExamples | FeatureExamples, options: PruningOptions) -> History:
    """Prunes and trains the dense model; writes the model of the best epoch among those that have the full sparsity."""
    dense, _ = load_classifier(dense_model_path)  # pruning changes the weights, so that every call needs its own
    steps = steps_per_epoch(examples.num_training, options.batch_size)
    ramp_steps = 1 if options.sparsity_pattern == PATTERN_2BY4 else max(1, round(RAMP * options.pruning_epochs * steps))
    first_epoch = math.ceil(ramp_steps / steps) - 1
    _log.info("pruning to sparsity %g in %d epochs, choosing from epoch %d on", options.sparsity, options.pruning_epochs, first_epoch + 1)
    parts = cut_at_learning(dense) if isinstance(examples, FeatureExamples) else None
    history = fit_classifier(
        with_pruning(parts[1] if parts else dense, options.sparsity, ramp_steps, options.sparsity_pattern),
        examples,
        BestEpoch(first_epoch=first_epoch),
        Schedule(options.pruning_epochs, options.batch_size, options.learning_rate, options.seed),
        callbacks=[tfmot.sparsity.keras.UpdatePruningStep()],
    )
    save_model(folder, dense)  # its layers are those that were pruned
    return history


def _curve(
    dense_model_path: Path,
    dataset_path: Path,
    examples: ClipExamples | FeatureExamples,
    options: PruningOptions,
    results: dict[str, Any],
) -> list[SparsityPoint]:
    """Trains the dense model with each of the other sparsities, 0 among them, just as with the chosen one."""
    points = [SparsityPoint(options.sparsity, results["validation_macro_f1"], results["model_gzip_bytes"])]
    for sparsity in sorted({0.0, *parse_sparsities(options.curve_sparsities)} - {options.sparsity}):
        with temporary_folder() as folder:
            _write_pruned(folder, dense_model_path, examples, dataclasses.replace(options, sparsity=sparsity))
            measured = _measure(load_export(folder / MODEL_NAME), folder, dataset_path, options.batch_size)
        points.append(SparsityPoint(sparsity, measured["validation_macro_f1"], measured["model_gzip_bytes"]))
    return sorted(points, key=lambda point: point.sparsity)


def _calibration_clips(dataset_path: Path, seed: int) -> Iterator[np.ndarray]:
    """Yields some train clips, drawn from all shards; they are not augmented, because no device will see augmented ones."""
    with failures_of_shards(dataset_path):
        for example in read_clips(dataset_path, "train", shuffle_seed=seed).take(NUM_CALIBRATION_CLIPS).as_numpy_iterator():
            yield example["clip"]


def with_pruning(model: tf_keras.Model, sparsity: float, ramp_steps: int, pattern: str = "unstructured") -> tf_keras.Model:
    """Returns the model with pruning around its layers, whose weights it shares.

    Args:
        model: classifier of stock layers.
        sparsity: part of every kernel that is zero in the end; with 0 nothing is wrapped.
        ramp_steps: training steps until then.
        pattern: `unstructured`, or `2by4`: two of four weights along the input channels are zero from the first step on.

    Returns:
        A model to fit with tfmot's UpdatePruningStep; afterwards the layers of the given one are pruned.
    """
    schedule = tfmot.sparsity.keras.PolynomialDecay(0.0, sparsity, begin_step=0, end_step=ramp_steps, frequency=1)
    m_by_n = (2, 4) if pattern == PATTERN_2BY4 else None

    def wrapped(layer: layers.Layer) -> layers.Layer:
        if not sparsity or not _prunable_kernels(layer):
            return layer
        layer.get_prunable_weights = lambda: _prunable_kernels(layer)  # tfmot knows no ConvLSTM2D by itself
        return tfmot.sparsity.keras.prune_low_magnitude(layer, pruning_schedule=schedule, sparsity_m_by_n=m_by_n)

    return tf_keras.models.clone_model(model, clone_function=wrapped)


def _prunable_kernels(layer: layers.Layer) -> list[tf.Variable]:
    """Returns what is pruned of a layer: nothing that is frozen, depthwise or within TimeDistributed, no bias, no normalisation."""
    if not layer.trainable:
        return []
    if isinstance(layer, layers.RNN):
        return [layer.cell.kernel, layer.cell.recurrent_kernel]
    return [layer.kernel] if isinstance(layer, layers.Conv2D | layers.Dense) else []
