"""Train: a clip dataset → a dense classifier, chosen by its macro-F1 on the validation clips.

The model artifact (core.classifier) holds, beside the model and its metadata:

    training_log.csv    loss and macro-F1 of every epoch, on train and validation clips
    curves.png          the same as a picture
"""

import dataclasses
import logging
from pathlib import Path
from typing import Any

import tf_keras

from components.core.classifier import ClassifierMetadata, code_revision, save_classifier
from components.core.dataset import open_dataset
from components.core.fitting import BestEpoch, History, fit_classifier, make_reproducible, write_history
from components.core.shards import DatasetIndex
from components.core.storage import staged_folder
from components.train.curves import curves_html, draw_curves
from components.train.models import build_classifier
from components.train.options import TrainingOptions

LOG_NAME = "training_log.csv"
CURVES_NAME = "curves.png"

_log = logging.getLogger(__name__)


def train_classifier(dataset_path: Path, model_path: Path, curves_path: Path, options: TrainingOptions) -> dict[str, Any]:
    """Trains a classifier and writes its model artifact.

    Args:
        dataset_path: output folder of preprocess.
        model_path: folder of the model artifact; it appears when training has ended well.
        curves_path: HTML file with the training curves.
        options: what the user asked for.

    Returns:
        The numbers that describe the result, by name.

    Raises:
        DataError: the dataset cannot be used, or the loss is no longer a number.
        StorageError: an output cannot be written.
    """
    index = open_dataset(dataset_path)
    make_reproducible(options.seed)
    model = build_classifier(len(index.class_names), options.architecture, options.backbone)
    best = BestEpoch(patience=options.patience)
    with staged_folder(model_path) as staged:
        _log.info("training on %d clips, choosing by %d", index.splits["train"].num_clips, index.splits["validation"].num_clips)
        history = fit_classifier(
            model,
            dataset_path,
            best,
            epochs=options.epochs,
            batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            seed=options.seed,
        )
        results = _results(model, best, history)
        save_classifier(staged, model, _metadata(index, options, results))
        write_history(staged / LOG_NAME, history)
        draw_curves(staged / CURVES_NAME, history, best.epoch)
        curves_path.write_text(curves_html(staged / CURVES_NAME, results), encoding="utf-8")
    _log.info("best epoch %d: validation macro-F1 %.3f", results["best_epoch"], results["validation_macro_f1"])
    return results


def _results(model: tf_keras.Model, best: BestEpoch, history: History) -> dict[str, Any]:
    return {
        "best_epoch": best.epoch + 1,
        "num_epochs": len(history["loss"]),
        "validation_macro_f1": float(best.logs["val_macro_f1"]),
        "validation_loss": float(best.logs["val_loss"]),
        "num_parameters": model.count_params(),
    }


def _metadata(index: DatasetIndex, options: TrainingOptions, results: dict[str, Any]) -> ClassifierMetadata:
    return ClassifierMetadata(
        kind="dense",
        class_names=index.class_names,
        dataset_fingerprint=index.fingerprint,
        code_revision=code_revision(),
        parameters=dataclasses.asdict(options),
        results=results,
        dataset_parameters=index.parameters,
    )
