"""Cached features: the cut network computes what the whole one does, and every pass takes every clip once."""

from pathlib import Path

import numpy as np
import pytest
import tf_keras
from tf_keras import layers

from components.core.errors import DataError
from components.core.models.dataset import part_of_split, read_clips
from components.core.models.examples import ClipExamples
from components.core.models.features import FeatureExamples, Features, compute_features, cut_at_learning
from tests.clip_datasets import SHAPE, write_toy_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_dataset(tmp_path_factory.mktemp("data") / "dataset", {"train": 2, "validation": 1})


@pytest.fixture(scope="module")
def model() -> tf_keras.Model:
    inputs = layers.Input(SHAPE, dtype="uint8")
    maps = layers.Conv2D(16, 8, strides=32, activation="relu", trainable=False)(layers.Rescaling(1 / 255)(inputs))
    maps = layers.Conv2D(4, 1, activation="relu")(maps)
    return tf_keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling3D()(maps)))


@pytest.fixture(scope="module")
def features(dataset: Path, model: tf_keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Features:
    parts = cut_at_learning(model)
    assert parts
    return compute_features(parts[0], part_of_split(dataset, "train"), 2, seed=0, folder=tmp_path_factory.mktemp("features"))


def test_the_two_parts_are_the_whole(dataset: Path, model: tf_keras.Model, features: Features) -> None:
    parts = cut_at_learning(model)
    assert parts
    examples = list(read_clips(dataset, "train").as_numpy_iterator())
    whole = model.predict_on_batch(np.stack([example["clip"] for example in examples]))
    assert parts[1].predict_on_batch(features.maps[0].astype(np.float32)) == pytest.approx(whole, abs=1e-3)  # maps are float16
    assert features.labels.tolist() == [example["label"] for example in examples]
    assert features.video_ids.tolist() == [example["video_id"].decode() for example in examples]


@pytest.mark.parametrize("fault", ["damaged", "missing", "shorter"])
def test_a_shard_that_is_damaged_or_missing_is_told_in_a_sentence(tmp_path: Path, model: tf_keras.Model, fault: str) -> None:
    dataset = write_toy_dataset(tmp_path / "dataset", {"train": 2})
    shard = next(dataset.glob("train-00001*"))
    content = shard.read_bytes()
    shard.unlink()
    if fault != "missing":
        first_record = 16 + int.from_bytes(content[:8], "little")
        shard.write_bytes(content[:-9] + bytes(9) if fault == "damaged" else content[:first_record])
    parts = cut_at_learning(model)
    assert parts
    with pytest.raises(DataError, match=rf"^a shard of '{dataset}' is missing or damaged \(.*\); run preprocess again\.$"):
        compute_features(parts[0], part_of_split(dataset, "train"), 1, seed=0, folder=tmp_path)


def test_augmented_versions_differ(features: Features) -> None:
    stored, first, second = features.maps.astype(float)
    assert min(np.abs(stored - first).max(axis=(1, 2, 3, 4))) > 0.01
    assert min(np.abs(first - second).max(axis=(1, 2, 3, 4))) > 0.01


def test_a_network_that_learns_everywhere_is_not_cut() -> None:
    inputs = layers.Input((4, 4, 1))
    assert cut_at_learning(tf_keras.Model(inputs, layers.Dense(3)(layers.Flatten()(inputs)))) is None


def test_every_pass_takes_every_clip_once_in_another_order(dataset: Path, features: Features) -> None:
    examples = FeatureExamples(lambda: (features, features), part_of_split(dataset, "train"), part_of_split(dataset, "train"))
    batches = list(examples.training(3, seed=1).take(4).as_numpy_iterator())
    labels = np.concatenate([batch[1].argmax(axis=1) for batch in batches]).reshape(2, 6)
    assert [sorted(row) for row in labels] == [[0, 0, 1, 1, 2, 2]] * 2
    assert not np.array_equal(batches[0][0], batches[2][0])
    later = list(examples.training(3, seed=1, first_batch=3).take(1).as_numpy_iterator())
    assert all(np.array_equal(a, b) for a, b in zip(later[0], batches[3], strict=True))


def test_what_is_chosen_by_is_as_stored(dataset: Path, features: Features) -> None:
    train = part_of_split(dataset, "train")
    ((maps, labels, weights),) = FeatureExamples(lambda: (features, features), train, train).validation(6).as_numpy_iterator()
    _, expected_labels, expected_weights = next(ClipExamples(dataset, train, train).validation(6).as_numpy_iterator())
    assert np.array_equal(maps, features.maps[0].astype(np.float32))
    assert np.array_equal(labels, expected_labels)
    assert np.array_equal(weights, expected_weights)


def test_the_look_of_a_video_is_the_mean_over_its_clips_as_stored(features: Features) -> None:
    looks = features.looks()
    assert looks.keys() == set(features.video_ids.tolist())
    for video_id, look in looks.items():
        clips = features.maps[0, features.video_ids == video_id].astype(np.float64)
        by_image = [np.concatenate([image.mean(axis=(0, 1)), image.std(axis=(0, 1))]) for clip in clips for image in clip]
        assert look == pytest.approx(np.mean(by_image, axis=0), abs=1e-3)
