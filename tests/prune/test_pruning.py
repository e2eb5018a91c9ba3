"""Pruning: exactly the zeros that were asked for, in a model of stock layers that computes the same."""

import base64
import dataclasses
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow_model_optimization as tfmot
import tf_keras

from components.core.errors import DataError, UsageError
from components.core.models.classifier import MODEL_NAME, ClassifierMetadata, load_classifier, save_classifier, save_model
from components.core.models.dataset import open_dataset
from components.core.models.exports import PATHS
from components.core.records.clips import CLASS_NAMES
from components.core.records.findings import FINDINGS
from components.prune.options import PruningOptions
from components.prune.pruning import CURVE_NAME, KERNELS_NAME, LOG_NAME, count_zeros, prune_classifier, with_pruning
from components.train.models import build_classifier
from tests.clip_datasets import write_toy_dataset
from tests.networks import coarse_model

OPTIONS = PruningOptions(sparsity=0.8, pruning_epochs=2, batch_size=6, learning_rate=0.001, seed=0)
KERNELS = {f"conv{number}/kernel" for number in (1, 2, 3, 4)} | {
    "convlstm2d/kernel",
    "convlstm2d/recurrent_kernel",
    "reduction/kernel",
    "probabilities/kernel",
}


def expected_zeros(num_weights: int, sparsity: float) -> int:
    """Returns how many weights tfmot sets to zero (pruning_impl.py: it rounds the number of those that stay)."""
    return num_weights - max(1, round(num_weights * (1 - sparsity)))


def small_model() -> tf_keras.Model:
    layers = tf_keras.layers
    return tf_keras.Sequential(
        [
            layers.Input((4, 8, 8, 3)),
            layers.Conv2D(1, 1, trainable=False, name="grey"),
            layers.Conv2D(5, 3, name="conv"),
            layers.LayerNormalization(name="norm"),
            layers.ConvLSTM2D(8, 3, padding="same", recurrent_activation="sigmoid", return_sequences=True, name="convlstm2d"),
            layers.TimeDistributed(layers.GlobalAveragePooling2D()),
            layers.LSTM(8, return_sequences=True, name="lstm"),
            layers.GRU(4, name="gru"),
            layers.Dense(3, activation="softmax", name="dense"),
        ]
    )


SMALL_KERNELS = {
    "conv/kernel",
    "convlstm2d/kernel",
    "convlstm2d/recurrent_kernel",
    "lstm/kernel",
    "lstm/recurrent_kernel",
    "gru/kernel",
    "gru/recurrent_kernel",
    "dense/kernel",
}


def fitted(prunable: tf_keras.Model) -> np.ndarray:
    """Trains for eight steps and returns the clips that were used."""
    rng = np.random.default_rng(0)
    clips, labels = rng.normal(size=(8, 4, 8, 8, 3)).astype(np.float32), np.eye(3)[rng.integers(0, 3, 8)]
    prunable.compile("adam", "categorical_crossentropy")
    prunable.fit(clips, labels, batch_size=2, epochs=2, callbacks=[tfmot.sparsity.keras.UpdatePruningStep()], verbose=0)
    return clips


@pytest.mark.parametrize("sparsity", [0.5, 0.95])
def test_kernels_have_exactly_the_zeros_asked_for(sparsity: float, tmp_path: Path) -> None:
    prunable = with_pruning(small_model(), sparsity, ramp_steps=6)
    clips = fitted(prunable)
    save_model(tmp_path, tfmot.sparsity.keras.strip_pruning(prunable))

    stripped = tf_keras.models.load_model(tmp_path / MODEL_NAME, compile=False)
    counts = {kernel.name: kernel for kernel in count_zeros(stripped)}
    assert set(counts) == SMALL_KERNELS
    for kernel in counts.values():
        assert kernel.num_zeros == expected_zeros(kernel.num_weights, sparsity)
    assert {type(layer).__module__.split(".")[0] for layer in stripped.layers} == {"tf_keras"}
    assert np.array_equal(stripped.predict(clips, verbose=0), prunable.predict(clips, verbose=0))


def test_the_pattern_2by4_leaves_two_of_four_weights_along_the_input_channels() -> None:
    prunable = with_pruning(small_model(), 0.5, ramp_steps=1, pattern="2by4")
    fitted(prunable)
    stripped = tfmot.sparsity.keras.strip_pruning(prunable)
    assert {kernel.name for kernel in count_zeros(stripped)} == SMALL_KERNELS
    cell = stripped.get_layer("convlstm2d").cell
    kernels = [cell.recurrent_kernel, *(stripped.get_layer(name).cell.recurrent_kernel for name in ("lstm", "gru"))]
    for kernel in map(np.array, kernels):
        rows = np.moveaxis(kernel, -2, -1).reshape(-1, 4)  # input channels are the last axis but one, and four or eight here
        assert np.all((rows == 0).sum(axis=1) == 2)
    (first,) = [kernel for kernel in count_zeros(stripped) if kernel.name == "conv/kernel"]
    assert first.num_zeros == 0  # it has one input channel: a single weight in each row


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_dataset(tmp_path_factory.mktemp("data") / "dataset", {"train": 2, "validation": 1})


def write_dense(
    folder: Path,
    dataset_fingerprint: str,
    class_names: Sequence[str] = CLASS_NAMES,
    model: tf_keras.Model | None = None,
    findings: Sequence[str] = (),
) -> Path:
    tf_keras.utils.set_random_seed(0)
    folder.mkdir()
    metadata = ClassifierMetadata("dense", list(class_names), dataset_fingerprint, "", {}, {}, findings=list(findings))
    save_classifier(folder, model or build_classifier(3, "convlstm2d", "small"), metadata)
    return folder


@pytest.fixture(scope="module")
def fingerprint(dataset: Path) -> str:
    return open_dataset(dataset).fingerprint


@pytest.fixture(scope="module")
def dense(fingerprint: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dense(tmp_path_factory.mktemp("dense") / "model", fingerprint)


@pytest.mark.slow
def test_what_is_frozen_stays_and_the_rest_is_pruned(dataset: Path, fingerprint: str, tmp_path: Path) -> None:
    network = build_classifier(3, "cnn_gru", "efficientnet_lite0")
    frozen = {layer.name: layer.get_weights() for layer in network.layers if layer.name.startswith(("stem", "block"))}
    dense = write_dense(tmp_path / "dense", fingerprint, model=network)
    options = dataclasses.replace(OPTIONS, curve_sparsities="0.5")
    prune_classifier(dataset, dense, tmp_path / "pruned", tmp_path / "summary.html", options)
    model, _ = load_classifier(tmp_path / "pruned")
    for name, weights in frozen.items():
        assert all(np.array_equal(one, other) for one, other in zip(model.get_layer(name).get_weights(), weights, strict=True))
    kernels = count_zeros(model)
    assert {kernel.name for kernel in kernels} == {"gru/kernel", "gru/recurrent_kernel", "probabilities/kernel"}
    assert all(kernel.num_zeros == expected_zeros(kernel.num_weights, 0.8) for kernel in kernels)
    learnt = model.get_layer("gru").cell.kernel.numpy()
    assert not np.array_equal(learnt[learnt != 0], network.get_layer("gru").cell.kernel.numpy()[learnt != 0])


@pytest.mark.slow
def test_a_classifier_is_pruned_and_measured_with_all_its_heads(tmp_path: Path) -> None:
    dataset = write_toy_dataset(tmp_path / "dataset", {"train": 2, "validation": 1}, findings=True)
    findings = [finding.name for finding in FINDINGS]
    network = build_classifier(3, "convlstm2d", "small", findings=FINDINGS)
    dense = write_dense(tmp_path / "dense", open_dataset(dataset).fingerprint, model=network, findings=findings)
    results = prune_classifier(dataset, dense, tmp_path / "pruned", tmp_path / "summary.html", OPTIONS)
    model, metadata = load_classifier(tmp_path / "pruned")
    assert metadata.findings == findings
    kernels = count_zeros(model)
    assert {kernel.name for kernel in kernels} == KERNELS | {f"{name}/kernel" for name in findings}
    assert all(kernel.num_zeros == expected_zeros(kernel.num_weights, 0.8) for kernel in kernels)
    assert results["sparsity"] == pytest.approx(0.8, abs=0.001)
    assert results["model_gzip_bytes"] < 0.4 * results["dense_model_gzip_bytes"]
    assert abs(results["model_bytes"] / results["dense_model_bytes"] - 1) < 0.02

    assert metadata.kind == "pruned"
    assert metadata.parameters == dataclasses.asdict(OPTIONS)
    assert metadata.results["sparsity_by_kernel"] == {kernel.name: kernel.sparsity for kernel in kernels}
    assert (tmp_path / "pruned" / LOG_NAME).read_text().startswith("epoch,loss,")
    assert (tmp_path / "pruned" / KERNELS_NAME).read_text().startswith("kernel,num_weights,num_zeros,sparsity\nconv1/kernel,1200,960,0.8")
    page = (tmp_path / "summary.html").read_text()
    assert "do not make a CPU faster" in page
    assert metadata.results["exports"].keys() == {"dense", *PATHS}
    assert all((tmp_path / "pruned" / path).exists() for path in PATHS.values())
    assert metadata.results["exports"]["keras"]["gzip_bytes"] == results["model_gzip_bytes"]
    assert metadata.results["exports"]["keras"]["macro_f1"] == pytest.approx(results["validation_macro_f1"], abs=1e-6)
    assert metadata.results["exports"]["tflite_float32"]["agreement"] == metadata.results["exports"]["keras"]["agreement"]
    gaps = {name: file["finding_gaps"] for name, file in metadata.results["exports"].items()}
    assert gaps["dense"] == dict.fromkeys(findings, 0.0)
    assert gaps["tflite_float32"] == pytest.approx(gaps["keras"], abs=1e-4)
    assert "severity, off dense by" in page
    grey = [loaded.get_layer("grey").get_weights()[0] for loaded in (model, load_classifier(dense)[0])]
    assert np.array_equal(*grey)


@pytest.mark.slow
def test_sparsity_zero_only_trains_further_and_a_curve_shows_others(dataset: Path, fingerprint: str, tmp_path: Path) -> None:
    dense = write_dense(tmp_path / "dense", fingerprint, model=coarse_model())
    options = dataclasses.replace(OPTIONS, sparsity=0.0, pruning_epochs=1, curve_sparsities="0.9")
    results = prune_classifier(dataset, dense, tmp_path / "pruned", tmp_path / "summary.html", options)
    before, after = (load_classifier(folder)[0].get_layer("conv").get_weights()[0] for folder in (dense, tmp_path / "pruned"))
    assert not np.array_equal(before, after)
    assert results["sparsity"] < 0.001
    picture = (tmp_path / "pruned" / CURVE_NAME).read_bytes()
    assert base64.b64encode(picture).decode() in (tmp_path / "summary.html").read_text()


def test_a_model_of_other_classes_is_refused(dataset: Path, fingerprint: str, tmp_path: Path) -> None:
    other = write_dense(tmp_path / "other", fingerprint, ["a", "b", "c"], coarse_model())
    with pytest.raises(DataError, match="the dense model knows the classes a, b, c, but the dataset has"):
        prune_classifier(dataset, other, tmp_path / "pruned", tmp_path / "summary.html", OPTIONS)
    assert not (tmp_path / "pruned").exists()


def test_a_model_of_another_dataset_is_refused(dataset: Path, tmp_path: Path) -> None:
    other = write_dense(tmp_path / "other", "9f2c", model=coarse_model())
    with pytest.raises(DataError, match=r"was trained on the dataset 9f2c, not on .*, so it may have seen the videos that it is judged by"):
        prune_classifier(dataset, other, tmp_path / "pruned", tmp_path / "summary.html", OPTIONS)
    assert not (tmp_path / "pruned").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sparsity": 1.2}, r"sparsity must be at least 0 and less than 1, got 1\.2"),
        ({"sparsity": 1.0}, "sparsity must be .*, got 1"),
        ({"sparsity_pattern": "blocks"}, "sparsity_pattern must be one of unstructured, 2by4, got 'blocks'"),
        ({"sparsity_pattern": "2by4"}, r"so sparsity must be 0\.5, got 0\.8"),
        ({"sparsity_pattern": "2by4", "sparsity": 0.5, "curve_sparsities": "0.9"}, "has one sparsity only"),
        ({"curve_sparsities": "0.5;0.9"}, "curve_sparsities must be numbers with commas between them, like 0.5,0.8,0.9, got '0.5;0.9'"),
        ({"curve_sparsities": "0.5,1"}, "curve_sparsities must be at least 0 and less than 1 each, got 1"),
        ({"pruning_epochs": 0}, "pruning_epochs must be at least 1 and at most 10000, got 0"),
    ],
)
def test_values_out_of_range_are_refused(change: dict[str, float | str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(OPTIONS, **change)  # type: ignore[arg-type]


def test_the_step_refuses_a_wrong_value_before_it_loads_tensorflow() -> None:
    code = """
import json, sys
from components.prune.component import prune
try:
    prune.python_func(dataset=None, dense_model=None, pruned_model=None, metrics=None, summary=None, sparsity=1.2)
except SystemExit as stop:
    print(json.dumps([stop.code, "tensorflow" in sys.modules]))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == [2, False]
    assert run.stderr == "error: sparsity must be at least 0 and less than 1, got 1.2.\n"
