"""What a linear model can tell about the class from what should not matter, before and after the sector is normalised.

    python benchmarks/shortcuts.py --manifest videos/manifest.csv --boxes boxes.png

Every line of the table is one leftover of the videos: the macro-F1 of a logistic regression that sees nothing else, over videos, on folds
that keep groups whole; the folds are drawn several times. `before` is the whole frame, `after` what preprocess stores. Below the leftovers
stand the same scores for the content, which should not fall. The border of a normalised frame is anatomy: compare it with `inner ring`,
pixels of the same number from the inside of the frame. `--boxes` draws a frame of every video with the sector that was found, to look at.
"""

import argparse
import dataclasses
import warnings
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from components.core.errors import DataError
from components.core.records.clips import CLASS_NAMES, FRAME_SIZE_PX
from components.core.records.manifest import ManifestRow, read_manifest
from components.core.video.decoding import VideoFacts, open_video
from components.core.video.pixels import Image
from components.core.video.sampling import Sampling, sample_clips
from components.core.video.sector import Sector, find_sector
from components.evaluate.baselines import BORDER_SIZE_PX, ring

SAMPLING = Sampling(frames_per_second=10.0, max_clips=2)
FOLDS = 5
DRAWS = 3
CELLS = 14
# A cell is black when its mean over time is below this grey level.
BLACK = 4
# How far inside the ring lies that the border is compared with.
RING_INSET_PX = 14

COLUMNS = 12  # of the picture

Features = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Video:
    """The leftovers of one video, and a frame of it, [height, width] uint8 grey, with its sector."""

    row: ManifestRow
    before: Features
    after: Features
    frame: Image
    sector: Sector


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", required=True, help="manifest of local videos, as ingest takes it")
    parser.add_argument("--boxes", type=Path, help="picture to write, with the sector that was found in every video")
    arguments = parser.parse_args()
    videos = list(_videos(arguments.manifest))
    if arguments.boxes:
        _draw_boxes(arguments.boxes, videos)
    labels = np.array([CLASS_NAMES.index(video.row.class_name) for video in videos])
    groups = np.array([video.row.group for video in videos])
    print(f"{len(videos)} videos of {len(set(groups))} groups; macro-F1, {FOLDS} folds by group, mean and range of {DRAWS} draws")
    majority = DummyClassifier().fit(labels[:, None], labels).predict(labels[:, None])
    print(f"{'majority class':28}{f1_score(labels, majority, average='macro'):.2f}")
    print(f"{'':28}{'before':20}after")
    for name in videos[0].before:
        scores = [
            _score(np.stack([side[name] for side in sides]), labels, groups) if name in sides[0] else "-"
            for sides in ([video.before for video in videos], [video.after for video in videos])
        ]
        print(f"{name:28}{scores[0]:20}{scores[1]}", flush=True)


def _videos(manifest: str) -> Iterator[Video]:
    for row in read_manifest(manifest):
        path = Path(row.uri)
        try:
            video = sample_clips(path, SAMPLING)
        except DataError as error:
            print(f"{row.video_id} is left out: {error}")
            continue
        frames = [frame for clip in video.clips for frame in clip]
        images = [frame.image for frame in frames]
        sector = find_sector(images)
        before = _before(path.suffix.lower(), video.facts, images, _colour(path, {frame.index for frame in frames}), sector)
        yield Video(row, before, _after(images, sector), images[len(images) // 2], sector)


def _draw_boxes(path: Path, videos: list[Video]) -> None:
    num_rows = -(-len(videos) // COLUMNS)
    figure = Figure(figsize=(1.5 * COLUMNS, 1.6 * num_rows), layout="constrained")
    for axes, video in zip(figure.subplots(num_rows, COLUMNS, squeeze=False).flat, videos, strict=False):
        axes.imshow(video.frame, cmap="gray")
        axes.add_patch(Polygon(video.sector.outline, fill=False, color="yellow"))
        axes.set_title(f"{video.row.video_id[-22:]} {video.sector.kind.value}", fontsize=5)
    for axes in figure.axes:
        axes.set_axis_off()
    figure.savefig(path)


def _colour(path: Path, indices: set[int]) -> np.ndarray:
    """Returns the mean blue, green and red of some frames of a video."""
    with open_video(path) as video:
        return np.mean([frame.colours().mean(axis=(0, 1)) for frame in video.frames() if frame.index in indices], axis=0)


def _before(suffix: str, facts: VideoFacts, images: list[Image], colour: np.ndarray, sector: Sector) -> Features:
    size = (FRAME_SIZE_PX, FRAME_SIZE_PX)
    grey = np.stack([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images])
    containers = (".mp4", ".mov", ".avi", ".gif", ".mpeg", ".wmv")
    return {
        "frame rate": np.array([facts.frames_per_second]),
        "container": np.array([suffix == container for container in containers]),
        "frame size": np.array([facts.height_px, facts.width_px, facts.width_px / facts.height_px]),
        "colour tint": colour[[0, 2]] - colour[1],
        "shape of the sector": _cells(sector.mask.astype(np.float32)).ravel(),
        **_features(grey),
    }


def _after(frames: list[Image], sector: Sector) -> Features:
    normalised = sector.normalise(frames)
    # Grey, and the view is filled to its corners: two constants.
    return {"colour tint": np.zeros(2), "shape of the sector": np.ones(CELLS**2), **_features(normalised)}


def _features(grey: np.ndarray) -> Features:
    """Returns what is in the pixels of a video, [frames, FRAME_SIZE_PX, FRAME_SIZE_PX] uint8."""
    mean = grey.mean(axis=0, dtype=np.float32)
    small = cv2.resize(mean, (BORDER_SIZE_PX, BORDER_SIZE_PX), interpolation=cv2.INTER_AREA)
    inside = small[RING_INSET_PX:-RING_INSET_PX, RING_INSET_PX:-RING_INSET_PX]
    thumbnail, deviation = _cells(mean).ravel(), _cells(grey.std(axis=0).astype(np.float32)).ravel()
    return {
        "black cells": thumbnail < BLACK,
        "border pixels": ring(small),
        "inner ring": ring(inside),
        "content: thumbnail": thumbnail,
        "content: thumbnail, change": np.concatenate([thumbnail, deviation]),
    }


def _cells(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (CELLS, CELLS), interpolation=cv2.INTER_AREA)


def _score(features: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> str:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=1000, random_state=0))
    scores = []
    for draw in range(DRAWS):
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=draw)
        with warnings.catch_warnings():
            # scikit-learn warns of an empty class in a fold that has few groups.
            warnings.simplefilter("ignore", UserWarning)
            predicted = cross_val_predict(model, features.astype(float), labels, groups=groups, cv=folds)
        scores.append(f1_score(labels, predicted, average="macro"))
    return f"{np.mean(scores):.2f} ({min(scores):.2f}–{max(scores):.2f})"


if __name__ == "__main__":
    main()
