"""Train: a clip dataset → a dense classifier, chosen by its macro-F1 on the validation clips.

The model artifact (core.models.classifier) holds, beside the model and its metadata:

    reference.npz       what its train videos look like (core.models.reference)
    training_log.csv    loss and macro-F1 of every epoch, on train and validation clips
    curves.png          the same as a picture
    trials.csv          the trials of the search, when there was one
    tensorboard/        the log of the epochs for TensorBoard

The epoch is chosen from the second half, in which the learning rate is low: few validation clips make a good epoch of an early one by
chance, before anything is learnt of the findings. A pretrained backbone is frozen at first: only what stands behind it is trained, on cached features where the options ask for them. Then its
upper blocks may be trained with it, slowly.
"""

import contextlib
import dataclasses
import functools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import tensorflow as tf
import tf_keras

from components.core.files.local_files import temporary_folder
from components.core.files.outputs import staged_folder, written_aside
from components.core.models.checkpoints import Checkpoints
from components.core.models.classifier import ClassifierMetadata, code_revision, save_classifier
from components.core.models.dataset import open_dataset
from components.core.models.epochs import MACRO_F1, BestEpoch, History, write_history
from components.core.models.examples import ClipExamples
from components.core.models.features import FeatureExamples, Features, compute_features, cut_at_learning
from components.core.models.fitting import Schedule, fit_classifier, make_reproducible
from components.core.models.reference import write_reference
from components.core.records.findings import Finding
from components.train.curves import curves_html, draw_curves
from components.train.devices import choose_strategy, use_half_precision_on_gpus
from components.train.models import build_classifier, free_upper_blocks
from components.train.options import TrainingOptions
from components.train.search import Trial, search_hyperparameters

LOG_NAME = "training_log.csv"
CURVES_NAME = "curves.png"
TRIALS_NAME = "trials.csv"
TENSORBOARD_NAME = "tensorboard"
FINE_TUNING_RATE = 0.05  # learning rate of the second phase, relative to the first

_log = logging.getLogger(__name__)


def train_classifier(
    dataset_path: Path, model_path: Path, curves_path: Path, options: TrainingOptions, storage_uri: str = ""
) -> dict[str, Any]:
    """Trains a classifier and writes its model artifact.

    Args:
        dataset_path: output folder of preprocess.
        model_path: folder of the model artifact; it appears when training has ended well.
        curves_path: HTML file with the training curves.
        options: what the user asked for.
        storage_uri: where checkpoints are kept while the training runs; empty for none.

    Returns:
        The numbers that describe the result, by name.

    Raises:
        UsageError: a GPU is required and there is none.
        DataError: the dataset cannot be used, or the loss is no longer a number.
        StorageError: an output cannot be written.
        Interrupted: the process was asked to end; a checkpoint was saved if the training had begun.
    """
    strategy = choose_strategy(options.require_gpu)
    index = open_dataset(dataset_path)
    examples = ClipExamples.of(dataset_path)
    checkpoints = Checkpoints(storage_uri, index.fingerprint, dataclasses.asdict(options), code_revision()) if storage_uri else None
    listening = checkpoints.listening() if checkpoints else contextlib.nullcontext()
    outputs = written_aside(curves_path), staged_folder(model_path)
    with listening, outputs[0] as curves, outputs[1] as staged:
        trained = train_network(examples, len(index.class_names), options, strategy, checkpoints)
        results = _results(trained)
        save_classifier(staged, trained.model, ClassifierMetadata.of("dense", index, dataclasses.asdict(trained.options), results))
        write_reference(staged, trained.model, dataset_path, options.batch_size)
        write_history(staged / LOG_NAME, trained.fitted.history)
        write_tensorboard(staged / TENSORBOARD_NAME, trained.fitted.history)
        if trained.trials:
            pd.DataFrame(trained.trials).to_csv(staged / TRIALS_NAME, index=False)
        draw_curves(staged / CURVES_NAME, trained.fitted.history, trained.fitted.best_epoch)
        curves.write_text(curves_html(staged / CURVES_NAME, results), encoding="utf-8")
    if checkpoints:
        checkpoints.delete()
    _log.info(
        "result: %s, best epoch %d, validation macro-F1 %.3f", options.architecture, results["best_epoch"], results["validation_macro_f1"]
    )
    return results


@dataclasses.dataclass(frozen=True)
class Fitted:
    """What the phases of a training measured; epochs are numbered through."""

    history: History
    best_epoch: int
    best_logs: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Trained:
    """A trained network, in full precision; the options are those that the search chose, if there was one."""

    model: tf_keras.Model
    fitted: Fitted
    options: TrainingOptions
    trials: list[Trial]


def train_network(
    examples: ClipExamples,
    num_classes: int,
    options: TrainingOptions,
    strategy: tf.distribute.Strategy,
    checkpoints: Checkpoints | None = None,
    cached: FeatureExamples | None = None,
) -> Trained:
    """Trains a network as the options ask for: all that train, and each turn of a cross-validation, do with their clips.

    Args:
        examples: the clips.
        num_classes: how many classes they have.
        options: what the user asked for.
        strategy: from devices.choose_strategy.
        checkpoints: where to save and to go on from.
        cached: the same clips as the frozen layers see them, if that is known already.

    Raises:
        DataError: the dataset cannot be used, or the loss is no longer a number.
        Interrupted: the process was asked to end, and has saved a checkpoint.
    """
    make_reproducible(options.seed)
    half = use_half_precision_on_gpus()
    trials: list[Trial] = []
    findings = examples.train.findings
    with temporary_folder("lus-features-") as folder:

        def fit(
            tried: TrainingOptions, saved: Checkpoints | None, callbacks: Sequence[tf_keras.callbacks.Callback] = ()
        ) -> tuple[tf_keras.Model, Fitted]:
            make_reproducible(tried.seed)  # every trial starts from the same weights
            with strategy.scope():
                model = build_network(num_classes, tried, findings)
            return model, fit_in_phases(model, examples, tried, saved, callbacks, cached)

        if options.num_trials:
            if options.cached_versions and not cached and (parts := cut_at_learning(build_network(num_classes, options, findings))):
                cached = _cached(parts[0], examples, options, folder, checkpoints)  # the trials and the training share the features
            end = tf_keras.callbacks.LambdaCallback(on_train_batch_end=lambda *_: checkpoints.check("the search")) if checkpoints else None
            callbacks = [end] if end else []
            options, trials = search_hyperparameters(options, lambda tried: fit(tried, None, callbacks)[1].best_logs[f"val_{MACRO_F1}"])
        _log.info("training on %d clips, choosing by %d", examples.train.num_clips, examples.held_out.num_clips)
        model, fitted = fit(options, checkpoints)
    return Trained(_in_full_precision(model, num_classes, options, findings) if half else model, fitted, options, trials)


def build_network(num_classes: int, options: TrainingOptions, findings: Sequence[Finding]) -> tf_keras.Model:
    """Builds the network that the options ask for."""
    return build_classifier(num_classes, options.architecture, options.backbone, options.weights, findings)


def fit_in_phases(
    model: tf_keras.Model,
    examples: ClipExamples,
    options: TrainingOptions,
    checkpoints: Checkpoints | None = None,
    callbacks: Sequence[tf_keras.callbacks.Callback] = (),
    cached: FeatureExamples | None = None,
) -> Fitted:
    """Trains what stands behind the backbone, then the upper blocks of the backbone with it.

    Args:
        model: from build_network; afterwards it has the weights of the best epoch.
        examples: the clips.
        options: what the user asked for.
        checkpoints: where to save and to go on from.
        callbacks: Keras callbacks.
        cached: the same clips as the frozen layers see them, if that is known already.

    Raises:
        DataError: the dataset cannot be used, or the loss is no longer a number.
        Interrupted: the process was asked to end, and has saved a checkpoint.
    """
    best = BestEpoch(first_epoch=options.epochs // 2, patience=options.patience)
    schedule = Schedule(
        options.epochs, options.batch_size, options.learning_rate, options.seed, cosine=True, label_smoothing=options.label_smoothing
    )
    with model.distribute_strategy.scope():
        parts = cut_at_learning(model) if options.cached_versions or cached else None
    with temporary_folder("lus-features-") as folder:
        learning, seen = (parts[1], cached or _cached(parts[0], examples, options, folder, checkpoints)) if parts else (model, examples)
        history = fit_classifier(learning, seen, best, schedule, callbacks, checkpoints, phase="head")
    fitted = Fitted(history, best.epoch, best.logs)
    if not options.fine_tuning_epochs or not free_upper_blocks(model):
        return fitted
    _log.info("training the upper blocks of the backbone, too")
    finest = BestEpoch(patience=options.patience)
    finest.logs, finest.weights = fitted.best_logs, model.get_weights()
    slow = dataclasses.replace(schedule, epochs=options.fine_tuning_epochs, learning_rate=options.learning_rate * FINE_TUNING_RATE)
    more = fit_classifier(model, examples, finest, slow, callbacks, checkpoints, phase="fine-tuning")
    best_epoch = fitted.best_epoch if finest.epoch < 0 else len(history["loss"]) + finest.epoch
    return Fitted({name: values + more[name] for name, values in history.items()}, best_epoch, finest.logs)


def _cached(
    frozen: Any, examples: ClipExamples, options: TrainingOptions, folder: Path, checkpoints: Checkpoints | None
) -> FeatureExamples:
    """Returns the clips as the frozen layers see them, computed when they are first asked for: a phase that is finished needs none."""

    @functools.cache
    def features() -> tuple[Features, Features]:
        learnt_from = compute_features(frozen, examples.train, options.cached_versions, options.seed, folder, checkpoints=checkpoints)
        return learnt_from, compute_features(frozen, examples.held_out, 0, options.seed, folder, checkpoints=checkpoints)

    return FeatureExamples(features, examples.train, examples.held_out)


def _in_full_precision(model: tf_keras.Model, num_classes: int, options: TrainingOptions, findings: Sequence[Finding]) -> tf_keras.Model:
    """Returns the same network for devices without half precision."""
    tf_keras.mixed_precision.set_global_policy("float32")
    full = build_network(num_classes, options, findings)
    full.set_weights(model.get_weights())
    return full


def write_tensorboard(folder: Path, history: History) -> None:
    """Writes what was measured in each epoch, numbered from 1, as scalars for TensorBoard: of train clips and of validation clips."""
    for part, is_validation in (("train", False), ("validation", True)):
        with tf.summary.create_file_writer(str(folder / part)).as_default():
            for name, values in history.items():
                if name.startswith("val_") == is_validation:
                    for epoch, value in enumerate(values, start=1):
                        tf.summary.scalar(f"epoch_{name.removeprefix('val_')}", value, step=epoch)


def _results(trained: Trained) -> dict[str, Any]:
    fitted = trained.fitted
    shares = fitted.history["wait_share"]
    return {
        "best_epoch": fitted.best_epoch + 1,
        "num_epochs": len(fitted.history["loss"]),
        "validation_macro_f1": float(fitted.best_logs["val_macro_f1"]),
        "validation_loss": float(fitted.best_logs["val_loss"]),
        "num_parameters": trained.model.count_params(),
        "data_wait_share": sum(shares) / len(shares),
    }
