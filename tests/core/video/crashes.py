"""What a decoder can do to its process, under the signature of clip_reader.read_clips; a child process imports it by name."""

import os
import time
from pathlib import Path
from typing import Any

from components.core.video.clip_reader import VideoClips, read_clips


def aborting_at_bad_ones(path: Path, *others: Any) -> VideoClips:
    """Reads a video, but dies as a decoder's failed assertion does when its name says so."""
    if "crash" in path.name:
        os.abort()
    return read_clips(path, *others)


def segmentation_fault() -> None:
    """Reads at address 0."""
    import ctypes

    ctypes.string_at(0)


def hang() -> None:
    """Waits where no Python code runs."""
    time.sleep(60)


def endless_loop() -> None:
    """Never ends."""
    while True:
        pass


def memory_bomb() -> int:
    """Takes 1 GiB in pieces."""
    return len([bytearray(1 << 26) for _ in range(16)])


def defect() -> None:
    """Fails as unforeseen content makes code fail."""
    raise ValueError("negative width")
