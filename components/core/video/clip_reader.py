"""From one video file to its clips: decoded, sampled and normalised to the sector, as preprocess stores and predict needs them."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np

from components.core.errors import DataError
from components.core.video.decoding import VideoFacts
from components.core.video.pixels import Image
from components.core.video.sampling import Sampling, sample_clips
from components.core.video.screening import check_ultrasound
from components.core.video.sector import Kind, Sector, find_sector, given_sector

JPEG_QUALITY = 95

CropBox = tuple[int, int, int, int]


@dataclasses.dataclass(frozen=True)
class Clip:
    """One clip of a video.

    Attributes:
        frames: [CLIP_FRAMES, FRAME_SIZE_PX, FRAME_SIZE_PX] uint8 grey, normalised to the sector.
        indices: number of each frame in the video, in decoding order from 0.
        times_s: time of each frame in the video.
    """

    frames: np.ndarray
    indices: tuple[int, ...]
    times_s: tuple[float, ...]

    def jpegs(self) -> tuple[bytes, ...]:
        """Returns the frames as JPEG files, as a clip dataset stores them."""
        return tuple(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes() for frame in self.frames)


@dataclasses.dataclass(frozen=True)
class VideoClips:
    """The clips of one video, at least one, the kind of its sector, and what was seen of the video."""

    clips: tuple[Clip, ...]
    sector: Kind
    facts: VideoFacts


def read_clips(path: Path, crop: CropBox | None, sampling: Sampling) -> VideoClips:
    """Reads the clips of one video.

    Args:
        path: a local video file.
        crop: the box of the frame to use (x, y, width, height in pixels), or None to look for the sector.
        sampling: which frames are wanted.

    Raises:
        DataError: the video cannot be decoded, is too short for a clip, is not moving ultrasound, or the box leaves its frame.
    """
    sampled = sample_clips(path, sampling)
    frames = [frame for clip in sampled.clips for frame in clip]
    images = [frame.image for frame in frames]
    sector = _sector(crop, images)
    normalised = sector.normalise(images)
    check_ultrasound([(frame.image, frame.coloured) for frame in frames if frame.coloured is not None], normalised)
    clips = tuple(
        Clip(pixels, tuple(frame.index for frame in clip), tuple(frame.time_s for frame in clip))
        for clip, pixels in zip(sampled.clips, np.split(normalised, len(sampled.clips)), strict=True)
    )
    return VideoClips(clips, sector.kind, sampled.facts)


def _sector(crop: CropBox | None, images: list[Image]) -> Sector:
    """Returns where the field of view is in the images of one video: the given box, else what is found."""
    if not crop:
        return find_sector(images)
    x, y, width, height = crop
    frame_height, frame_width = images[0].shape[:2]
    if y + height > frame_height or x + width > frame_width:
        raise DataError(f"the crop {x},{y},{width},{height} of the manifest leaves the frame of {frame_width} × {frame_height} px")
    return given_sector(crop, (frame_height, frame_width))
