"""Shortcuts are planted: class decides the probe's shape, the size, the frame rate, the tint and a text, and nothing of what is scanned.

A logistic regression on folds must read the class from what is left over before normalisation, or the test could not fail, and must be at
chance with what one frame shows after it. How much frames change from one to the next is not tested: it still tells the source (0.77 here),
by the noise of the codec and, where the frame rate is no multiple of the sampled one, by uneven steps in time.
"""

from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from components.core.video.clip_reader import read_clips
from components.core.video.decoding import open_video
from components.core.video.sampling import Sampling
from tests.videos import write_video

PATIENTS = 14
SECONDS = 1.6
# Per class: opening of the fan (None: a linear probe), height and width, frames per second, tint of red, green and blue.
PLANTED = (
    (0.55, (240, 320), 30, (1.0, 1.0, 1.0)),
    (0.85, (288, 352), 10, (0.7, 0.85, 1.0)),
    (None, (260, 240), 20, (1.0, 0.9, 0.7)),
)
# Guesses score 0.33; 42 videos spread that by 0.075, and this is three times as much above.
CHANCE = 0.55
# What shows that a shortcut is there.
PLAIN = 0.75


def tissue(rng: np.random.Generator) -> np.ndarray:
    """Returns what a patient's scan lines show, [depth, scan line] float32, twice as wide as is seen at a time."""
    smooth = cv2.resize(rng.normal(0, 1, (12, 24)).astype(np.float32), (256, 128), interpolation=cv2.INTER_CUBIC)
    return (110 + 30 * smooth) * rng.rayleigh(0.8, smooth.shape).clip(0.3, 2).astype(np.float32)


def frame(tissue: np.ndarray, shift: float, label: int) -> np.ndarray:
    opening, (height, width), _, tint = PLANTED[label]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    if opening is None:
        across, down = (x - 40) / (width - 80), (y - 10) / (height - 20)
    else:
        apex = -0.25 * height
        across = np.arctan2(x - width / 2, y - apex) / (2 * opening) + 0.5
        down = (np.hypot(x - width / 2, y - apex) + apex - 4) / (height - 12)
    inside = (across > 0) & (across < 1) & (down > 0) & (down < 1)
    grey = cv2.remap(tissue, (across * 127 + shift).astype(np.float32), (down * 127).astype(np.float32), cv2.INTER_LINEAR) * inside
    # Equal luminance (ITU-R BT.601), so that the tint is in the colours alone.
    image = (grey[..., None] * np.array(tint) / np.dot(tint, (0.299, 0.587, 0.114))).clip(0, 255).astype(np.uint8)
    cv2.putText(image, "ABC"[label] * 3, (2, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255))
    return image


def score(features: list[np.ndarray], labels: np.ndarray) -> float:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    table = np.stack(features).reshape(len(labels), -1)
    predicted = cross_val_predict(model, table, labels, groups=np.arange(len(labels)), cv=folds)
    return float(f1_score(labels, predicted, average="macro"))


def cells(image: np.ndarray, size: int = 14) -> np.ndarray:
    return cv2.resize(image.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)


def ring(image: np.ndarray) -> np.ndarray:
    small = cells(image, 28)
    return np.concatenate([small[0], small[-1], small[1:-1, 0], small[1:-1, -1]])


@pytest.mark.slow
def test_planted_shortcuts_are_gone_after_normalisation(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(PLANTED)), PATIENTS)
    before: dict[str, list[np.ndarray]] = {"frame size": [], "frame rate": [], "shape": [], "tint": [], "border": []}
    after: dict[str, list[np.ndarray]] = {"shape": [], "border": [], "brightness": [], "all cells": []}
    for number, label in enumerate(labels):
        scanned, fps = tissue(rng), PLANTED[label][2]
        times = np.arange(round(SECONDS * fps)) / fps
        frames = np.stack([frame(scanned, 10 + 20 * time, label) for time in times])
        path = write_video(tmp_path / f"{number}.mp4", frames, fps=fps)
        with open_video(path) as video:
            first = next(frame.colours() for frame in video.frames())
            before["frame size"].append(np.array(first.shape[:2], float))
            before["frame rate"].append(np.array([video.facts.frames_per_second]))
        before["shape"].append(cells(first.mean(axis=2) > 10, 7))
        before["tint"].append(first.mean(axis=(0, 1)) / first.mean())
        before["border"].append(ring(first.mean(axis=2)))
        video_clips = read_clips(path, None, Sampling(10, 1))
        assert video_clips.sector == ("linear" if PLANTED[label][0] is None else "convex")
        clip = video_clips.clips[0].frames.astype(np.float32)
        mean = clip.mean(axis=0)
        after["shape"].append(cells(mean < 10))
        after["border"].append(ring(mean))
        after["brightness"].append(np.array([mean.mean(), mean.std()]))
        after["all cells"].append(cells(mean))
    planted = {name: score(features, labels) for name, features in before.items()}
    assert all(value > PLAIN for value in planted.values()), planted
    left = {name: score(features, labels) for name, features in after.items()}
    assert all(value < CHANCE for value in left.values()), left
