"""Exports are compared with what TensorFlow reads from the same dataset, or with the stored bytes."""

import copy
import csv
import io
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.core.errors import DataError, StorageError
from components.core.records.clips import CLASS_NAMES, parse
from components.core.records.shards import DatasetIndex, read_tfrecords
from components.core.video.dataset_export import export_frames, export_npy, safe_name
from tests.clip_datasets import clip_record, toy_clip, write_dataset, write_toy_dataset

COUNTS = {"train": 2, "validation": 1, "test": 1}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_dataset(tmp_path_factory.mktemp("data") / "dataset", COUNTS)


def records(dataset: Path, split: str) -> list:
    return [parse(record) for shard in DatasetIndex.read(dataset).splits[split].shards for record in read_tfrecords(dataset / shard.name)]


def test_npy_files_hold_the_clips_in_the_order_of_the_shards(dataset: Path, tmp_path: Path) -> None:
    assert export_npy(dataset, tmp_path / "npy") == {"train": 6, "validation": 3, "test": 3}
    for split, name in (("train", "train"), ("validation", "val"), ("test", "test")):
        stored = records(dataset, split)
        clips = np.load(tmp_path / "npy" / f"X_{name}.npy", mmap_mode="r")
        labels = np.load(tmp_path / "npy" / f"y_{name}.npy")
        assert clips.shape == (len(stored), 14, 224, 224, 3)
        assert clips.dtype == np.uint8
        assert labels.tolist() == [record.label for record in stored]
        with (tmp_path / "npy" / f"clips_{name}.csv").open(newline="") as file:
            assert [row["group"] for row in csv.DictReader(file)] == [record.group for record in stored]
    first = np.asarray(Image.open(io.BytesIO(records(dataset, "test")[1].frames[3])).convert("RGB"))
    test_clips = np.load(tmp_path / "npy" / "X_test.npy")
    assert np.abs(test_clips[1, 3].astype(int) - first).max() <= 2
    assert (tmp_path / "npy" / "classes.txt").read_text().split() == list(CLASS_NAMES)


def test_float_clips_are_scaled_to_one(dataset: Path, tmp_path: Path) -> None:
    export_npy(dataset, tmp_path / "bytes")
    export_npy(dataset, tmp_path / "floats", "float32")
    clips = np.load(tmp_path / "floats" / "X_test.npy")
    assert clips.dtype == np.float32
    assert np.array_equal((clips * 255).round().astype(np.uint8), np.load(tmp_path / "bytes" / "X_test.npy"))


@pytest.mark.slow
def test_the_pixels_are_those_that_training_sees(dataset: Path, tmp_path: Path) -> None:
    from components.core.models.dataset import read_clips

    export_npy(dataset, tmp_path / "npy")
    seen = np.stack([element["clip"].numpy() for element in read_clips(dataset, "train")])
    assert np.array_equal(seen, np.load(tmp_path / "npy" / "X_train.npy"))


def test_memory_does_not_grow_with_the_dataset(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    clip = toy_clip(0, rng)
    peaks = []
    for count in (2, 12):
        members = [clip_record(clip, 0, f"v{number}") for number in range(count)]
        path = write_dataset(tmp_path / f"dataset-{count}", {"train": members, "validation": [], "test": []})
        tracemalloc.start()
        export_npy(path, tmp_path / f"npy-{count}")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # A clip is 2.1 MB, so ten more would be 21 MB.
    assert peaks[1] - peaks[0] < 2_000_000


def test_frames_are_the_stored_files_under_their_split_and_class(dataset: Path, tmp_path: Path) -> None:
    assert export_frames(dataset, tmp_path / "frames") == {"train": 6 * 14, "validation": 3 * 14, "test": 3 * 14}
    (record,) = [record for record in records(dataset, "test") if record.label == 1]
    paths = sorted((tmp_path / "frames" / "test" / "pneumonia").iterdir())
    assert [path.name for path in paths] == [f"test-pneumonia-0_{number:06d}.jpg" for number in range(14)]
    assert [path.read_bytes() for path in paths] == list(record.frames)


def test_any_video_id_becomes_a_file_name_of_its_own(tmp_path: Path) -> None:
    ids = ["../../etc/passwd", "a/b", "a b", "a_b", "ü+(1)", "ü+(2)", "x" * 300, "x" * 301, ".hidden", "CON.", ""]
    names = [safe_name(video_id) for video_id in ids]
    assert len(set(names)) == len(ids)
    assert all(len(name) < 120 and set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-") for name in names)
    frames = np.zeros((14, 224, 224, 3), np.uint8)
    path = write_dataset(tmp_path / "dataset", {"train": [clip_record(frames, 0, "../../evil")], "validation": [], "test": []})
    export_frames(path, tmp_path / "frames")
    assert {file.parent for file in (tmp_path / "frames").rglob("*.jpg")} == {tmp_path / "frames" / "train" / "covid"}


def test_damage_and_a_folder_with_content_are_refused_and_nothing_is_left(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(StorageError):
        export_npy(dataset, tmp_path / "full")
    broken = write_toy_dataset(tmp_path / "broken", COUNTS)
    right = json.loads((broken / "index.json").read_text())
    for error in (1, -1):
        index = copy.deepcopy(right)
        index["splits"]["train"]["num_clips"] += error
        index["splits"]["train"]["shards"][1]["num_clips"] += error
        (broken / "index.json").write_text(json.dumps(index))
        with pytest.raises(DataError, match="the index says"):
            export_npy(broken, tmp_path / "npy")
    next(broken.glob("test-*.tfrecord")).unlink()
    with pytest.raises(DataError, match="is missing"):
        export_frames(broken, tmp_path / "frames")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "full"]
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]
