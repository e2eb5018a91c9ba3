"""Where in a clip a model finds the evidence for an answer: HiResCAM over the steps of time that its last maps have.

HiResCAM (Draelos and Carin, arXiv 2011.08891) multiplies the last map of each step with the gradient of an answer's logit, cell by cell,
and sums over the channels. Grad-CAM averages the gradient over the cells first, and so shows places that did not raise the logit.
What comes after the map, be it a recurrent layer, is followed to first order only: the picture is a hint, not a proof.

A step is a frame, or an image that the network makes of several: the windows say which frames each step has seen.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras

from components.core.errors import DataError
from components.core.models import heads
from components.core.models.dataset import CLIP_SHAPE

CLIPS_AT_A_TIME = 4

Windows: TypeAlias = tuple[tuple[int, int], ...]


class Explainer:
    """Explains the answers of one model; made of the model's own layers.

    Attributes:
        windows: of each step of the last maps, the first frame that it has seen, and the one after the last.
    """

    windows: Windows

    def __init__(self, model: Any) -> None:
        """Finds the last maps that still have a time and a place.

        Raises:
            DataError: the model pools space or time within its first layers, so that there is no such map.
        """
        self._heads = {name: output._keras_history.layer for name, output in heads.by_head(model.output).items()}
        last_maps = _last_maps(model)
        self._maps = tf_keras.Model(model.inputs, last_maps)
        self._features = {_source(head): tf_keras.Model(last_maps, head.input) for head in self._heads.values()}
        self._evidence_in_graph = tf.function(self._evidence, reduce_retracing=True)
        self.windows = _windows(self._maps)

    def attributions(self, clips: npt.NDArray[np.uint8], answers: Mapping[str, Sequence[int] | None]) -> dict[str, npt.NDArray[np.float32]]:
        """Returns how much each cell of each step raised an answer's logit; what lowered it is 0.

        Args:
            clips: [n, 14, 224, 224, 3] uint8 RGB.
            answers: the heads to explain (core.models.heads): of the classes, the label for each clip; of a finding None, which means the
                sum of the logits of its thresholds.

        Returns:
            Of each of these heads [n, steps, height, width] float32 from 0, in the resolution of the maps.
        """
        shares = {name: self._shares(name, len(clips), labels) for name, labels in answers.items()}

        def part(start: int) -> dict[str, tf.Tensor]:
            rows = slice(start, start + CLIPS_AT_A_TIME)
            return self._evidence_in_graph(tf.constant(clips[rows]), {name: tf.constant(of[rows]) for name, of in shares.items()})

        parts = list(map(part, range(0, len(clips), CLIPS_AT_A_TIME)))
        return {name: np.concatenate([part[name] for part in parts]) for name in answers}

    def _shares(self, name: str, num: int, labels: Sequence[int] | None) -> npt.NDArray[np.float32]:
        """Returns how much each logit of a head counts, [n, numbers]."""
        size = self._heads[name].output.shape[-1]
        return np.ones((num, size), np.float32) if labels is None else np.eye(size, dtype=np.float32)[list(labels)]

    def _evidence(self, clips: tf.Tensor, shares: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        maps = self._maps(clips, training=False)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(maps)
            features = {name: model(maps, training=False) for name, model in self._features.items()}
            explained = {name: tf.reduce_sum(of * self._logits(name, features)) for name, of in shares.items()}
        return {name: tf.nn.relu(tf.reduce_sum(maps * tape.gradient(logits, maps), axis=-1)) for name, logits in explained.items()}

    def _logits(self, name: str, features: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns what goes into the softmax or sigmoid: its own gradient vanishes where the model is certain."""
        head = self._heads[name]
        seen = features[_source(head)]
        if getattr(head, "kernel", None) is None:  # an activation by itself
            return seen
        logits = tf.matmul(seen, head.kernel)
        return logits + head.bias if head.use_bias else logits


def over_frames(attributions: npt.NDArray[np.float32], windows: Windows) -> npt.NDArray[np.float32]:
    """Returns attributions of frames, each the mean of the steps that have seen it, or 0 if none has.

    Args:
        attributions: [n, steps, height, width].
        windows: the frames that each step has seen, as Explainer has them.

    Returns:
        [n, 14, height, width]
    """
    frames = np.arange(CLIP_SHAPE[0])[:, None]
    first, end = np.transpose(windows)
    has_seen = ((first <= frames) & (frames < end)).astype(np.float32)
    weights = has_seen / np.maximum(has_seen.sum(axis=1, keepdims=True), 1)
    return np.einsum("fs,nshw->nfhw", weights, attributions)


def _source(head: Any) -> str:
    """Returns the name of the layer that feeds a head."""
    return str(head.input._keras_history.layer.name)


def _last_maps(model: Any) -> Any:
    """Returns the Keras tensor [batch, steps, height, width, channels] that is the last one in the model with several steps and cells."""
    for layer in reversed(model.layers[1:]):
        shape = tuple(layer.output.shape)
        if len(shape) == 5 and min(shape[1:4]) > 1:
            return layer.output
    raise DataError(
        "the model has no map over time and place that attribution could be read from; give one that pools in layers of their own."
    )


def _windows(maps: Any) -> Windows:
    """Returns the frames that each step of a model's maps has seen: as its pooling over time says, else an even share of the clip."""
    frames, steps = CLIP_SHAPE[0], maps.output_shape[1]
    for layer in maps.layers:
        if hasattr(layer, "pool_size"):
            size, stride = np.ravel(layer.pool_size)[0], np.ravel(layer.strides)[0]
            if (frames - size) // stride + 1 == steps:
                return tuple((int(stride * step), int(stride * step + size)) for step in range(steps))
    return tuple((frames * step // steps, -(-frames * (step + 1) // steps)) for step in range(steps))
