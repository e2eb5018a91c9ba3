"""Sampling: which frames of a video become clips.

`window` takes frames at a fixed rate in seconds, the nearest source frame to each instant, so that a clip spans the same time at 10 and at
60 frames per second (the source's frame rate alone would tell the class). Clips follow each other without overlap:

    time (s)   0.0  0.1  0.2 …  1.3 | 1.4  1.5 …  2.7 | …          at 10 frames per second
               └───── clip 0 ─────┘   └──── clip 1 ───┘

A video that is too brief for one such clip but has CLIP_FRAMES frames gives one clip, spread evenly over all of it.

`uniform` spreads the frames of one clip evenly over the whole video, however long it is: its representative frames.

    frame      0        23        46      …      276       299     of 300
               └──────────────────── clip 0 ─────────────────┘

In both ways a video with fewer than CLIP_FRAMES frames gives none. docs/sampling.svg draws it.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from components.core.errors import DataError
from components.core.parameters import CHOICES
from components.core.records.clips import CLIP_FRAMES
from components.core.video.decoding import Frame, VideoFacts, count_packets, open_video
from components.core.video.pixels import Image
from components.core.video.screening import coloured_share

WINDOW, UNIFORM = CHOICES["sampling"]


@dataclasses.dataclass(frozen=True)
class Sampling:
    """Which frames are wanted.

    Attributes:
        frames_per_second: rate at which `window` samples frames.
        max_clips: clips of one video after so many are left out by `window`, and the file is read no further than its first CLIP_FRAMES
            frames and these clips.
        mode: `window` or `uniform`.
    """

    frames_per_second: float
    max_clips: int
    mode: str = WINDOW

    @classmethod
    def of(cls, dataset_parameters: Mapping[str, Any]) -> "Sampling":
        """Returns how preprocess samples, from what it is asked to do (DatasetIndex.parameters).

        Raises:
            KeyError: the parameters do not tell.
        """
        # Datasets made before there was a choice are windows.
        mode = dataset_parameters.get("sampling", WINDOW)
        return cls(dataset_parameters["frames_per_second"], dataset_parameters["max_clips_per_video"], mode)


@dataclasses.dataclass(frozen=True)
class SampledFrame:
    """A frame that was chosen.

    Attributes:
        index: its number in the video.
        time_s: its time in seconds.
        image: its pixels, [height, width] uint8 grey.
        coloured: the share of its pixels that had natural colours; None but for one frame of a clip, for it takes longer than decoding it.
    """

    index: int
    time_s: float
    image: Image
    coloured: float | None


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
    clips, facts = _whole(path) if sampling.mode == UNIFORM else _windows(path, sampling)
    if facts.num_frames < CLIP_FRAMES:
        raise DataError(f"it has {facts.num_frames} frames, a clip needs {CLIP_FRAMES}")
    if not clips:
        clips = [_spread_evenly(path, facts.num_frames)[0]]
    return SampledVideo(clips, facts)


def _windows(path: Path, sampling: Sampling) -> tuple[list[list[SampledFrame]], VideoFacts]:
    """Returns clips at a fixed rate, none when the video is too brief for one."""
    wanted = sampling.max_clips * CLIP_FRAMES
    sampled: list[SampledFrame] = []
    with open_video(path) as video:
        half_interval_s = 0.5 / video.facts.frames_per_second
        for frame in video.frames():
            shown_until_s = frame.time_s + half_interval_s
            if len(sampled) < wanted and shown_until_s > len(sampled) / sampling.frames_per_second:
                chosen = _sampled(len(sampled), frame)
                while shown_until_s > len(sampled) / sampling.frames_per_second and len(sampled) < wanted:
                    sampled.append(chosen)
            # Frames of a slow video are taken more than once, so fewer than a clip's may have filled it.
            if len(sampled) == wanted and frame.index + 1 >= CLIP_FRAMES:
                break
        facts = video.facts
    starts = range(0, len(sampled) - CLIP_FRAMES + 1, CLIP_FRAMES)
    return [sampled[start : start + CLIP_FRAMES] for start in starts], facts


def _whole(path: Path) -> tuple[list[list[SampledFrame]], VideoFacts]:
    """Returns one clip over the whole video, none when it has not as many frames as packets: that is known only when it is decoded."""
    num_packets = count_packets(path)
    frames, facts = _spread_evenly(path, num_packets)
    return [frames] if facts.num_frames == num_packets else [], facts


def _spread_evenly(path: Path, num_frames: int) -> tuple[list[SampledFrame], VideoFacts]:
    """Reads a video to its end; returns CLIP_FRAMES of its frames, which has so many."""
    wanted = set(np.linspace(0, num_frames - 1, CLIP_FRAMES).round().astype(int).tolist())
    with open_video(path) as video:
        chosen = (frame for frame in video.frames() if frame.index in wanted)
        frames = [_sampled(number, frame) for number, frame in enumerate(chosen)]
        return frames, video.facts


def _sampled(number: int, frame: Frame) -> SampledFrame:
    # Of each clip the middle one is looked at: that of a title or of a fade is at an end.
    coloured = coloured_share(frame.colours()) if number % CLIP_FRAMES == CLIP_FRAMES // 2 else None
    return SampledFrame(frame.index, frame.time_s, frame.grey(), coloured)
