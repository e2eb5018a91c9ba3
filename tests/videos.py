"""Tiny videos for tests, written with PyAV, so that the project's decoder is checked against another library."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

# What each container usually holds: codec and pixel format.
CODECS = {
    ".mp4": ("mpeg4", "yuv420p"),
    ".mov": ("h264", "yuv420p"),
    ".avi": ("mjpeg", "yuvj420p"),
    ".gif": ("gif", "rgb8"),
    ".mpeg": ("mpeg1video", "yuv420p"),
    ".wmv": ("wmv2", "yuv420p"),
}


def numbered_frames(num_frames: int, height: int = 96, width: int = 128) -> np.ndarray:
    """Returns frames [n, height, width, 3] uint8 whose grey level grows with their number."""
    frames = np.zeros((num_frames, height, width, 3), np.uint8)
    frames[:] = np.linspace(20, 235, num_frames).astype(np.uint8)[:, None, None, None]
    return frames


def write_video(path: Path, frames: np.ndarray, fps: float = 25, times_s: list[float] | None = None) -> Path:
    """Writes frames [n, height, width, 3] uint8 RGB; `times_s` gives each frame a time of its own."""
    codec, pixel_format = CODECS[path.suffix]
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1000))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixel_format
        stream.bit_rate = 4_000_000
        if times_s:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if times_s:
                frame.time_base, frame.pts = Fraction(1, 1000), round(times_s[number] * 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def decoded(path: Path) -> list[np.ndarray]:
    """Returns the frames of a video [height, width, 3] uint8 RGB, as PyAV decodes and converts them by itself."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
