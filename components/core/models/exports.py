"""The files that prune exports a classifier to, for devices and servers, and how to run them.

Beside model.keras (core.models.classifier) the model artifact holds:

    exports/saved_model/1/                 TensorFlow SavedModel; TensorFlow Serving takes `saved_model` as its base path
    exports/tflite_float32.tflite          the same arithmetic as Keras
    exports/tflite_float16.tflite          weights in 16 bits, arithmetic in 32
    exports/tflite_dynamic_range.tflite    weights in 8 bits, activations too while a kernel is applied
    exports/tflite_int8.tflite             weights and activations in 8 bits, calibrated on train clips

The signature `serving_default` of the SavedModel takes `clip` [batch, 14, 224, 224, 3] uint8 RGB and gives every head by its name
(core.models.heads) and `class_names` [batch, classes] string. That of every TFLite file takes one clip, [1, 14, 224, 224, 3] uint8 RGB,
gives every head and needs TFLite's built-in operations only.

TensorFlow is imported when a file is loaded, not before.
"""

import statistics
import timeit
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from components.core.errors import DataError
from components.core.models.classifier import MODEL_NAME
from components.core.models.model_files import load_keras, load_tflite

EXPORTS_NAME = "exports"
KERAS, SAVED_MODEL = "keras", "saved_model"
TFLITE_FLOAT32, TFLITE_FLOAT16 = "tflite_float32", "tflite_float16"
TFLITE_DYNAMIC_RANGE, TFLITE_INT8 = "tflite_dynamic_range", "tflite_int8"
TFLITE_NAMES = (TFLITE_FLOAT32, TFLITE_FLOAT16, TFLITE_DYNAMIC_RANGE, TFLITE_INT8)
SERVED_VERSION = "1"
CLASS_NAMES = "class_names"  # an output of the SavedModel beside the heads

PATHS = {
    KERAS: Path(MODEL_NAME),
    SAVED_MODEL: Path(EXPORTS_NAME, SAVED_MODEL),
    **{name: Path(EXPORTS_NAME, f"{name}.tflite") for name in TFLITE_NAMES},
}


class Exported(Protocol):
    """A file that answers for clips, whatever runs it; a Keras model is one, too."""

    def predict_on_batch(self, clips: np.ndarray) -> Any:
        """Returns what core.models.heads describes of clips [n, 14, 224, 224, 3] uint8 RGB."""


def exports_of(model_path: Path) -> dict[str, Path]:
    """Returns what a model artifact can be run from, by name, model.keras first; a dense model has nothing else."""
    return {name: model_path / path for name, path in PATHS.items() if (model_path / path).exists()}


def load_export(path: Path) -> Exported:
    """Loads a file or folder of `exports_of`.

    Raises:
        DataError: it is damaged, or none of these kinds.
    """
    loaders: dict[str, Callable[[Path], Exported]] = {".keras": load_keras, ".tflite": _TFLite, "": _SavedModel}
    try:
        return loaders[path.suffix](path)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"the exported model {str(path)!r} cannot be loaded ({error}); run the step that wrote it again.") from None


def latency_ms(exported: Exported, clip: np.ndarray, num_calls: int = 10) -> float:
    """Returns the median time that a clip [14, 224, 224, 3] uint8 takes by itself, after a call to warm up."""
    batch = clip[np.newaxis]
    exported.predict_on_batch(batch)
    return 1000 * statistics.median(timeit.repeat(lambda: exported.predict_on_batch(batch), number=1, repeat=num_calls))


class _SavedModel:
    def __init__(self, path: Path) -> None:
        import tensorflow as tf

        try:
            self._model = tf.saved_model.load(str(path / SERVED_VERSION))  # the signature lives as long as the model
        except (IndexError, tf.errors.OpError) as error:  # the file of the weights is cut or missing
            raise ValueError(error) from error
        self._signature = self._model.signatures["serving_default"]

    def predict_on_batch(self, clips: np.ndarray) -> dict[str, np.ndarray]:
        return {name: values.numpy() for name, values in self._signature(clip=clips).items() if name != CLASS_NAMES}


class _TFLite:
    def __init__(self, path: Path) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning)  # announces that the interpreter moves to another package
            self._interpreter = load_tflite(path)
        self._classify = self._interpreter.get_signature_runner()

    def predict_on_batch(self, clips: np.ndarray) -> dict[str, np.ndarray]:
        answers = [self._classify(clip=clip[np.newaxis]) for clip in clips]
        return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}
