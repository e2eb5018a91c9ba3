"""Contact sheets of a clip dataset: for each class, a frame of every video, by split."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from components.core.records.clips import CLIP_FRAMES, SPLITS, ClipRecord
from components.core.records.shards import read_clips

THUMBNAIL_PX = 112
CAPTION_PX = 14
COLUMNS = 12
MAX_VIDEOS_OF_SPLIT = 48


def contact_sheets(dataset_path: Path, class_names: Sequence[str]) -> dict[str, bytes]:
    """Returns a JPEG file of each class; long lists are cut, as their heading says."""
    clips = {split: _first_clips(dataset_path, split) for split in SPLITS}
    sheets = {}
    for label, class_name in enumerate(class_names):
        bands: list[np.ndarray] = []
        for split in SPLITS:
            videos = [clip for clip in clips[split] if clip.label == label]
            shown = videos[:MAX_VIDEOS_OF_SPLIT]
            bands.append(_heading(f"{split}: {len(shown)} of {len(videos)} videos"))
            bands += [_row(shown[start : start + COLUMNS]) for start in range(0, len(shown), COLUMNS)]
        sheets[class_name] = cv2.imencode(".jpg", np.concatenate(bands), [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
    return sheets


def _first_clips(dataset_path: Path, split: str) -> list[ClipRecord]:
    return sorted((clip for clip in read_clips(dataset_path, split) if clip.clip_index == 0), key=lambda clip: (clip.group, clip.video_id))


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
