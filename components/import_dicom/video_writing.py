"""Writing lossless videos: FFV1 (RFC 9043) in RGB, in Matroska.

FFV1 keeps every pixel, every FFmpeg reads it (so core.video does), and Matroska keeps each frame's own time. Encoder and container write
nothing of themselves or of the time, so that the same frames give the same bytes.
"""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from components.core.errors import DiskError
from components.core.files import disk_faults
from components.import_dicom.outcomes import RejectedError

SUFFIX = ".mkv"
_MILLISECOND = Fraction(1, 1000)


def write_video(path: Path, frames: Iterable[np.ndarray], size: tuple[int, int], times_ms: tuple[int, ...]) -> None:
    """Writes a video.

    Args:
        path: a file, its suffix is SUFFIX.
        frames: [height, width, 1 or 3] uint8, grey or RGB.
        size: height and width of every frame.
        times_ms: of the frames, strictly increasing.

    Raises:
        RejectedError: FFmpeg does not take them.
        DiskError: the disk is full, or refuses.
    """
    try:
        _write(path, frames, size, times_ms)
    except av.FFmpegError as error:
        if sentence := disk_faults.sentence_about(OSError(error.errno, error.strerror), path):
            raise DiskError(sentence) from None
        raise RejectedError(f"its frames cannot be written as a video ({type(error).__name__})") from None


def _write(path: Path, frames: Iterable[np.ndarray], size: tuple[int, int], times_ms: tuple[int, ...]) -> None:
    mean_interval_ms = (times_ms[-1] - times_ms[0]) / (len(times_ms) - 1) if len(times_ms) > 1 else 40
    rate = max(Fraction(1000 / mean_interval_ms).limit_denominator(1000), Fraction(1, 1000))
    with av.open(str(path), "w", format="matroska", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.height, stream.width = size
        stream.pix_fmt = "bgr0"
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        stream.codec_context.time_base = _MILLISECOND
        for image, time_ms in zip(frames, times_ms, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.broadcast_to(image, (*size, 3))), format="rgb24")
            frame.time_base, frame.pts = _MILLISECOND, time_ms
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
