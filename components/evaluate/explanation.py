"""Where in a clip a model finds the evidence for an answer: HiResCAM over the 14 frames.

HiResCAM (Draelos and Carin, arXiv 2011.08891) multiplies the last map of each frame with the gradient of an answer's logit, cell by cell,
and sums over the channels. Grad-CAM averages the gradient over the cells first, and so shows places that did not raise the logit.
What comes after the map, here a recurrent layer, is followed to first order only: the picture is a hint, not a proof.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras

from components.core.errors import DataError
from components.core.models import heads
from components.core.models.dataset import CLIP_SHAPE
from components.core.models.predictions import Predictions
from components.evaluate.attention import Attention, attention_of
from components.evaluate.illustrations import ChosenVideos, Film, Illustrations, Sample
from components.evaluate.strips import strip, thumbnail
from components.evaluate.video_facts import VideoFacts

CLIPS_AT_A_TIME = 4


def illustrate(
    model: Any,
    chosen: ChosenVideos,
    first_clips: Mapping[str, npt.NDArray[np.uint8]],
    videos: Predictions,
    facts: Sequence[VideoFacts],
    class_names: list[str],
) -> tuple[Illustrations, Attention | None]:
    """Draws the chosen videos, and measures where the attribution of the explained ones lies.

    Args:
        model: the Keras model.
        chosen: ids of videos.
        first_clips: of each of them, [14, 224, 224, 3] uint8 RGB.
        videos: what the model says about the test videos.
        facts: what the dataset states about its videos.
        class_names: in the order of the labels.

    Returns:
        The pictures, and the shares of the attribution; without films and shares, but with a remark, where the model cannot be explained.
    """
    by_id = {video.video_id: video for video in facts}
    middle_frames = {video_id: first_clips[video_id][CLIP_SHAPE[0] // 2, ..., 0] for video_id in chosen.samples}
    samples = tuple(Sample(by_id[video_id], thumbnail(frame)) for video_id, frame in middle_frames.items())
    answers = {answer.video_id: answer for answer in videos.answers(class_names)}
    clips = np.stack([first_clips[video_id] for video_id in chosen.explained])
    labels = [class_names.index(answers[video_id].predicted) for video_id in chosen.explained]
    try:
        attributions = Explainer(model).attributions(clips, labels)
    except DataError as error:
        return Illustrations(samples=samples, remark=str(error)), None

    def film(video_id: str) -> Film:
        number = chosen.explained.index(video_id)
        return Film(answers[video_id], strip(clips[number, ..., 0], attributions[number]))

    mistakes, sure = (tuple(film(video_id) for video_id in video_ids) for video_ids in (chosen.mistakes, chosen.sure))
    return Illustrations(mistakes, sure, samples), attention_of(clips, attributions)


class Explainer:
    """Explains the answers of one model; made of the model's own layers."""

    def __init__(self, model: Any) -> None:
        """Finds the last map that each frame still has.

        Raises:
            DataError: the model pools each frame before it looks at time, within one layer, so that there is no such map.
        """
        outputs = heads.by_head(model.output)[heads.CLASSES]._keras_history.layer
        self._head = outputs if getattr(outputs, "kernel", None) is not None else None
        last_map = _last_map(model)
        self._maps = tf_keras.Model(model.inputs, last_map)
        self._features = tf_keras.Model(last_map, outputs.input)

    def attributions(self, clips: npt.NDArray[np.uint8], labels: Sequence[int]) -> npt.NDArray[np.float32]:
        """Returns how much each cell of each frame raised the logit of a label; what lowered it is 0.

        Args:
            clips: [n, 14, 224, 224, 3] uint8 RGB.
            labels: [n], the answers to explain.

        Returns:
            [n, 14, height, width] float32 from 0, in the resolution of the map.
        """
        starts = range(0, len(clips), CLIPS_AT_A_TIME)
        parts = [self._attributions(clips[start : start + CLIPS_AT_A_TIME], labels[start : start + CLIPS_AT_A_TIME]) for start in starts]
        return np.concatenate(parts)

    def _attributions(self, clips: npt.NDArray[np.uint8], labels: Sequence[int]) -> npt.NDArray[np.float32]:
        maps = self._maps(tf.constant(clips), training=False)
        with tf.GradientTape() as tape:
            tape.watch(maps)
            logits = self._logits(self._features(maps, training=False))
            chosen = tf.gather(logits, tf.constant(labels), axis=1, batch_dims=1)
        evidence = tf.reduce_sum(maps * tape.gradient(chosen, maps), axis=-1)
        return np.asarray(tf.nn.relu(evidence))

    def _logits(self, features: tf.Tensor) -> tf.Tensor:
        """Returns what goes into the softmax: its own gradient vanishes where the model is certain."""
        if self._head is None:
            return features
        logits = tf.matmul(features, self._head.kernel)
        return logits + self._head.bias if self._head.use_bias else logits


def _last_map(model: Any) -> Any:
    """Returns the Keras tensor [batch, 14, height, width, channels] that is the last one in the model with more than one cell a frame."""
    for layer in reversed(model.layers[1:]):
        shape = tuple(layer.output.shape)
        if len(shape) == 5 and shape[1] == CLIP_SHAPE[0] and min(shape[2:4]) > 1:
            return layer.output
    raise DataError(
        "the model has no map of each frame that attribution could be read from; give a model that pools frames in a layer of its own."
    )
