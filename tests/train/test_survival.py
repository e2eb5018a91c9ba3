"""What a cluster does to a training: a node that is taken away, several devices, no GPU."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.train.trainer import LOG_NAME
from tests.clip_datasets import write_toy_dataset

OPTIONS = ("--epochs", "2", "--batch-size", "1", "--seed", "3", "--architecture", "cnn_lstm")

# Trains on one logical CPU device and then on two, and prints the losses of both, a line each.
ON_DEVICES = """
import json, sys
import tensorflow as tf
from pathlib import Path
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import tf_keras
from tf_keras import layers
from components.core.fitting import BestEpoch, ClipExamples, Schedule, fit_classifier, make_reproducible
for strategy in (tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
    make_reproducible(0)
    with strategy.scope():
        inputs = layers.Input((14, 224, 224, 3), dtype="uint8")
        pooled = layers.AveragePooling3D((14, 32, 32))(layers.Rescaling(1 / 255)(inputs))
        model = tf_keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.Flatten()(pooled)))
    history = fit_classifier(model, ClipExamples.of(Path(sys.argv[1])), BestEpoch(), Schedule(3, 4, 0.01, 0))
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
    said = ""
    while "epoch 1/2" not in said:
        said = process.stderr.readline()
        assert said, "the training ended by itself"
    time.sleep(0.2)  # some steps of 12 in the second epoch
    process.send_signal(signal.SIGTERM)
    said = process.stderr.read()
    assert process.wait() == 75, said
    assert "asked to end in epoch 2" in said
    assert not (tmp_path / "ended" / "model").exists() or not any((tmp_path / "ended" / "model").iterdir())
    (checkpoint,) = (tmp_path / "b" / "checkpoints").iterdir()

    again = subprocess.run(command(dataset, tmp_path / "b", tmp_path / "ended"), capture_output=True, text=True, check=True)
    assert "epoch 1/2" not in again.stderr
    assert not checkpoint.exists()
    logs = [(tmp_path / name / "model" / LOG_NAME).read_text().splitlines() for name in ("undisturbed", "ended")]
    without_waiting = [[line.rsplit(",", 1)[0] for line in log] for log in logs]
    assert without_waiting[0] == without_waiting[1]
    results = [json.loads((tmp_path / name / "model" / "metadata.json").read_text())["results"] for name in ("undisturbed", "ended")]
    assert results[0]["validation_loss"] == results[1]["validation_loss"]


@pytest.mark.slow
def test_two_devices_train_as_one_does(dataset: Path) -> None:
    run = subprocess.run([sys.executable, "-c", ON_DEVICES, str(dataset)], capture_output=True, text=True, check=True)
    one, two = (json.loads(line) for line in run.stdout.splitlines() if line.startswith("{"))
    assert (one.pop("num_devices"), two.pop("num_devices")) == (1, 2)
    for name, values in one.items():
        assert two[name] == pytest.approx(values, rel=1e-3), name


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
