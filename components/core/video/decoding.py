"""Decoding of video files with OpenCV (FFmpeg inside): mp4, mov, avi, gif, mpeg, wmv.

A file is read on from its start, once: seeking was measured 3–5 times slower and lands on wrong frames in mpeg and mov files, and the
header's frame count is wrong in one file of six. Frames that nobody asked for are grabbed, not converted.

A decoder can say "ok" and give memory that it never wrote to: OpenCV 4.10–4.12 do so for a real video of 148 × 141 px. `check_decoder` sees
it, as it was tried with 4.12.
"""

import contextlib
import ctypes
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
# Larger frames are 8K and beyond, which no ultrasound machine makes; 4096 × 2304 is the largest 4K format.
MAX_FRAME_PIXELS = 4096 * 2304
MIN_FRAME_SIDE_PX = 16
# glibc's mallopt(M_PERTURB, byte): fills memory when it is handed out (https://man7.org/linux/man-pages/man3/mallopt.3.html).
M_PERTURB = -6

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
        # What the header says, which may be wrong or nothing.
        self.stated_num_frames = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self._size: tuple[int, int] | None = None
        self._num_frames = 0
        self._time_s = -1 / self.frames_per_second

    @property
    def facts(self) -> VideoFacts:
        """What has been seen up to now."""
        width, height = self._size or (0, 0)
        interval_s = 1 / self.frames_per_second
        return VideoFacts(width, height, self.frames_per_second, self._num_frames, self._time_s + interval_s)

    def frames(self) -> Iterator[Frame]:
        """Yields the frames of the video in order.

        Yields:
            The frame's number from 0, its time in seconds from the first frame (strictly increasing, whatever the file says), and a
            function that gives its pixels [height, width, 3] uint8 BGR; it must be called before the next frame is asked for.

        Raises:
            DataError: a frame cannot be decoded, or has another size than those before.
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

    def _retrieve(self) -> Image:
        image = _retrieved(self._capture)
        size = image.shape[1], image.shape[0]
        if self._size and size != self._size:
            raise DataError(f"its frames change size, from {_size_text(self._size)} to {_size_text(size)}")
        self._size = size
        return image


@contextlib.contextmanager
def open_video(path: Path) -> Iterator[Video]:
    """Opens a local video file.

    Raises:
        DataError: the file is not a video that the decoder can open, its frames are too large or too small, or the decoder fails in the
            block.
    """
    with _capture(path) as capture:
        yield Video(capture)


def check_decoder(path: Path) -> None:
    """Decodes the first frame of a video twice, with fresh memory filled with different bytes.

    Raises:
        DataError: the results differ, or the file is not a video that can be opened.
    """
    if not np.array_equal(_first_image(path, 0x55), _first_image(path, 0xAA)):
        raise DataError("the decoder gives other pixels each time that it reads the same frame")


@contextlib.contextmanager
def _capture(path: Path) -> Iterator[cv2.VideoCapture]:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    try:
        if not capture.isOpened():
            raise DataError("the decoder cannot open it")
        _check_size((int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))))
        yield capture
    except cv2.error as error:
        raise DataError(f"the decoder failed: {error.err or error}") from error
    finally:
        capture.release()


def _first_image(path: Path, fill: int) -> Image:
    with _fresh_memory_filled_with(fill), _capture(path) as capture:
        if not capture.grab():
            raise DataError("no frame could be decoded")
        return _retrieved(capture)


@contextlib.contextmanager
def _fresh_memory_filled_with(byte: int) -> Iterator[None]:
    """Lets memory that is handed out hold this byte, where the C library can do that; elsewhere it holds what it happens to hold."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", lambda *_: 0)
    mallopt(M_PERTURB, byte)
    try:
        yield
    finally:
        mallopt(M_PERTURB, 0)


def _check_size(size: tuple[int, int]) -> None:
    if size[0] * size[1] > MAX_FRAME_PIXELS:
        raise DataError(f"its frames of {_size_text(size)} are too large, the limit is {MAX_FRAME_PIXELS:,} pixels")
    if min(size) < MIN_FRAME_SIDE_PX:
        raise DataError(f"its frames of {_size_text(size)} are too small, the least is {MIN_FRAME_SIDE_PX} px a side")


def _size_text(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]} px"


def _retrieved(capture: cv2.VideoCapture) -> Image:
    decoded, image = capture.retrieve()
    if not decoded or image is None:
        raise DataError("a frame could not be decoded")
    _check_size((image.shape[1], image.shape[0]))
    return image
