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
from components.core.video.sector import Kind, Sector, find_sector

SAMPLING = Sampling(frames_per_second=10.0, max_clips=2)
FOLDS = 5
DRAWS = 3
CELLS = 14
# A cell is black when its mean over time is below this grey level.
BLACK = 4
# Side of the image whose outermost pixels are the border, and how far inside the ring lies that it is compared with.
BORDER_SIZE_PX, RING_INSET_PX = 56, 14

THUMBNAIL_PX, CAPTION_PX, COLUMNS = 150, 14, 12

Features = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Video:
    """The leftovers of one video, and a frame of it with its sector drawn, [height, width, 3] uint8 BGR."""

    row: ManifestRow
    before: Features
    after: Features
    thumbnail: Image


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", required=True, help="manifest of local videos, as ingest takes it")
    parser.add_argument("--boxes", type=Path, help="picture to write, with the sector that was found in every video")
    arguments = parser.parse_args()
    videos = list(_videos(arguments.manifest))
    if arguments.boxes:
        cv2.imwrite(str(arguments.boxes), _contact_sheet([video.thumbnail for video in videos]))
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
        yield Video(row, before, _after(images, sector), _thumbnail(images[len(images) // 2], sector, row.video_id))


def _thumbnail(image: Image, sector: Sector, title: str) -> Image:
    drawn = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    cv2.polylines(drawn, [sector.outline], True, (0, 255, 255), max(1, max(image.shape) // THUMBNAIL_PX))
    scale = THUMBNAIL_PX / max(image.shape)
    drawn = cv2.resize(drawn, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    sheet = np.zeros((THUMBNAIL_PX + CAPTION_PX, THUMBNAIL_PX, 3), np.uint8)
    sheet[: drawn.shape[0], : drawn.shape[1]] = drawn
    text = f"{title[-22:]} {sector.kind.value if sector.kind is Kind.UNKNOWN else ''}"
    cv2.putText(sheet, text, (1, THUMBNAIL_PX + CAPTION_PX - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.32, (255, 255, 255), 1, cv2.LINE_AA)
    return sheet


def _contact_sheet(thumbnails: list[Image]) -> Image:
    missing = -len(thumbnails) % COLUMNS
    filled = [*thumbnails, *[np.zeros_like(thumbnails[0])] * missing]
    return np.concatenate([np.concatenate(filled[start : start + COLUMNS], axis=1) for start in range(0, len(filled), COLUMNS)])


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
        "border pixels": _ring(small),
        "inner ring": _ring(inside),
        "content: thumbnail": thumbnail,
        "content: thumbnail, change": np.concatenate([thumbnail, deviation]),
        "content: gradients": np.mean([_gradients(frame) for frame in grey[::4]], axis=0),
    }


def _cells(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (CELLS, CELLS), interpolation=cv2.INTER_AREA)


def _ring(image: np.ndarray) -> np.ndarray:
    return np.concatenate([image[0], image[-1], image[1:-1, 0], image[1:-1, -1]])


def _gradients(frame: np.ndarray) -> np.ndarray:
    """Returns histograms of 8 orientations in every cell, relative to the gradients around it (HOG, which OpenCV 5 no longer has)."""
    image = cv2.resize(frame, (8 * CELLS, 8 * CELLS), interpolation=cv2.INTER_AREA).astype(np.float32)
    across, down = cv2.Sobel(image, cv2.CV_32F, 1, 0), cv2.Sobel(image, cv2.CV_32F, 0, 1)
    orientation = (np.arctan2(down, across) % np.pi / np.pi * 8).astype(int).clip(0, 7)
    histograms = np.stack([_cells(np.hypot(across, down) * (orientation == number)) for number in range(8)], axis=2)
    return (histograms / (cv2.blur(histograms.sum(axis=2), (3, 3)) + 4)[..., None]).ravel()


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
