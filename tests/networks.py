"""Networks for tests of what is done with a network, whatever it is."""

import dataclasses
from typing import Any

import tf_keras
from tf_keras import layers

from components.train.component import train
from components.train.options import TrainingOptions
from tests.clip_datasets import SHAPE


def coarse_model(num_classes: int = 3) -> tf_keras.Model:
    """Returns a network for whole clips [n, 14, 224, 224, 3] uint8 that is trained, pruned and exported in a moment."""
    clip = layers.Input(SHAPE, dtype="uint8")
    maps = layers.Conv2D(8, 16, strides=16, activation="relu", name="conv")(layers.Rescaling(1 / 255)(clip))
    features = layers.GRU(8, name="gru")(layers.TimeDistributed(layers.GlobalAveragePooling2D())(maps))
    return tf_keras.Model(clip, layers.Dense(num_classes, activation="softmax", name="dense")(features))


def training_options(**given: Any) -> TrainingOptions:
    """Returns options for a training from scratch, as tests on toys want it; the others are as the interface of train has them."""
    defaults = {name: train.component_spec.inputs[name].default for name in (field.name for field in dataclasses.fields(TrainingOptions))}
    return TrainingOptions.of({**defaults, "backbone": "small", "cached_versions": 0, **given})
