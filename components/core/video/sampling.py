"""Sampling: which frames of a video become clips.

Frames are taken at a fixed rate in seconds, the nearest source frame to each instant, so that a clip spans the same time at 10 and at
60 frames per second (the source's frame rate alone would tell the class). Clips follow each other without overlap:

    time (s)   0.0  0.1  0.2 …  1.3 | 1.4  1.5 …  2.7 | …          at 10 frames per second
               └───── clip 0 ─────┘   └──── clip 1 ───┘

A video that is too brief for one such clip but has CLIP_FRAMES frames gives one clip, spread evenly over all of it. A video with fewer
frames gives none.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from components.core.clips import CLIP_FRAMES
from components.core.errors import DataError
from components.core.video.decoding import Image, VideoFacts, open_video


@dataclasses.dataclass(frozen=True)
class Sampling:
    """Which frames are wanted.

    Attributes:
        frames_per_second: rate at which frames are sampled.
        max_clips: clips of one video after so many are left out, and the file is read no further.
    """

    frames_per_second: float
    max_clips: int

    @classmethod
    def of(cls, dataset_parameters: Mapping[str, Any]) -> "Sampling":
        """Returns how preprocess sampled a dataset, from what it was asked to do (DatasetIndex.parameters).

        Raises:
            KeyError: the parameters do not tell.
        """
        return cls(dataset_parameters["frames_per_second"], dataset_parameters["max_clips_per_video"])


@dataclasses.dataclass(frozen=True)
class SampledFrame:
    """A frame that was chosen: its number in the video, its time in seconds, and its pixels [height, width] uint8 grey."""

    index: int
    time_s: float
    image: Image


@dataclasses.dataclass(frozen=True)
class SampledVideo:
    """The clips of one video, CLIP_FRAMES frames each, and what was seen of it."""

    clips: list[list[SampledFrame]]
    facts: VideoFacts


def sample_clips(path: Path, sampling: Sampling) -> SampledVideo:
    """Samples the clips of one video; memory grows with the number of clips, not with the length of the video.

    Args:
        path: a local video file.
        sampling: which frames are wanted.

    Returns:
        At least one clip.

    Raises:
        DataError: the video cannot be decoded, or has fewer than CLIP_FRAMES frames.
    """
    wanted = sampling.max_clips * CLIP_FRAMES
    sampled: list[SampledFrame] = []
    with open_video(path) as video:
        half_interval_s = 0.5 / video.frames_per_second
        for index, time_s, pixels in video.frames():
            if time_s + half_interval_s > len(sampled) / sampling.frames_per_second:
                frame = SampledFrame(index, time_s, _grey(pixels()))
                while time_s + half_interval_s > len(sampled) / sampling.frames_per_second and len(sampled) < wanted:
                    sampled.append(frame)
            if len(sampled) == wanted:
                break
        facts = video.facts
    if facts.num_frames < CLIP_FRAMES:
        raise DataError(f"it has {facts.num_frames} frames, a clip needs {CLIP_FRAMES}")
    if len(sampled) < CLIP_FRAMES:
        return SampledVideo([_spread_evenly(path, facts.num_frames)], facts)
    starts = range(0, len(sampled) - CLIP_FRAMES + 1, CLIP_FRAMES)
    return SampledVideo([sampled[start : start + CLIP_FRAMES] for start in starts], facts)


def _spread_evenly(path: Path, num_frames: int) -> list[SampledFrame]:
    wanted = set(np.linspace(0, num_frames - 1, CLIP_FRAMES).round().astype(int).tolist())
    with open_video(path) as video:
        return [SampledFrame(index, time_s, _grey(pixels())) for index, time_s, pixels in video.frames() if index in wanted]


def _grey(image: Image) -> Image:
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
