"""The model artifact: what is written comes back, and what is not one is refused."""

from pathlib import Path

import numpy as np
import pytest
import tf_keras

from components.core.errors import DataError
from components.core.models.classifier import (
    METADATA_NAME,
    MODEL_NAME,
    ClassifierMetadata,
    code_revision,
    file_sizes,
    load_classifier,
    save_classifier,
    save_model,
)

METADATA = ClassifierMetadata(
    kind="dense",
    class_names=["covid", "pneumonia", "normal"],
    dataset_fingerprint="9f2c",
    code_revision="0a1b",
    parameters={"epochs": 3},
    results={"validation_macro_f1": 0.5},
)


@pytest.fixture(scope="module")
def model() -> tf_keras.Model:
    return tf_keras.Sequential([tf_keras.layers.Input((4, 8)), tf_keras.layers.Dense(64), tf_keras.layers.Dense(3)])


def test_a_classifier_comes_back_as_it_was_saved(model: tf_keras.Model, tmp_path: Path) -> None:
    save_classifier(tmp_path, model, METADATA)
    loaded, metadata = load_classifier(tmp_path)
    assert metadata == METADATA
    clip = np.random.default_rng(0).normal(size=(2, 4, 8)).astype(np.float32)
    assert np.array_equal(loaded(clip), model(clip))


def test_a_trained_model_is_not_larger_than_a_new_one(model: tf_keras.Model, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "trained").mkdir()
    save_model(tmp_path / "new", model)
    model.compile("adam", "mse")
    model.fit(np.zeros((1, 4, 8)), np.zeros((1, 4, 3)), verbose=0)
    save_model(tmp_path / "trained", model)
    assert file_sizes(tmp_path / "trained" / MODEL_NAME)["bytes"] == file_sizes(tmp_path / "new" / MODEL_NAME)["bytes"]


def test_zeros_shrink_the_gzipped_file_only(model: tf_keras.Model, tmp_path: Path) -> None:
    sizes = []
    for name in ("dense", "zero"):
        (tmp_path / name).mkdir()
        save_model(tmp_path / name, model)
        sizes.append(file_sizes(tmp_path / name / MODEL_NAME))
        model.set_weights([np.zeros_like(weights) for weights in model.get_weights()])
    assert sizes[0]["bytes"] == sizes[1]["bytes"]
    assert sizes[0]["gzip_bytes"] > sizes[1]["gzip_bytes"]


def test_a_folder_without_metadata_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a model of this pipeline"):
        load_classifier(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"kind": "dense"}'])
def test_unreadable_metadata_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / METADATA_NAME).write_text(text)
    with pytest.raises(DataError, match="is not a model of this pipeline"):
        load_classifier(tmp_path)


def test_a_damaged_model_is_refused(model: tf_keras.Model, tmp_path: Path) -> None:
    save_classifier(tmp_path, model, METADATA)
    (tmp_path / MODEL_NAME).write_bytes((tmp_path / MODEL_NAME).read_bytes()[:1000])
    with pytest.raises(DataError, match="cannot be loaded"):
        load_classifier(tmp_path)


def test_the_code_revision_is_that_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUS_REVISION", "0123abcd")
    assert code_revision() == "0123abcd"
