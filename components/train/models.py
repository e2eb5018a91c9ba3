"""The networks that train can build."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tf_keras
from tf_keras import layers

from components.core.dataset import CLIP_SHAPE
from components.train.efficientnet_lite import apply_backbone

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in JPEG


def build_classifier(num_classes: int, architecture: str, backbone: str) -> tf_keras.Model:
    """Builds a CNN over the frames, a recurrent layer over what it sees, and a fully connected head.

    All layers are stock Keras layers, so the saved model loads without this project's code.

    Args:
        num_classes: number of outputs.
        architecture: a key of ARCHITECTURES.
        backbone: a key of BACKBONES.

    Returns:
        A model [batch, 14, 224, 224, 3] uint8 RGB → [batch, num_classes] float32 probabilities.

    Raises:
        PipelineError: the package with the weights of the backbone is not installed.
    """
    inputs = layers.Input(CLIP_SHAPE, dtype="uint8", name="clip")
    grey = _grey_at_half_size()(layers.Rescaling(1.0, name="float")(inputs))
    features = ARCHITECTURES[architecture](BACKBONES[backbone](grey))
    features = layers.Dropout(0.3, name="dropout1")(features)
    features = layers.Dense(32, activation="relu", name="dense")(features)
    features = layers.Dropout(0.3, name="dropout2")(features)
    outputs = layers.Dense(num_classes, activation="softmax", dtype="float32", name="probabilities")(features)
    return tf_keras.Model(inputs, outputs, name=architecture)


def _convlstm2d(maps: Any) -> Any:
    """A convolutional LSTM, which keeps the maps: [batch, 14, height, width, channels] → [batch, 32]."""
    state = layers.ConvLSTM2D(32, 3, padding="same", recurrent_activation="sigmoid", name="convlstm2d")(maps)
    return layers.GlobalAveragePooling2D(name="pooling")(state)


def _cnn_lstm(maps: Any) -> Any:
    """An LSTM over the mean of each frame's maps: [batch, 14, height, width, channels] → [batch, 64]."""
    return layers.LSTM(64, recurrent_activation="sigmoid", name="lstm")(_pooled_frames(maps))


def _cnn_gru(maps: Any) -> Any:
    """A GRU over the mean of each frame's maps: [batch, 14, height, width, channels] → [batch, 64]."""
    return layers.GRU(64, recurrent_activation="sigmoid", name="gru")(_pooled_frames(maps))


def _pooled_frames(maps: Any) -> Any:
    return layers.TimeDistributed(layers.GlobalAveragePooling2D(), name="pooling")(maps)


# Keras versions differ in the default recurrent activation of ConvLSTM2D, so it is written out everywhere.
ARCHITECTURES: dict[str, Callable[[Any], Any]] = {"convlstm2d": _convlstm2d, "cnn_lstm": _cnn_lstm, "cnn_gru": _cnn_gru}


def _small(grey: Any) -> Any:
    """Four strided convolutions, trained from scratch: [batch, 14, 112, 112, 1] grey from 0 to 255 → [batch, 14, 7, 7, 64]."""
    maps = layers.Rescaling(1 / 255, name="rescaling")(grey)
    for number, (filters, kernel_px) in enumerate(((16, 5), (32, 3), (48, 3), (64, 3)), start=1):
        maps = layers.Conv2D(filters, kernel_px, strides=2, padding="same", use_bias=False, name=f"conv{number}")(maps)
        maps = layers.GroupNormalization(groups=8, name=f"norm{number}")(maps)
        maps = layers.ReLU(name=f"relu{number}")(maps)
    return maps


def _efficientnet_lite0(grey: Any) -> Any:
    """A frozen backbone that ImageNet taught: [batch, 14, 112, 112, 1] grey from 0 to 255 → [batch, 14, 7, 7, 32]."""
    return layers.Conv2D(32, 1, activation="relu", name="reduction")(apply_backbone(grey))


BACKBONES: dict[str, Callable[[Any], Any]] = {"small": _small, "efficientnet_lite0": _efficientnet_lite0}


def _grey_at_half_size() -> layers.Layer:
    """A fixed convolution that averages 2 × 2 pixels and turns them grey: the tint of a recording tells its source, not its class."""
    kernel = np.tile(np.array(LUMA, np.float32)[:, np.newaxis] / 4, (2, 2, 1, 1))
    constant = tf_keras.initializers.Constant(kernel.tolist())
    return layers.Conv2D(1, 2, strides=2, use_bias=False, kernel_initializer=constant, trainable=False, name="grey")
