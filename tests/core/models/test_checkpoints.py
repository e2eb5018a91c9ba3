"""A training that was ended goes on as if nothing had happened; what cannot be gone on from is refused."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tf_keras
from tf_keras import layers

from components.core import storage
from components.core.errors import DataError, Interrupted
from components.core.models.checkpoints import Checkpoints, Progress
from components.core.models.epochs import BestEpoch
from components.core.models.examples import ClipExamples
from components.core.models.fitting import Schedule, fit_classifier, make_reproducible
from tests.clip_datasets import SHAPE, write_toy_dataset

SCHEDULE = Schedule(epochs=3, batch_size=2, learning_rate=0.01, seed=5, cosine=True, label_smoothing=0.1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_dataset(tmp_path_factory.mktemp("data") / "dataset", {"train": 3, "validation": 1})


def network(units: int = 8) -> tf_keras.Model:
    make_reproducible(SCHEDULE.seed)
    inputs = layers.Input(SHAPE, dtype="uint8")
    pooled = layers.AveragePooling3D((14, 32, 32))(layers.Rescaling(1 / 255)(inputs))
    hidden = layers.Dense(units, activation="relu")(layers.Dropout(0.5)(layers.Flatten()(pooled)))
    return tf_keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.Dropout(0.5)(hidden)))


class AskToEnd(tf_keras.callbacks.Callback):
    """Asks after so many steps of an epoch, as a signal would."""

    def __init__(self, checkpoints: Checkpoints, epoch: int, step: int) -> None:
        super().__init__()
        self.checkpoints, self.place, self.epoch = checkpoints, (epoch, step), 0

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        if (self.epoch, batch) == self.place:
            self.checkpoints.end_is_asked = True


def fit(
    model: tf_keras.Model, dataset: Path, checkpoints: Checkpoints | None, *callbacks: tf_keras.callbacks.Callback
) -> dict[str, list[float]]:
    history = fit_classifier(model, ClipExamples.of(dataset), BestEpoch(), SCHEDULE, callbacks, checkpoints)
    return {name: values for name, values in history.items() if name != "wait_share"}


@pytest.fixture(scope="module")
def undisturbed(dataset: Path) -> tuple[dict[str, list[float]], list[np.ndarray]]:
    model = network()
    return fit(model, dataset, None), model.get_weights()


@pytest.mark.parametrize(("epoch", "step"), [(1, 1), (0, 4), (2, 0)], ids=["in mid-epoch", "after an epoch", "in the last epoch"])
def test_going_on_ends_with_the_same_metrics_and_weights(
    dataset: Path, tmp_path: Path, undisturbed: tuple[dict[str, list[float]], list[np.ndarray]], epoch: int, step: int
) -> None:
    first = Checkpoints(str(tmp_path), "this run")
    with pytest.raises(Interrupted, match=r"asked to end in epoch .*; start it again with the same parameters"):
        fit(network(), dataset, first, AskToEnd(first, epoch, step))
    model = network()
    history = fit(model, dataset, Checkpoints(str(tmp_path), "this run"))
    assert history == undisturbed[0]
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), undisturbed[1], strict=True))


def test_a_finished_phase_is_not_run_again(dataset: Path, tmp_path: Path) -> None:
    history = fit(network(), dataset, Checkpoints(str(tmp_path), "run"))
    before = Path(Checkpoints(str(tmp_path), "run").uri).stat().st_mtime_ns
    assert fit(network(), dataset, Checkpoints(str(tmp_path), "run")) == history
    assert Path(Checkpoints(str(tmp_path), "run").uri).stat().st_mtime_ns == before


def test_a_finished_phase_keeps_its_best_epoch_when_a_later_one_goes_on(tmp_path: Path) -> None:
    bare = SimpleNamespace(metrics=[], weights=[], optimizer=SimpleNamespace(variables=[]))
    finished = Progress("head", epoch=7, history={"loss": [0.5]}, finished=True)
    checkpoints = Checkpoints(str(tmp_path), "run")
    checkpoints.save(finished, bare, SimpleNamespace(epoch=4, logs={"val_loss": 0.25}, weights=[]))
    checkpoints.save(Progress("fine-tuning", epoch=1), bare, SimpleNamespace(epoch=-1, logs={"val_loss": 0.25}, weights=[]))
    best = BestEpoch()
    restored = Checkpoints(str(tmp_path), "run")
    assert restored.restore("head", bare, best) == finished
    assert (best.epoch, best.logs) == (4, {"val_loss": 0.25})
    assert restored.restore("fine-tuning", bare, best) == Progress("fine-tuning", epoch=1)
    assert best.epoch == -1
    assert restored.restore("another", bare, best) is None


def test_a_training_whose_patience_is_over_does_not_go_on(dataset: Path, tmp_path: Path) -> None:
    checkpoints = Checkpoints(str(tmp_path), "run")

    class LosePatience(tf_keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            self.model.stop_training = checkpoints.end_is_asked = True

    model = network()
    with pytest.raises(Interrupted):
        fit(model, dataset, checkpoints, LosePatience())
    again = network()
    assert len(fit(again, dataset, Checkpoints(str(tmp_path), "run"))["loss"]) == 1
    assert all(np.array_equal(a, b) for a, b in zip(again.get_weights(), model.get_weights(), strict=True))


def test_another_run_has_another_checkpoint(tmp_path: Path) -> None:
    uris = {
        Checkpoints(str(tmp_path), *identity).uri for identity in (("data", {"seed": 0}), ("data", {"seed": 1}), ("other", {"seed": 0}))
    }
    assert len(uris) == 3


def test_a_checkpoint_of_another_network_is_refused(dataset: Path, tmp_path: Path) -> None:
    checkpoints = Checkpoints(str(tmp_path), "run")
    with pytest.raises(Interrupted):
        fit(network(), dataset, checkpoints, AskToEnd(checkpoints, 0, 1))
    with pytest.raises(DataError, match=r"is of another network .*; delete it to start again"):
        fit(network(units=5), dataset, Checkpoints(str(tmp_path), "run"))


@pytest.mark.parametrize("content", [b"no checkpoint", b"", b"PK\x03\x04 and nothing behind"], ids=["text", "empty", "cut"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    checkpoints = Checkpoints(str(tmp_path), "run")
    storage.write_bytes(checkpoints.uri, content)
    with pytest.raises(DataError, match=r"is damaged .*; delete it to start again"):
        checkpoints.restore("training", None, None)
    checkpoints.delete()
    assert not storage.exists(checkpoints.uri)


def test_a_bucket_keeps_checkpoints_too(dataset: Path, gs_storage: str) -> None:
    checkpoints = Checkpoints(gs_storage, "run")
    with pytest.raises(Interrupted):
        fit(network(), dataset, checkpoints, AskToEnd(checkpoints, 1, 0))
    assert len(fit(network(), dataset, Checkpoints(gs_storage, "run"))["loss"]) == SCHEDULE.epochs
