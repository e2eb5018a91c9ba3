"""Choosing the best epoch, batches of a dataset, and what stops a training."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from components.core.errors import DataError
from components.core.models.epochs import BestEpoch, write_history
from components.core.models.examples import ClipExamples
from components.core.models.fitting import Schedule, fit_classifier
from tests.clip_datasets import SHAPE, clip_record, toy_clip, write_dataset


class FakeModel(SimpleNamespace):
    """Its weights are the number of the epoch."""

    stop_training = False

    def get_weights(self) -> list[int]:
        return [self.epoch]

    def set_weights(self, weights: list[int]) -> None:
        self.kept = weights[0]


def run_epochs(best: BestEpoch, scores: list[tuple[float, float]]) -> Any:
    """Plays a training whose epochs have these pairs of macro-F1 and validation loss; returns the model."""
    model = FakeModel(epoch=0)
    best.set_model(model)
    for model.epoch, (macro_f1, loss) in enumerate(scores):
        best.on_epoch_end(model.epoch, {"val_macro_f1": macro_f1, "val_loss": loss})
        if model.stop_training:
            break
    best.on_train_end()
    return model


def test_the_epoch_with_the_highest_macro_f1_is_kept() -> None:
    best = BestEpoch()
    assert run_epochs(best, [(0.4, 1.0), (0.7, 0.9), (0.6, 0.1)]).kept == 1
    assert best.epoch == 1
    assert best.logs["val_macro_f1"] == 0.7


def test_the_lower_loss_decides_between_equals() -> None:
    assert run_epochs(BestEpoch(), [(0.7, 1.0), (0.7, 0.8), (0.7, 0.9)]).kept == 1


def test_epochs_before_the_first_are_not_considered() -> None:
    assert run_epochs(BestEpoch(first_epoch=2), [(0.9, 0.1), (0.9, 0.1), (0.3, 2.0), (0.2, 2.0)]).kept == 2


def test_training_stops_when_patience_is_over() -> None:
    model = run_epochs(BestEpoch(patience=2), [(0.5, 1.0), (0.6, 1.0), (0.1, 1.0), (0.1, 1.0), (0.9, 1.0)])
    assert (model.epoch, model.kept) == (3, 1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of covid, one of each other class, in train and in validation."""
    rng = np.random.default_rng(0)
    records = [clip_record(toy_clip(label, rng), label, f"video-{number}") for number, label in enumerate((0, 0, 1, 2))]
    return write_dataset(tmp_path_factory.mktemp("data") / "dataset", {"train": records, "validation": records})


def test_validation_batches_are_the_clips_as_stored(dataset: Path) -> None:
    (first, *_), (second, *_) = (next(ClipExamples.of(dataset).validation(4).as_numpy_iterator()) for _ in range(2))
    clips, labels, weights = next(ClipExamples.of(dataset).validation(4).as_numpy_iterator())
    assert clips.shape == (4, *SHAPE)
    assert np.array_equal(first, second)
    assert sorted(labels.argmax(axis=1)) == [0, 0, 1, 2]
    assert weights[labels[:, 0] == 1] == pytest.approx(4 / (3 * 2))
    assert weights[labels[:, 0] == 0] == pytest.approx(4 / 3)


def test_training_batches_go_on_for_ever_and_can_be_repeated(dataset: Path) -> None:
    passes = [list(ClipExamples.of(dataset).training(4, seed).take(2).as_numpy_iterator()) for seed in (5, 5, 6)]
    (first, second), again, other = passes
    assert first[0].shape == second[0].shape == (4, *SHAPE)
    assert first[0].dtype == np.uint8
    assert sorted(first[1].argmax(axis=1)) == sorted(second[1].argmax(axis=1)) == [0, 0, 1, 2]
    assert all(np.array_equal(a, b) for a, b in zip((*first, *second), (*again[0], *again[1]), strict=True))
    assert not np.array_equal(first[0], other[0][0])


def model_of_one_number(value: float) -> tf_keras.Model:
    """The mean grey level of a clip, times a number, to three probabilities."""
    layers = tf_keras.layers
    number = tf_keras.initializers.Constant(value)
    return tf_keras.Sequential(
        [
            layers.Input(SHAPE, dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.GlobalAveragePooling3D(),
            layers.Dense(3, activation="softmax", kernel_initializer=number),
        ]
    )


def fit(model: tf_keras.Model, dataset: Path) -> dict[str, list[float]]:
    return fit_classifier(model, ClipExamples.of(dataset), BestEpoch(), Schedule(epochs=2, batch_size=2, learning_rate=0.01, seed=0))


def test_fitting_returns_the_numbers_of_every_epoch(dataset: Path) -> None:
    history = fit(model_of_one_number(0.1), dataset)
    assert {name: len(values) for name, values in history.items()} == dict.fromkeys(
        ("loss", "macro_f1", "val_loss", "val_macro_f1", "wait_share"), 2
    )


def test_a_loss_that_is_no_number_stops_with_a_sentence(dataset: Path) -> None:
    with pytest.raises(DataError, match=r"loss became nan in epoch 1; give a learning_rate lower than 0\.01"):
        fit(model_of_one_number(math.nan), dataset)


def test_a_batch_that_the_memory_cannot_hold_stops_with_advice(dataset: Path) -> None:
    layers = tf_keras.layers
    clip = layers.Input(SHAPE, dtype="uint8")
    much = layers.Lambda(lambda x: x + tf.reduce_sum(tf.random.normal([1 << 46])))(
        layers.GlobalAveragePooling3D()(layers.Rescaling(1.0)(clip))
    )
    with pytest.raises(DataError, match=r"^the memory is too small for batches of 2 clips; try --batch-size 1\.$"):
        fit(tf_keras.Model(clip, layers.Dense(3, activation="softmax")(much)), dataset)


def test_a_truncated_shard_stops_with_a_sentence(dataset: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for path in dataset.iterdir():
        content = path.read_bytes()
        (damaged / path.name).write_bytes(content[: len(content) // 2] if path.name.startswith("train-00001") else content)
    with pytest.raises(DataError, match=r"a shard of .* is missing or damaged"):
        fit(model_of_one_number(0.1), damaged)


def test_the_log_has_a_line_for_every_epoch(tmp_path: Path) -> None:
    write_history(tmp_path / "log.csv", {"loss": [1.0, 0.5], "val_loss": [2.0, 1.5]})
    assert (tmp_path / "log.csv").read_text().splitlines() == ["epoch,loss,val_loss", "1,1.0,2.0", "2,0.5,1.5"]
