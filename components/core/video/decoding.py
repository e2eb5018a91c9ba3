"""Decoding of video files with OpenCV (FFmpeg inside): mp4, mov, avi, gif, mpeg, wmv.

A file is read on from its start, once: seeking was measured 3–5 times slower and lands on wrong frames in mpeg and mov files, and the
header's frame count is wrong in one file of six. Frames that nobody asked for are grabbed, not converted.
"""

import contextlib
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


def read_frames(path: Path) -> Iterator[Frame]:
    """Yields the frames of a video in order.

    Args:
        path: a local video file.

    Yields:
        The frame's number from 0, its time in seconds from the first frame (strictly increasing, whatever the file says), and a
        function that gives its pixels [height, width, 3] uint8 BGR; it must be called before the next frame is asked for.

    Raises:
        DataError: the file is not a video that the decoder can open, or a frame cannot be decoded.
    """
    with _capture(path) as capture:
        interval_s = 1 / _frame_rate(capture)
        index, start_s, time_s = 0, 0.0, -interval_s
        while capture.grab():
            stamp_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if index == 0:
                start_s = stamp_s
            time_s = stamp_s - start_s if stamp_s - start_s > time_s else time_s + interval_s
            yield index, time_s, lambda: _retrieve(capture)
            index += 1
        if not index:
            raise DataError("no frame could be decoded")


def frame_rate(path: Path) -> float:
    """Returns the nominal frame rate in frames per second, FALLBACK_FPS when the file states none.

    Raises:
        DataError: the file is not a video that the decoder can open.
    """
    with _capture(path) as capture:
        return _frame_rate(capture)


@contextlib.contextmanager
def _capture(path: Path) -> Iterator[cv2.VideoCapture]:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    try:
        if not capture.isOpened():
            raise DataError("the decoder cannot open it")
        yield capture
    except cv2.error as error:
        raise DataError(f"the decoder failed: {error.err or error}") from error
    finally:
        capture.release()


def _frame_rate(capture: cv2.VideoCapture) -> float:
    fps = capture.get(cv2.CAP_PROP_FPS)
    return fps if 0 < fps < 1000 else FALLBACK_FPS


def _retrieve(capture: cv2.VideoCapture) -> Image:
    decoded, image = capture.retrieve()
    if not decoded or image is None:
        raise DataError("a frame could not be decoded")
    return image
