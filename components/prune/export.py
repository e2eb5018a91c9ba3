"""Export: a classifier → the files that a server or a hand-held device runs (their layout is in core.models.exports).

TFLite has no recurrent layer that takes maps, and its loops can neither be calibrated nor run with built-in operations everywhere.
Therefore the recurrent layers are unrolled over the frames of a clip, with the weights that they have: the graph becomes longer, the
weights are stored once. The clip is [1, frames, …], so that no size is open.
"""

import logging
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from tf_keras import layers

from components.core.files.local_files import temporary_folder
from components.core.models import heads
from components.core.models.exports import (
    CLASS_NAMES,
    PATHS,
    SAVED_MODEL,
    SERVED_VERSION,
    TFLITE_FLOAT16,
    TFLITE_FLOAT32,
    TFLITE_INT8,
    TFLITE_NAMES,
)
from components.core.models.tensorflow_startup import native_messages_dropped

_log = logging.getLogger(__name__)


def export_classifier(model: tf_keras.Model, class_names: list[str], calibration_clips: Iterable[np.ndarray], model_path: Path) -> None:
    """Writes every export of a classifier into the folder of its model artifact.

    Args:
        model: [batch, frames, height, width, channels] uint8 → what core.models.heads describes, of stock layers.
        class_names: in the order of its outputs.
        calibration_clips: train clips [frames, height, width, channels] uint8, from which int8 takes the ranges of the activations.
        model_path: existing folder.
    """
    write_saved_model(model, class_names, model_path / PATHS[SAVED_MODEL])
    write_tflite(model, calibration_clips, model_path)


def write_saved_model(model: tf_keras.Model, class_names: list[str], base_path: Path) -> None:
    """Writes a SavedModel with nothing in it but the serving signature and its weights."""
    names = tf.constant(class_names)

    @tf.function(input_signature=[tf.TensorSpec(model.input_shape, tf.uint8, name="clip")])
    def serve(clip: tf.Tensor) -> dict[str, tf.Tensor]:
        answer = heads.by_head(model(clip, training=False))
        return {**answer, CLASS_NAMES: tf.broadcast_to(names, tf.shape(answer[heads.CLASSES]))}

    _save(str(base_path / SERVED_VERSION), serve, model)


def _save(path: str, signature: Any, model: tf_keras.Model) -> None:
    """Saves a signature and the weights behind it; the Keras layers themselves, which take long, are left out."""
    served = tf.Module()
    served.weights = model.weights
    tf.saved_model.save(served, path, signatures={"serving_default": signature})


class _Unrolled(layers.Layer):
    """A recurrent layer without its loop: the cell is applied to one frame after the other."""

    def __init__(self, recurrent: layers.RNN) -> None:
        super().__init__(name=recurrent.name)
        self._recurrent = recurrent

    def call(self, frames: tf.Tensor) -> tf.Tensor:
        states = self._recurrent.get_initial_state(frames)
        outputs = []
        for frame in tf.unstack(frames, axis=1):
            output, states = self._recurrent.cell(frame, states)
            outputs.append(output)
        return tf.stack(outputs, axis=1) if self._recurrent.return_sequences else outputs[-1]


def unroll(model: tf_keras.Model) -> tf_keras.Model:
    """Returns the model for one clip, without loops; it shares the weights."""
    clip = layers.Input(batch_shape=(1, *model.input_shape[1:]), dtype="uint8", name="clip")
    return tf_keras.models.clone_model(
        model, input_tensors=clip, clone_function=lambda layer: _Unrolled(layer) if isinstance(layer, layers.RNN) else layer
    )


def write_tflite(model: tf_keras.Model, calibration_clips: Iterable[np.ndarray], model_path: Path) -> None:
    """Writes the TFLite files.

    The int8 file keeps uint8 pixels as its input, like the others; they are cast and quantised in the graph.
    """
    clips = list(calibration_clips)
    unrolled = unroll(model)

    @tf.function(input_signature=[tf.TensorSpec(unrolled.input_shape, tf.uint8, name="clip")])
    def classify(clip: tf.Tensor) -> dict[str, tf.Tensor]:
        return heads.by_head(unrolled(clip, training=False))

    with temporary_folder() as folder:
        _save(str(folder), classify, unrolled)
        for name in TFLITE_NAMES:
            content = _converted(str(folder), name, clips)
            (model_path / PATHS[name]).write_bytes(content)
            _log.info("exported %s: %d bytes", PATHS[name], len(content))


def _converted(saved_model_path: str, name: str, calibration_clips: list[np.ndarray]) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(saved_model_path)
    if name != TFLITE_FLOAT32:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]  # by itself: the dynamic range
    if name == TFLITE_FLOAT16:
        converter.target_spec.supported_types = [tf.float16]
    if name == TFLITE_INT8:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: ([clip[np.newaxis]] for clip in calibration_clips)
    with native_messages_dropped(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return converter.convert()
