"""Strips: the frames of every clip of a video side by side, with what the model says of the clip, to look at."""

import itertools
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

FRAME_PX = 112
CAPTION_PX = 20
BAR_PX = 6
GREY, WHITE = (60, 60, 60), (255, 255, 255)
# Okabe and Ito's colours, which the colour-blind tell apart; BGR.
COLOURS = ((0, 94, 213), (178, 114, 0), (115, 158, 0), (167, 121, 204))


def strip_png(clips: Sequence[tuple[bytes, ...]], probabilities: np.ndarray, class_names: list[str]) -> bytes:
    """Returns a PNG file: for each clip a line of text, a bar divided by the probabilities, and its frames in order.

    Args:
        clips: the frames of each clip as JPEG files.
        probabilities: [clips, classes].
        class_names: in the order of the classes.
    """
    rows = [_row(number, frames, probabilities[number], class_names) for number, frames in enumerate(clips)]
    return cv2.imencode(".png", np.concatenate(rows))[1].tobytes()


def _row(number: int, frames: tuple[bytes, ...], probabilities: Any, class_names: list[str]) -> np.ndarray:
    images: list[Any] = [cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR) for frame in frames]
    shrunk = np.concatenate([cv2.resize(image, (FRAME_PX, FRAME_PX), interpolation=cv2.INTER_AREA) for image in images], axis=1)
    width = shrunk.shape[1]
    caption = np.full((CAPTION_PX, width, 3), GREY, np.uint8)
    said = ", ".join(f"{name} {value:.2f}" for name, value in zip(class_names, probabilities, strict=True))
    cv2.putText(caption, f"clip {number}: {said}", (6, CAPTION_PX - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.45, WHITE, 1, cv2.LINE_AA)
    bar = np.zeros((BAR_PX, width, 3), np.uint8)
    ends = np.round(np.cumsum([0, *probabilities]) * width).astype(int)
    for label, (left, right) in enumerate(itertools.pairwise(ends)):
        bar[:, left:right] = COLOURS[label % len(COLOURS)]
    return np.concatenate([caption, bar, shrunk])
