"""Draws docs/sampling.svg: which frames the two ways of sampling take, asked from the code on three small videos.

python docs/sampling.py
"""

import tempfile
from pathlib import Path

import cv2
import numpy as np
from matplotlib import pyplot

from components.core.video.sampling import UNIFORM, WINDOW, Sampling, sample_clips

# Title, frames per second, seconds.
VIDEOS = (("10 frames/s, 5 s", 10, 5.0), ("30 frames/s, 5 s", 30, 5.0), ("30 frames/s, 0.9 s", 30, 0.9))
CLIP_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
FRAME_COLOUR = "#b0b0b0"
MAX_CLIPS = 4


def main() -> None:
    """Writes the picture beside this file."""
    pyplot.rcParams.update({"svg.hashsalt": "sampling", "svg.fonttype": "none", "font.size": 9})
    figure, axes = pyplot.subplots(len(VIDEOS), 2, figsize=(9, 3), sharex=True, layout="constrained")
    for (title, fps, seconds), row in zip(VIDEOS, axes, strict=True):
        for mode, axis in zip((WINDOW, UNIFORM), row, strict=True):
            _draw(axis, fps, round(fps * seconds), mode)
        row[0].set_ylabel(title, rotation=0, ha="right", va="center")
    axes[0, 0].set_title("window: 14 frames a clip, 10 a second")
    axes[0, 1].set_title("uniform: 14 frames over the whole video")
    for axis in axes[-1]:
        axis.set_xlabel("time in the video (s)")
    figure.savefig(Path(__file__).with_suffix(".svg"), metadata={"Date": None}, facecolor="white")


def _draw(axis: pyplot.Axes, fps: int, num_frames: int, mode: str) -> None:
    axis.vlines(np.arange(num_frames) / fps, 0, 0.35, color=FRAME_COLOUR, linewidth=0.8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (16, 16))
        for _ in range(num_frames):
            writer.write(np.zeros((16, 16, 3), np.uint8))
        writer.release()
        clips = sample_clips(path, Sampling(10.0, MAX_CLIPS, mode)).clips
    for number, (clip, colour) in enumerate(zip(clips, CLIP_COLOURS, strict=False)):
        axis.vlines([frame.index / fps for frame in clip], 0, 1, color=colour, linewidth=1.6)
        axis.text((clip[0].index + clip[-1].index) / 2 / fps, 1.08, f"clip {number}", color=colour, ha="center", va="bottom", fontsize=8)
    axis.set(yticks=[], ylim=(0, 1.6))
    axis.spines[["left", "right", "top"]].set_visible(False)


if __name__ == "__main__":
    main()
