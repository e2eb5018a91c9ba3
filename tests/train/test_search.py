"""The search for hyper-parameters: bounded, seeded, and never worse by its own measure than what was asked for."""

import dataclasses
import json
import os
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tf_keras
from tf_keras import layers

from components.core.errors import Interrupted
from components.core.models.checkpoints import Checkpoints
from components.core.models.dataset import Part
from components.core.models.examples import ClipExamples
from components.core.models.features import Features, compute_features
from components.core.models.fitting import make_reproducible
from components.train import trainer
from components.train.options import TrainingOptions
from components.train.search import LABEL_SMOOTHINGS, LEARNING_RATES, search_hyperparameters
from components.train.trainer import TRIALS_NAME, train_classifier
from tests.clip_datasets import SHAPE, write_toy_dataset
from tests.networks import training_options

OPTIONS = training_options(epochs=1, patience=1, batch_size=6, learning_rate=0.001, seed=0, num_trials=6)


def bowl(options: TrainingOptions) -> float:
    """Has its best value at a label smoothing of 0.15."""
    return 1 - abs(options.label_smoothing - 0.15)


def test_as_many_trials_as_asked_for_and_the_best_is_taken() -> None:
    chosen, trials = search_hyperparameters(OPTIONS, bowl)
    assert len(trials) == 6
    assert (trials[0].learning_rate, trials[0].label_smoothing) == (OPTIONS.learning_rate, OPTIONS.label_smoothing)
    best = max(trials, key=lambda trial: trial.macro_f1)
    assert best.macro_f1 > trials[0].macro_f1
    assert chosen == dataclasses.replace(OPTIONS, learning_rate=best.learning_rate, label_smoothing=best.label_smoothing)
    for trial in trials:
        assert LEARNING_RATES[0] <= trial.learning_rate <= LEARNING_RATES[1]
        assert LABEL_SMOOTHINGS[0] <= trial.label_smoothing <= LABEL_SMOOTHINGS[1]


def test_the_seed_decides_the_trials() -> None:
    first, again, other = (search_hyperparameters(dataclasses.replace(OPTIONS, seed=seed), bowl)[1] for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_what_was_asked_for_stays_unless_something_is_better() -> None:
    chosen, _ = search_hyperparameters(OPTIONS, lambda options: 0.5)
    assert chosen == OPTIONS


def test_what_was_asked_for_may_lie_outside_of_the_usual_intervals() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, trials = search_hyperparameters(dataclasses.replace(OPTIONS, learning_rate=0.02, label_smoothing=0.3, num_trials=2), bowl)
    assert (trials[0].learning_rate, trials[0].label_smoothing) == pytest.approx((0.02, 0.3))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_dataset(tmp_path_factory.mktemp("data") / "dataset", {"train": 1, "validation": 1})


def small_network(*_: object) -> tf_keras.Model:
    """A network that is trained within a second, behind a frozen convolution."""
    inputs = layers.Input(SHAPE, dtype="uint8")
    maps = layers.Conv2D(16, 8, strides=32, activation="relu", trainable=False)(layers.Rescaling(1 / 255)(inputs))
    return tf_keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling3D()(maps)))


@pytest.fixture
def unheard() -> Iterator[None]:
    """Makes a SIGTERM that nobody listens to fail the test, instead of ending all of them."""
    before = signal.signal(signal.SIGTERM, lambda *_: pytest.fail("nobody listened"))
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("unheard")
@pytest.mark.parametrize(("cached_versions", "doing"), [(0, "the search"), (1, "the computation of features")])
def test_the_search_ends_when_it_is_asked_to(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], cached_versions: int, doing: str
) -> None:
    def ended(*_: object) -> tf_keras.Model:
        os.kill(os.getpid(), signal.SIGTERM)
        return small_network()

    monkeypatch.setattr(trainer, "build_network", ended)
    options = dataclasses.replace(OPTIONS, cached_versions=cached_versions)
    with pytest.raises(Interrupted, match=f"asked to end during {doing}, of which nothing is saved; start it again"):
        train_classifier(dataset, tmp_path / "model", tmp_path / "curves.html", options, str(tmp_path / "storage"))
    assert not (tmp_path / "model").exists()
    assert "Traceback" not in capfd.readouterr().err


def test_the_trials_and_the_training_share_the_features(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []

    def counted(frozen: tf_keras.Model, part: Part, *arguments: Any, **named: Any) -> Features:
        computed.append(part.name)
        return compute_features(frozen, part, *arguments, **named)

    monkeypatch.setattr(trainer, "build_network", small_network)
    monkeypatch.setattr(trainer, "compute_features", counted)
    options = dataclasses.replace(OPTIONS, cached_versions=1, num_trials=2)
    train_classifier(dataset, tmp_path / "model", tmp_path / "curves.html", options)
    assert computed == ["train", "validation"]


def test_a_phase_that_is_finished_computes_no_features(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fitted() -> tuple[trainer.Fitted, list[np.ndarray]]:
        make_reproducible(0)
        model = small_network()
        options = dataclasses.replace(OPTIONS, cached_versions=1)
        return trainer.fit_in_phases(model, ClipExamples.of(dataset), options, Checkpoints(str(tmp_path), "run")), model.get_weights()

    first, first_weights = fitted()
    monkeypatch.setattr(trainer, "compute_features", lambda *_, **__: pytest.fail("computed again"))
    again, weights = fitted()
    assert again == first
    assert all(np.array_equal(a, b) for a, b in zip(weights, first_weights, strict=True))


@pytest.mark.slow
def test_train_keeps_the_trials_and_trains_with_the_best(dataset: Path, tmp_path: Path) -> None:
    options = dataclasses.replace(OPTIONS, num_trials=2, architecture="cnn_gru")
    results = train_classifier(dataset, tmp_path / "model", tmp_path / "curves.html", options)
    header, *lines = (tmp_path / "model" / TRIALS_NAME).read_text().splitlines()
    assert header == "learning_rate,label_smoothing,macro_f1"
    trials = [tuple(map(float, line.split(","))) for line in lines]
    assert len(trials) == 2
    parameters = json.loads((tmp_path / "model" / "metadata.json").read_text())["parameters"]
    best = max(trials, key=lambda trial: trial[2])
    assert (parameters["learning_rate"], parameters["label_smoothing"]) == best[:2]
    assert results["validation_macro_f1"] == pytest.approx(best[2])
