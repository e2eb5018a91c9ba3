"""Exports of a clip dataset for tools that do not read TFRecords; TensorFlow is not needed, and memory does not grow with the dataset.

`export_npy` writes, for people who work with numpy:

    X_train.npy, X_val.npy, X_test.npy    [clips, 14, 224, 224, 3], uint8 RGB, or float32 from 0 to 1; np.load(…, mmap_mode="r") opens them
    y_train.npy, y_val.npy, y_test.npy    [clips] int64 labels
    clips_train.csv, …                    of every clip: video, group, source, and its number in the video
    classes.txt                           the class names, in the order of the labels

`export_frames` writes every frame as an image data set: `split/class/video_frame.jpg`, the bytes as they are stored. A video's id becomes a
safe file name; one that had to be changed for that ends with a part of the id's SHA-1.
"""

import csv
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from components.core import storage
from components.core.errors import DataError
from components.core.files.outputs import staged_folder
from components.core.records.clips import ClipRecord, parse
from components.core.records.shards import DatasetIndex, read_tfrecords

DTYPES = ("uint8", "float32")
SHORT_NAMES = {"train": "train", "validation": "val", "test": "test"}
MAX_NAME = 100
CLIP_COLUMNS = ("video_id", "group", "source", "clip_index")


def export_npy(dataset_path: Path, output_path: Path, dtype: str = "uint8") -> dict[str, int]:
    """Writes the clips of every split as .npy files; the folder appears complete or not at all.

    Args:
        dataset_path: output folder of preprocess.
        output_path: folder to write; it must be new or empty.
        dtype: one of DTYPES.

    Returns:
        The number of clips of each split.

    Raises:
        DataError: the dataset cannot be read.
        StorageError: the folder cannot be written.
    """
    index = DatasetIndex.read(dataset_path)
    with staged_folder(output_path) as staged, storage.failures("write", output_path):
        for split, name in SHORT_NAMES.items():
            _write_split(dataset_path, index, split, staged, name, np.dtype(dtype))
        (staged / "classes.txt").write_text("".join(f"{name}\n" for name in index.class_names), encoding="utf-8")
    return {split: index.splits[split].num_clips for split in SHORT_NAMES}


def export_frames(dataset_path: Path, output_path: Path) -> dict[str, int]:
    """Writes every frame as a JPEG file; the folder appears complete or not at all.

    Args:
        dataset_path: output folder of preprocess.
        output_path: folder to write; it must be new or empty.

    Returns:
        The number of images of each split; a frame that a clip repeats is one image.

    Raises:
        DataError: the dataset cannot be read.
        StorageError: the folder cannot be written.
    """
    index = DatasetIndex.read(dataset_path)
    counts = dict.fromkeys(index.splits, 0)
    with staged_folder(output_path) as staged, storage.failures("write", output_path):
        for split in index.splits:
            for class_name in index.class_names:
                (staged / split / class_name).mkdir(parents=True)
            for clip in _clips(dataset_path, index, split):
                folder = staged / split / index.class_names[clip.label]
                for number, frame in zip(clip.frame_indices, clip.frames, strict=True):
                    path = folder / f"{safe_name(clip.video_id)}_{number:06d}.jpg"
                    counts[split] += not path.exists()
                    path.write_bytes(frame)
    return counts


def safe_name(video_id: str) -> str:
    """Returns a file name that every file system takes, another one for every id."""
    plain = re.sub(r"[^A-Za-z0-9-]", "-", video_id)[:MAX_NAME]
    return plain if plain == video_id else f"{plain}-{hashlib.sha1(video_id.encode()).hexdigest()[:10]}"


def _write_split(dataset_path: Path, index: DatasetIndex, split: str, folder: Path, name: str, dtype: np.dtype[Any]) -> None:
    shape = (index.splits[split].num_clips, *index.clip_shape)
    labels: list[int] = []
    with (folder / f"X_{name}.npy").open("wb") as file, (folder / f"clips_{name}.csv").open("w", encoding="utf-8", newline="") as table:
        # The array is appended piece by piece: pages of a memory map that were written stay in memory.
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        rows = csv.writer(table)
        rows.writerow(CLIP_COLUMNS)
        for clip in _clips(dataset_path, index, split):
            pixels = np.stack([_rgb(frame) for frame in clip.frames])
            file.write((pixels if dtype == np.uint8 else pixels.astype(dtype) / 255).tobytes())
            labels.append(clip.label)
            rows.writerow([getattr(clip, column) for column in CLIP_COLUMNS])
    np.save(folder / f"y_{name}.npy", np.array(labels, np.int64))


def _clips(dataset_path: Path, index: DatasetIndex, split: str) -> Iterator[ClipRecord]:
    for shard in index.splits[split].shards:
        path = dataset_path / shard.name
        if not path.is_file():
            raise DataError(f"the shard {str(path)!r} is missing; run preprocess again.")
        num_clips = 0
        for record in read_tfrecords(path):
            num_clips += 1
            yield parse(record)
        if num_clips != shard.num_clips:
            raise DataError(f"shard {str(path)!r} has {num_clips} clips, the index says {shard.num_clips}; run preprocess again.")


def _rgb(jpeg: bytes) -> Any:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
