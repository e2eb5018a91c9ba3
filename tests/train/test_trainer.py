"""Training on toy clips: it learns, it can be repeated, and it leaves a whole artifact or none."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import tf_keras

from components.core.errors import DataError, UsageError
from components.core.models.classifier import MODEL_NAME, load_classifier
from components.core.models.dataset import open_dataset
from components.core.models.examples import ClipExamples
from components.core.models.predictions import predict_clips
from components.core.models.reference import REFERENCE_NAME
from components.core.records import clips
from components.core.records.findings import NOT_STATED
from components.train import trainer
from components.train.trainer import CURVES_NAME, LOG_NAME, TENSORBOARD_NAME, train_classifier, write_tensorboard
from tests.clip_datasets import TOY_FINDINGS, write_toy_dataset
from tests.networks import training_options

OPTIONS = training_options(epochs=15, patience=15, batch_size=6, learning_rate=0.002, seed=0)
ONE_EPOCH = dataclasses.replace(OPTIONS, epochs=1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_dataset(tmp_path_factory.mktemp("data") / "dataset")


@pytest.mark.slow
def test_classes_that_are_easy_to_tell_apart_are_learnt(dataset: Path, tmp_path: Path) -> None:
    results = train_classifier(dataset, tmp_path / "model", tmp_path / "curves.html", OPTIONS)
    assert results["validation_macro_f1"] > 0.9

    model, metadata = load_classifier(tmp_path / "model")
    assert metadata.kind == "dense"
    assert metadata.class_names == list(clips.CLASS_NAMES)
    assert metadata.dataset_fingerprint == open_dataset(dataset).fingerprint
    assert metadata.parameters == dataclasses.asdict(OPTIONS)
    assert metadata.results == results
    assert model.count_params() == results["num_parameters"]
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        *(MODEL_NAME, "metadata.json", REFERENCE_NAME),
        *(LOG_NAME, CURVES_NAME, TENSORBOARD_NAME),
    }
    assert len((tmp_path / "model" / LOG_NAME).read_text().splitlines()) == 1 + results["num_epochs"]
    assert "data:image/png;base64," in (tmp_path / "curves.html").read_text()


@pytest.mark.slow
def test_findings_are_learnt_beside_the_classes_from_the_clips_that_state_them(tmp_path: Path) -> None:
    dataset = write_toy_dataset(tmp_path / "dataset", findings=True)
    options = dataclasses.replace(OPTIONS, epochs=20, patience=20, learning_rate=0.004)
    results = train_classifier(dataset, tmp_path / "model", tmp_path / "curves.html", options)
    assert results["validation_macro_f1"] > 0.9
    model, metadata = load_classifier(tmp_path / "model")
    assert metadata.findings == ["a_lines", "b_lines", "severity"]
    told = predict_clips("dense", model, dataset, "train", metadata.heads, 2)
    for name in metadata.findings:
        seen = np.array([TOY_FINDINGS[label][name] for label in told.labels])
        states_nothing = [video_id.endswith(("-1", "-4")) for video_id in told.video_ids]
        assert told.findings[name].grades.tolist() == np.where(states_nothing, NOT_STATED, seen).tolist()
        # Also of the clips that state nothing: they look alike.
        assert np.corrcoef(told.findings[name].expected, seen)[0, 1] > 0.5
    history = pd.read_csv(tmp_path / "model" / LOG_NAME)
    assert history["val_severity_loss"].iloc[-1] < history["val_severity_loss"].iloc[0]


@pytest.mark.slow
def test_a_seed_decides_the_weights(dataset: Path, tmp_path: Path) -> None:
    weights = []
    for name, seed in (("first", 3), ("again", 3), ("other", 4)):
        train_classifier(dataset, tmp_path / name, tmp_path / f"{name}.html", dataclasses.replace(ONE_EPOCH, seed=seed))
        weights.append(load_classifier(tmp_path / name)[0].get_weights())
    first, again, other = weights
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.slow
def test_a_training_that_fails_leaves_nothing(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = trainer.build_network

    def broken(*asked: Any) -> tf_keras.Model:
        model = build(*asked)
        model.set_weights([np.full_like(weights, np.nan) for weights in model.get_weights()])
        return model

    monkeypatch.setattr(trainer, "build_network", broken)
    with pytest.raises(DataError, match="the loss became nan"):
        train_classifier(dataset, tmp_path / "model", tmp_path / "curves.html", ONE_EPOCH)
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_has_every_epoch_of_all_phases(tmp_path: Path) -> None:
    write_tensorboard(tmp_path, {"loss": [0.5, 0.25, 0.125], "val_loss": [0.75, 0.5, 1.0]})
    for part, expected in (("train", [(1, 0.5), (2, 0.25), (3, 0.125)]), ("validation", [(1, 0.75), (2, 0.5), (3, 1.0)])):
        (path,) = (tmp_path / part).iterdir()
        events = [event for event in tf.compat.v1.train.summary_iterator(str(path)) if event.summary.value]
        assert {event.summary.value[0].tag for event in events} == {"epoch_loss"}
        assert [(event.step, float(tf.make_ndarray(event.summary.value[0].tensor))) for event in events] == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1 and at most 10000, got 0"),
        ({"patience": 0}, "patience must be at least 1 and at most 10000, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1 and at most 4096, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be .*, got 0"),
        ({"seed": -1}, "seed must be .*, got -1"),
    ],
)
def test_values_out_of_range_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(OPTIONS, **change)  # type: ignore[arg-type]


@pytest.mark.slow
def test_what_learns_in_half_precision_is_used_in_full(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on GPUs; train and crossval have it from the same function."""
    build = trainer.build_network
    learned: list[tf_keras.Model] = []

    def network(*asked: Any) -> tf_keras.Model:
        learned.append(build(*asked))
        return learned[-1]

    def half_precision() -> bool:
        tf_keras.mixed_precision.set_global_policy("mixed_float16")
        return True

    monkeypatch.setattr(trainer, "build_network", network)
    monkeypatch.setattr(trainer, "use_half_precision_on_gpus", half_precision)
    trained = trainer.train_network(ClipExamples.of(dataset), 3, ONE_EPOCH, tf.distribute.get_strategy())
    half, full = learned
    assert [{layer.compute_dtype for layer in model.layers[1:-1]} for model in learned] == [{"float16"}, {"float32"}]
    assert trained.model is full
    assert all(np.array_equal(a, b) for a, b in zip(half.get_weights(), full.get_weights(), strict=True))
    assert tf_keras.mixed_precision.global_policy().name == "float32"


def test_the_step_refuses_a_wrong_value_before_it_loads_tensorflow() -> None:
    code = """
import sys
from components.train.component import train
try:
    train.python_func(dataset=None, model=None, metrics=None, curves=None, epochs=0)
except SystemExit as stop:
    print(stop.code, "tensorflow" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["2", "False"]
    assert run.stderr == "error: epochs must be at least 1 and at most 10000, got 0.\n"
