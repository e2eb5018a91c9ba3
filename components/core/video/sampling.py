"""Sampling: which frames of a video become clips.

Frames are taken at a fixed rate in seconds, the nearest source frame to each instant, so that a clip spans the same time at 10 and at
60 frames per second (the source's frame rate alone would tell the class). Clips follow each other without overlap:

    time (s)   0.0  0.1  0.2 …  1.3 | 1.4  1.5 …  2.7 | …          at 10 frames per second
               └───── clip 0 ─────┘   └──── clip 1 ───┘

A video that is too brief for one such clip but has CLIP_FRAMES frames gives one clip, spread evenly over all of it. A video with fewer
frames gives none.
"""

import dataclasses
from pathlib import Path

import numpy as np

from components.core.clips import CLIP_FRAMES
from components.core.errors import DataError
from components.core.video.decoding import Image, frame_rate, read_frames


@dataclasses.dataclass(frozen=True)
class SampledFrame:
    """A frame that was chosen: its number in the video, its time in seconds, and its pixels [height, width, 3] uint8 BGR."""

    index: int
    time_s: float
    image: Image


def sample_clips(path: Path, frames_per_second: float, max_clips: int) -> list[list[SampledFrame]]:
    """Samples the clips of one video; memory grows with the number of clips, not with the length of the video.

    Args:
        path: a local video file.
        frames_per_second: rate at which frames are sampled.
        max_clips: clips after so many are left out, and the file is read no further.

    Returns:
        At least one clip of CLIP_FRAMES frames each.

    Raises:
        DataError: the video cannot be decoded, or has fewer than CLIP_FRAMES frames.
    """
    half_interval_s = 0.5 / frame_rate(path)
    sampled: list[SampledFrame] = []
    num_frames = 0
    for index, time_s, pixels in read_frames(path):
        num_frames += 1
        if time_s + half_interval_s > len(sampled) / frames_per_second:
            frame = SampledFrame(index, time_s, pixels())
            while time_s + half_interval_s > len(sampled) / frames_per_second and len(sampled) < max_clips * CLIP_FRAMES:
                sampled.append(frame)
        if len(sampled) == max_clips * CLIP_FRAMES:
            break
    if num_frames < CLIP_FRAMES:
        raise DataError(f"it has {num_frames} frames, a clip needs {CLIP_FRAMES}")
    if len(sampled) < CLIP_FRAMES:
        return [_spread_evenly(path, num_frames)]
    return [sampled[start : start + CLIP_FRAMES] for start in range(0, len(sampled) - CLIP_FRAMES + 1, CLIP_FRAMES)]


def _spread_evenly(path: Path, num_frames: int) -> list[SampledFrame]:
    wanted = set(np.linspace(0, num_frames - 1, CLIP_FRAMES).round().astype(int).tolist())
    return [SampledFrame(index, time_s, pixels()) for index, time_s, pixels in read_frames(path) if index in wanted]
