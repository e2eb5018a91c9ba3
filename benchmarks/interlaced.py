"""What becomes of A-lines and B-lines when frames with two fields are taken whole, and when they are deinterlaced.

    python benchmarks/interlaced.py --videos FOLDER [--num-videos 40]

Each progressive video of a folder with a manifest.csv is filmed anew as a frame grabber of 525 lines would have: shown 60 times a second on
480 lines, every other line of every other picture. Its frames are then made whole in several ways, shrunk to the size of a clip's frame,
and compared with the picture that was shown when the frame's first field was taken:

    error      mean absolute difference in grey levels
    A-lines    correlation of the rows' brightness without its trend with that of the picture; their contrast against the picture's
    B-lines    the same of the columns
"""

import argparse
import subprocess
from pathlib import Path

import cv2
import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe

from components.core.records.clips import FRAME_SIZE_PX
from components.core.records.manifest import read_manifest
from components.core.video.decoding import open_video

LINES, FIELDS_PER_SECOND = 480, 60000 / 1001
MAX_SECONDS = 2
TREND_PX = 12
# In grey levels; black frames have no lines.
MIN_CONTRAST = 0.1
WAYS = {"whole": "", "bwdif": "bwdif=mode=send_frame:parity=tff", "yadif": "yadif=mode=send_frame:parity=tff", "one field": "field=top"}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, required=True)
    parser.add_argument("--num-videos", type=int, default=40)
    options = parser.parse_args()
    rows = read_manifest(str(options.videos / "manifest.csv"))
    found: dict[str, list[np.ndarray]] = {name: [] for name in WAYS}
    for row in rows[:: max(1, len(rows) // options.num_videos)]:
        shown = _shown(Path(row.uri))
        woven = shown[:-1:2].copy()
        woven[:, 1::2] = shown[1::2, 1::2]
        truth = [_shrunk(image) for image in shown[:-1:2]]
        for name, filters in WAYS.items():
            made = [_shrunk(image) for image in (_filtered(woven, filters) if filters else woven)]
            found[name].append(np.nanmean([_measures(*pair) for pair in zip(made, truth, strict=True)], axis=0))
    print(f"{len(found['whole'])} videos")
    print(f"{'':12}{'error':>8}{'A-lines':>18}{'B-lines':>18}")
    for name, values in found.items():
        error, rows_r, rows_contrast, columns_r, columns_contrast = np.nanmean(values, axis=0)
        print(f"{name:12}{error:8.2f}{rows_r:10.4f} ×{rows_contrast:5.2f}{columns_r:11.4f} ×{columns_contrast:5.2f}")


def _shown(path: Path) -> np.ndarray:
    """Returns what the screen showed at every field, [fields, LINES, width] uint8; an even number of them."""
    with open_video(path) as video:
        frames = [(frame.time_s, frame.grey()) for frame in video.frames() if frame.time_s < MAX_SECONDS]
    times_s = np.array([time_s for time_s, _ in frames])
    num_fields = int(times_s[-1] * FIELDS_PER_SECOND) // 2 * 2
    height, width = frames[0][1].shape
    size = (round(width * LINES / height) // 2 * 2, LINES)
    large = [cv2.resize(image, size, interpolation=cv2.INTER_CUBIC) for _, image in frames]
    return np.stack([large[np.searchsorted(times_s, field / FIELDS_PER_SECOND, "right") - 1] for field in range(num_fields)])


def _filtered(frames: np.ndarray, filters: str) -> np.ndarray:
    height, width = frames.shape[1:]
    raw = ["-f", "rawvideo", "-pix_fmt", "gray"]
    command = [get_ffmpeg_exe(), "-v", "error", *raw, "-s", f"{width}x{height}", "-r", "25", "-i", "-"]
    command += ["-vf", f"setfield=tff,{filters},scale={width}:{height}", "-fps_mode", "passthrough", *raw, "-"]
    output = subprocess.run(command, input=frames.tobytes(), capture_output=True, check=True).stdout
    return np.frombuffer(output, np.uint8).reshape(frames.shape)


def _shrunk(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (FRAME_SIZE_PX, FRAME_SIZE_PX), interpolation=cv2.INTER_AREA).astype(float)


def _measures(made: np.ndarray, truth: np.ndarray) -> list[float]:
    values = [float(np.abs(made - truth).mean())]
    for axis in (1, 0):
        ours, theirs = (_without_trend(image.mean(axis=axis)) for image in (made, truth))
        seen = theirs.std() > MIN_CONTRAST
        values += [float(np.corrcoef(ours, theirs)[0, 1]), float(ours.std() / theirs.std())] if seen else [np.nan, np.nan]
    return values


def _without_trend(profile: np.ndarray) -> np.ndarray:
    return profile - cv2.GaussianBlur(profile[:, None], (1, 6 * TREND_PX + 1), TREND_PX)[:, 0]


if __name__ == "__main__":
    main()
