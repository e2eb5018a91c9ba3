"""What a cluster does to a training: a node that is taken away, several devices, no GPU."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.core.errors import UsageError
from components.train.devices import choose_strategy
from components.train.trainer import LOG_NAME
from tests.clip_datasets import write_toy_dataset

OPTIONS = ("--backbone", "small", "--epochs", "2", "--batch-size", "1", "--seed", "3", "--architecture", "cnn_lstm")

# Trains on one logical CPU device and then on two, and prints the losses of both, a line each.
ON_DEVICES = """
import json, sys
import tensorflow as tf
from pathlib import Path
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import tf_keras
from tf_keras import layers
from components.core.models.fitting import make_reproducible
from components.core.models.examples import ClipExamples
from components.train.trainer import fit_in_phases
from tests.networks import training_options
for strategy in (tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
    make_reproducible(0)
    with strategy.scope():
        inputs = layers.Input((14, 224, 224, 3), dtype="uint8")
        frozen = layers.Conv2D(16, 8, strides=8, trainable=False)(layers.Rescaling(1 / 255)(inputs))
        pooled = layers.AveragePooling3D((14, 4, 4))(frozen)
        model = tf_keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.Flatten()(pooled)))
    options = training_options(epochs=3, patience=3, batch_size=4, learning_rate=0.01, seed=0, cached_versions=int(sys.argv[2]))
    history = fit_in_phases(model, ClipExamples.of(Path(sys.argv[1])), options).history
    devices = {"num_devices": strategy.num_replicas_in_sync}
    print(json.dumps({**devices, **{name: history[name] for name in ("loss", "val_loss", "macro_f1")}}))
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_dataset(tmp_path_factory.mktemp("data") / "dataset", {"train": 4, "validation": 1})


def command(dataset: Path, storage: Path, outputs: Path, *options: str) -> list[str]:
    paths = ("--dataset", str(dataset), "--storage", str(storage), "--output-folder", str(outputs))
    return [sys.executable, "-m", "components", "train", *paths, *OPTIONS, *options]


@pytest.mark.slow
def test_a_process_that_is_told_to_end_in_mid_epoch_goes_on_and_ends_alike(dataset: Path, tmp_path: Path) -> None:
    undisturbed = subprocess.run(command(dataset, tmp_path / "a", tmp_path / "undisturbed"), capture_output=True, text=True, check=True)
    assert "epoch 2/2" in undisturbed.stderr

    process = subprocess.Popen(command(dataset, tmp_path / "b", tmp_path / "ended"), stderr=subprocess.PIPE, text=True)
    assert process.stderr
    checkpoints = tmp_path / "b" / "checkpoints"
    while not any(checkpoints.glob("*.npz")):  # it is written after the first epoch
        assert process.poll() is None, "the training ended by itself"
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    said = process.stderr.read()
    assert process.wait() == 75, said
    assert "asked to end in epoch 2" in said
    assert not (tmp_path / "ended" / "model").exists() or not any((tmp_path / "ended" / "model").iterdir())
    (checkpoint,) = checkpoints.iterdir()

    again = subprocess.run(command(dataset, tmp_path / "b", tmp_path / "ended"), capture_output=True, text=True, check=True)
    assert "epoch 1/2" not in again.stderr
    assert not checkpoint.exists()
    logs = [(tmp_path / name / "model" / LOG_NAME).read_text().splitlines() for name in ("undisturbed", "ended")]
    without_waiting = [[line.rsplit(",", 1)[0] for line in log] for log in logs]
    assert without_waiting[0] == without_waiting[1]
    results = [json.loads((tmp_path / name / "model" / "metadata.json").read_text())["results"] for name in ("undisturbed", "ended")]
    assert results[0]["validation_loss"] == results[1]["validation_loss"]


@pytest.mark.slow
@pytest.mark.parametrize("cached_versions", ["0", "1"])
def test_two_devices_train_as_one_does(dataset: Path, cached_versions: str) -> None:
    run = subprocess.run([sys.executable, "-c", ON_DEVICES, str(dataset), cached_versions], capture_output=True, text=True, check=True)
    one, two = (json.loads(line) for line in run.stdout.splitlines() if line.startswith("{"))
    assert (one.pop("num_devices"), two.pop("num_devices")) == (1, 2)
    for name, values in one.items():
        assert two[name] == pytest.approx(values, rel=1e-3), name


@pytest.mark.parametrize(
    "config", ['{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}}', '{"cluster": {"worker": ["a:1", "b:1"]}}', "no JSON"]
)
def test_several_machines_are_refused(monkeypatch: pytest.MonkeyPatch, config: str) -> None:
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(UsageError, match=r"TF_CONFIG is .*, but train runs on one machine only; unset it"):
        choose_strategy(require_gpu=False)


@pytest.mark.parametrize("config", ['{"cluster": {"chief": ["a:1"]}, "task": {"type": "chief", "index": 0}}', "{}", ""])
def test_a_description_of_one_machine_changes_nothing(monkeypatch: pytest.MonkeyPatch, config: str) -> None:
    monkeypatch.setenv("TF_CONFIG", config)
    assert choose_strategy(require_gpu=False).num_replicas_in_sync == 1


def test_no_gpu_when_one_is_required(dataset: Path, tmp_path: Path) -> None:
    run = subprocess.run(
        command(dataset, tmp_path, tmp_path / "outputs", "--require-gpu", "true"),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1].startswith("error: require_gpu is true, but TensorFlow finds no GPU here")
