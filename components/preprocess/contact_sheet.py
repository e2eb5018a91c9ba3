"""The contact sheet of a clip dataset: a frame of every video, by split and class, to look at before anything is trained."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from components.core.clips import CLIP_FRAMES, SPLITS, ClipRecord, parse
from components.core.shards import CONTACT_SHEET_NAME, read_tfrecords

THUMBNAIL_PX = 112
CAPTION_PX = 14
COLUMNS = 12
MAX_VIDEOS_PER_ROW_OF_CLASS = 48


def write_contact_sheet(dataset_path: Path, class_names: Sequence[str]) -> None:
    """Writes the contact sheet beside the shards; long lists are cut, as their heading says."""
    bands: list[np.ndarray] = []
    for split in SPLITS:
        for label, class_name in enumerate(class_names):
            videos = [clip for clip in _first_clips(dataset_path, split) if clip.label == label]
            shown = videos[:MAX_VIDEOS_PER_ROW_OF_CLASS]
            bands.append(_heading(f"{split}: {class_name}, {len(shown)} of {len(videos)} videos"))
            bands += [_row(shown[start : start + COLUMNS]) for start in range(0, len(shown), COLUMNS)]
    cv2.imwrite(str(dataset_path / CONTACT_SHEET_NAME), np.concatenate(bands), [cv2.IMWRITE_JPEG_QUALITY, 85])


def _first_clips(dataset_path: Path, split: str) -> list[ClipRecord]:
    paths = sorted(dataset_path.glob(f"{split}-*.tfrecord"))
    clips = (parse(record) for path in paths for record in read_tfrecords(path))
    return sorted((clip for clip in clips if clip.clip_index == 0), key=lambda clip: (clip.group, clip.video_id))


def _heading(text: str) -> np.ndarray:
    band = np.full((2 * CAPTION_PX, COLUMNS * THUMBNAIL_PX, 3), 60, np.uint8)
    cv2.putText(band, text, (6, CAPTION_PX + 5), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return band


def _row(clips: list[ClipRecord]) -> np.ndarray:
    band = np.zeros((THUMBNAIL_PX + CAPTION_PX, COLUMNS * THUMBNAIL_PX, 3), np.uint8)
    for column, clip in enumerate(clips):
        frame: Any = cv2.imdecode(np.frombuffer(clip.frames[CLIP_FRAMES // 2], np.uint8), cv2.IMREAD_COLOR)
        left = column * THUMBNAIL_PX
        size = (THUMBNAIL_PX, THUMBNAIL_PX)
        band[:THUMBNAIL_PX, left : left + THUMBNAIL_PX] = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        origin = (left + 2, THUMBNAIL_PX + CAPTION_PX - 4)
        cv2.putText(band, clip.video_id[-19:], origin, cv2.FONT_HERSHEY_SIMPLEX, 0.31, (200, 200, 200), 1, cv2.LINE_AA)
    return band
