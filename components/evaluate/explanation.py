"""The pictures of the report: what raised the pruned model's answers to test videos, and where that lies."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.errors import DataError
from components.core.films import relative_heat, strip, thumbnail
from components.core.models.dataset import CLIP_SHAPE
from components.core.models.explanation import Explainer, over_frames
from components.core.models.heads import CLASSES
from components.core.models.predictions import Predictions
from components.evaluate.attention import Attention, attention_of
from components.evaluate.illustrations import ChosenVideos, Film, Illustrations, Sample
from components.evaluate.video_facts import VideoFacts


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
        explainer = Explainer(model)
    except DataError as error:
        return Illustrations(samples=samples, remark=str(error)), None
    attributions = over_frames(explainer.attributions(clips, {CLASSES: labels})[CLASSES], explainer.windows)

    def film(video_id: str) -> Film:
        number = chosen.explained.index(video_id)
        heat = relative_heat(attributions[number], float(attributions[number].max()))
        return Film(answers[video_id], strip(clips[number, ..., 0], [heat]))

    mistakes, sure = (tuple(film(video_id) for video_id in video_ids) for video_ids in (chosen.mistakes, chosen.sure))
    return Illustrations(mistakes, sure, samples), attention_of(clips, attributions)
