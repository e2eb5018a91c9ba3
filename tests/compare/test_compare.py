"""Compare: the validation videos decide, and every model must come from their dataset."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tf_keras

from components.compare.compare import ArchitectureComparison, compare_models
from components.core.errors import DataError
from components.core.models.classifier import ClassifierMetadata, save_classifier
from components.core.records.clips import CLASS_NAMES
from components.core.records.shards import DatasetIndex
from tests.clip_datasets import SHAPE, clip_record, toy_clip, write_dataset

NUM_VIDEOS = {"train": (1, 1, 1), "validation": (1, 2, 4), "test": (4, 2, 1)}
ANSWERS = {"convlstm2d": 1, "cnn_lstm": 2, "cnn_gru": 0}


def constant_classifier(folder: Path, answer: int, fingerprint: str) -> Path:
    """Writes a model that always answers the same class."""
    layers = tf_keras.layers
    clip = layers.Input(SHAPE, dtype="uint8")
    mean = layers.GlobalAveragePooling3D()(layers.Rescaling(1 / 255)(clip))
    bias = tf_keras.initializers.Constant([2.0 * (label == answer) for label in range(3)])
    outputs = layers.Dense(3, activation="softmax", kernel_initializer="zeros", bias_initializer=bias)(mean)
    folder.mkdir(parents=True)
    parameters = {"backbone": "small", "learning_rate": 0.00125}
    metadata = ClassifierMetadata("dense", list(CLASS_NAMES), fingerprint, "", parameters, {})
    save_classifier(folder, tf_keras.Model(clip, outputs), metadata)
    return folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    records = {
        split: [
            clip_record(toy_clip(label, rng), label, f"{split}-{label}-{video}", clip_index)
            for label, count in enumerate(counts)
            for video in range(count)
            for clip_index in range(1 + video % 2)
        ]
        for split, counts in NUM_VIDEOS.items()
    }
    return write_dataset(tmp_path_factory.mktemp("data") / "dataset", records)


@pytest.fixture(scope="module")
def models(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, fingerprint = tmp_path_factory.mktemp("models"), DatasetIndex.read(dataset).fingerprint
    return {architecture: constant_classifier(folder / architecture, answer, fingerprint) for architecture, answer in ANSWERS.items()}


@pytest.fixture(scope="module")
def comparison(dataset: Path, models: dict[str, Path]) -> ArchitectureComparison:
    return compare_models(dataset, models, num_bootstrap=200, batch_size=4, seed=0)


def test_the_best_on_validation_videos_comes_first(comparison: ArchitectureComparison) -> None:
    assert [model.architecture for model in comparison.models] == ["cnn_lstm", "convlstm2d", "cnn_gru"]
    counts = NUM_VIDEOS["validation"]
    for model in comparison.models:
        # The F1 of a class that is always answered is 2n / (all + n); the other two classes have 0.
        count = counts[ANSWERS[model.architecture]]
        assert model.macro_f1 == pytest.approx(2 * count / (sum(counts) + count) / 3)
        assert comparison.metrics()[f"{model.architecture}_validation_video_macro_f1"] == model.macro_f1
        assert model.interval is not None
        assert model.interval.low <= model.macro_f1 <= model.interval.high


def test_the_table_shows_the_scores_and_the_parameters(comparison: ArchitectureComparison) -> None:
    text = comparison.to_markdown()
    assert "7 validation videos of 7 groups" in text
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    assert [row[0] for row in rows] == ["architecture", "---", "cnn_lstm", "convlstm2d", "cnn_gru"]
    assert dict(zip(rows[0], rows[2], strict=True))["macro-F1 per video"] == "0.242"
    assert dict(zip(rows[0], rows[2], strict=True))["learning_rate"] == "0.0013"
    assert dict(zip(rows[0], rows[2], strict=True))["backbone"] == "small"


@pytest.mark.parametrize("fault", ["damaged", "missing"])
def test_a_shard_that_is_damaged_or_missing_is_told_in_a_sentence(
    dataset: Path, models: dict[str, Path], tmp_path: Path, fault: str
) -> None:
    copy = shutil.copytree(dataset, tmp_path / "dataset")
    shard = next(copy.glob("validation-00000*"))
    content = shard.read_bytes()
    shard.unlink()
    if fault == "damaged":
        shard.write_bytes(bytes(20) + content[20:])
    with pytest.raises(DataError, match=rf"^a shard of '{copy}' is missing or damaged \(.*\); run preprocess again\.$"):
        compare_models(copy, models, num_bootstrap=0, batch_size=4, seed=0)


def test_a_model_of_another_dataset_is_refused(dataset: Path, models: dict[str, Path], tmp_path: Path) -> None:
    other = {**models, "cnn_gru": constant_classifier(tmp_path / "other", 0, "9f2c")}
    with pytest.raises(DataError, match="the cnn_gru model was trained on the dataset 9f2c, not on"):
        compare_models(dataset, other, num_bootstrap=0, batch_size=4, seed=0)
