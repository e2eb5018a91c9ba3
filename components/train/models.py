"""The networks that train can build."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tf_keras
from tf_keras import layers

from components.core import storage
from components.core.errors import DataError, PipelineError
from components.core.models import heads
from components.core.models.dataset import CLIP_SHAPE
from components.core.models.reference import STANDARDISED
from components.core.records.findings import Finding
from components.train.efficientnet_lite import apply_backbone
from components.train.options import IMAGENET

# What the second phase of a training changes: of EfficientNet-Lite0 the layers with these names, of an application this part of its layers.
UPPER_BLOCKS = ("block12_", "block13_", "block14_")
UPPER_PART = 0.25
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in JPEG
# A clip becomes images of so many frames each, which begin so many frames after one another; of 14 frames 3 images, none left out.
FRAMES_PER_IMAGE, FRAMES_BETWEEN_IMAGES = 6, 4
DROPOUT = 0.5
WEIGHT_DECAY = 3e-3  # of the heads' kernels, squared


def build_classifier(
    num_classes: int, architecture: str, backbone: str, weights: str = IMAGENET, findings: Sequence[Finding] = ()
) -> tf_keras.Model:
    """Builds a CNN over images of a few frames each, a recurrent layer over what it sees, and fully connected heads.

    All layers are stock Keras layers, so the saved model loads without this project's code. docs/findings.md says what else was tried.

    Args:
        num_classes: number of classes.
        architecture: a key of ARCHITECTURES.
        backbone: small, efficientnet_lite0 or a key of APPLICATIONS.
        weights: of an application: imagenet (downloaded by Keras), the URI of a weights file, or empty for random ones.
        findings: what else the network should tell.

    Returns:
        A model [batch, 14, 224, 224, 3] uint8 RGB → what core.models.heads describes.

    Raises:
        PipelineError: the weights of the backbone cannot be had.
        StorageError: the URI of the weights cannot be read.
        DataError: the weights are those of another network.
    """
    inputs = layers.Input(CLIP_SHAPE, dtype="uint8", name="clip")
    grey = _grey_at_half_size()(layers.Rescaling(1.0, name="float")(inputs))
    maps = _maps(_colours_of_time(grey), backbone, weights)
    maps = layers.BatchNormalization(momentum=0.9, name=STANDARDISED)(maps)
    features = layers.Dropout(DROPOUT, name="dropout")(ARCHITECTURES[architecture](maps))
    outputs = {heads.CLASSES: _head(heads.CLASSES, num_classes, "softmax")(features)}
    outputs |= {finding.name: _head(finding.name, finding.num_thresholds, "sigmoid")(features) for finding in findings}
    return tf_keras.Model(inputs, heads.like_the_model(outputs), name=architecture)


def _head(name: str, size: int, activation: str) -> layers.Layer:
    decay = tf_keras.regularizers.L2(WEIGHT_DECAY)
    return layers.Dense(size, activation=activation, kernel_regularizer=decay, dtype="float32", name=name)


def _colours_of_time(grey: Any) -> Any:
    """Shows movement to a CNN that knows colours: [batch, 14, 112, 112, 1] grey → [batch, 3, 112, 112, 3].

    Red is the darkest, green the mean, blue the brightest that a pixel is in the frames of an image: what moves has a colour.
    """
    _, num_frames, height, width, _ = grey.shape
    window = {"pool_size": (FRAMES_PER_IMAGE, 1), "strides": (FRAMES_BETWEEN_IMAGES, 1)}
    frames = layers.Reshape((num_frames, height, width), name="frames")(grey)  # pooling along the first axis is pooling over time
    negative = layers.MaxPooling2D(**window, name="darkest_negative")(layers.Rescaling(-1.0, name="negative")(frames))
    colours = [
        layers.Rescaling(-1.0, name="darkest")(negative),
        layers.AveragePooling2D(**window, name="mean")(frames),
        layers.MaxPooling2D(**window, name="brightest")(frames),
    ]
    planes = [layers.Reshape((*colour.shape[1:], 1), name=f"plane{number}")(colour) for number, colour in enumerate(colours)]
    return layers.Concatenate(name="colours")(planes)


def _convlstm2d(maps: Any) -> Any:
    """A convolutional LSTM, which keeps the maps: [batch, 3, height, width, channels] → [batch, 32]."""
    reduced = layers.Conv2D(32, 1, activation="relu", name="reduction")(maps)
    state = layers.ConvLSTM2D(32, 3, padding="same", recurrent_activation="sigmoid", name="convlstm2d")(reduced)
    return layers.GlobalAveragePooling2D(name="pooling")(state)


def _cnn_lstm(maps: Any) -> Any:
    """An LSTM over the mean of each image's maps: [batch, 3, height, width, channels] → [batch, 32]."""
    return layers.LSTM(32, recurrent_activation="sigmoid", name="lstm")(_pooled_images(maps))


def _cnn_gru(maps: Any) -> Any:
    """A GRU over the mean of each image's maps: [batch, 3, height, width, channels] → [batch, 32]."""
    return layers.GRU(32, recurrent_activation="sigmoid", name="gru")(_pooled_images(maps))


def _pooled_images(maps: Any) -> Any:
    return layers.TimeDistributed(layers.GlobalAveragePooling2D(), name="pooling")(maps)


# Keras versions differ in the default recurrent activation of ConvLSTM2D, so it is written out everywhere.
ARCHITECTURES: dict[str, Callable[[Any], Any]] = {"convlstm2d": _convlstm2d, "cnn_lstm": _cnn_lstm, "cnn_gru": _cnn_gru}


def free_upper_blocks(model: tf_keras.Model) -> bool:
    """Lets the upper blocks of a frozen backbone learn, and returns whether there are any.

    Batch normalisation stays as it is: the statistics of a few clips would spoil it.
    """
    upper = [layer for layer in model.layers if layer.name.startswith(UPPER_BLOCKS)]
    for layer in upper:
        layer.trainable = True
    networks = [layer.layer for layer in model.layers if layer.name in APPLICATIONS]
    for network in networks:
        network.trainable = True
        for number, layer in enumerate(network.layers):
            is_upper = number >= (1 - UPPER_PART) * len(network.layers)
            layer.trainable = is_upper and not isinstance(layer, layers.BatchNormalization)
    return bool(upper or networks)


def _small(images: Any) -> Any:
    """Four strided convolutions, trained from scratch: [batch, 3, 112, 112, 3] from 0 to 255 → [batch, 3, 7, 7, 64]."""
    maps = layers.Rescaling(1 / 255, name="rescaling")(images)
    for number, (filters, kernel_px) in enumerate(((16, 5), (32, 3), (48, 3), (64, 3)), start=1):
        maps = layers.Conv2D(filters, kernel_px, strides=2, padding="same", use_bias=False, name=f"conv{number}")(maps)
        maps = layers.GroupNormalization(groups=8, name=f"norm{number}")(maps)
        maps = layers.ReLU(name=f"relu{number}")(maps)
    return maps


def _application(images: Any, name: str, weights: str) -> Any:
    """A network of tf_keras.applications, frozen: [batch, 3, 112, 112, 3] from 0 to 255 → [batch, 3, 4, 4, channels]."""
    class_name, scale, offset = APPLICATIONS[name]
    shape = (CLIP_SHAPE[1] // 2, CLIP_SHAPE[2] // 2, 3)
    with _failures_of_weights(name, weights):
        network = getattr(tf_keras.applications, class_name)(
            include_top=False, input_shape=shape, weights=IMAGENET if weights == IMAGENET else None
        )
        if weights not in ("", IMAGENET):
            with storage.local_copy(weights) as path:
                network.load_weights(path)
    network.trainable = False
    return layers.TimeDistributed(network, name=name)(layers.Rescaling(scale, offset, name="scale")(images))


# Per backbone: the name in tf_keras.applications, and how its preprocess_input scales grey levels.
APPLICATIONS = {
    "mobilenet_v2": ("MobileNetV2", 1 / 127.5, -1.0),
    "efficientnet_b0": ("EfficientNetB0", 1.0, 0.0),
    "efficientnet_v2_b0": ("EfficientNetV2B0", 1.0, 0.0),
    "resnet50_v2": ("ResNet50V2", 1 / 127.5, -1.0),
}


@contextlib.contextmanager
def _failures_of_weights(name: str, weights: str) -> Iterator[None]:
    """Turns what Keras raises when it fetches or loads weights into an error in one sentence."""
    try:
        yield
    except PipelineError:
        raise
    except ValueError as error:
        raise DataError(f"the weights {weights!r} are not those of {name} without its top ({error}); give others.") from None
    except Exception as error:  # Keras' download raises no narrower class
        raise PipelineError(f"the weights {weights!r} of {name} cannot be had ({error}); give the URI of a file with --weights.") from None


def _maps(images: Any, backbone: str, weights: str) -> Any:
    if backbone in APPLICATIONS:
        return _application(images, backbone, weights)
    return {"small": _small, "efficientnet_lite0": apply_backbone}[backbone](images)


def _grey_at_half_size() -> layers.Layer:
    """A fixed convolution that averages 2 × 2 pixels and turns them grey: the tint of a recording tells its source, not its class."""
    kernel = np.tile(np.array(LUMA, np.float32)[:, np.newaxis] / 4, (2, 2, 1, 1))
    constant = tf_keras.initializers.Constant(kernel.tolist())
    return layers.Conv2D(1, 2, strides=2, use_bias=False, kernel_initializer=constant, trainable=False, name="grey")
