"""Evaluate end to end on tiny clips whose bright band is their class, with models whose weights are set by hand."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from kfp import dsl

from components.core.errors import DataError
from components.core.models.classifier import ClassifierMetadata, save_classifier
from components.core.records import clips, shards
from components.core.registry.champion import Champion, set_champion
from components.core.registry.versions import Comparison, model_sha256, publish_version
from tests.clip_datasets import write_dataset

pytestmark = pytest.mark.slow

CLASS_NAMES = list(clips.CLASS_NAMES)
# True class and bright band of the test videos: one normal video looks like pneumonia.
TEST_VIDEOS = [(0, 0), (0, 0), (1, 1), (1, 1), (2, 2), (2, 2), (2, 1)]
BAND_PX = 74
KEEP = np.eye(3)
SWAP = np.eye(3)[[0, 2, 1]]
# One normal video is taken for pneumonia: F1 = 1, 4/5, 4/5.
KEEP_MACRO_F1 = (1 + 4 / 5 + 4 / 5) / 3
# Pneumonia and normal change places, which puts that one video right: F1 = 1, 0, 2/6.
SWAP_MACRO_F1 = (1 + 0 + 2 / 6) / 3


def make_record(video_id: str, label: int, band: int, clip_index: int, source: str) -> clips.ClipRecord:
    frame = np.zeros((clips.FRAME_SIZE_PX, clips.FRAME_SIZE_PX), np.uint8)
    frame[band * BAND_PX : (band + 1) * BAND_PX] = 200
    jpeg = cv2.imencode(".jpg", frame)[1].tobytes()
    return clips.ClipRecord(
        frames=(jpeg,) * clips.CLIP_FRAMES,
        label=label,
        video_id=video_id,
        group=f"patient-{video_id}",
        source=source,
        probe="",
        license="CC BY 4.0",
        clip_index=clip_index,
        timestamps_us=tuple(range(clips.CLIP_FRAMES)),
        frame_indices=tuple(range(clips.CLIP_FRAMES)),
    )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven test videos of two clips each; pneumonia is the most frequent class of the train split."""
    train_labels = [0] * 3 + [1] * 9 + [2] * 4
    records = {
        "train": [make_record(f"train-{number}", label, label, 0, "ä") for number, label in enumerate(train_labels)],
        "validation": [make_record(f"validation-{label}", label, label, 0, "ä") for label in range(3)],
        "test": [
            make_record(f"video-{number}", label, band, clip, "ä" if number % 2 else "")
            for number, (label, band) in enumerate(TEST_VIDEOS)
            for clip in range(2)
        ],
    }
    return write_dataset(tmp_path_factory.mktemp("data") / "dataset", records, num_shards=1)


@pytest.fixture
def save_model(tmp_path: Path, dataset: Path) -> Callable[..., Path]:
    def save(name: str, kernel: np.ndarray, class_names: list[str] = CLASS_NAMES, fingerprint: str | None = None) -> Path:
        import tf_keras

        clip = tf_keras.Input((clips.CLIP_FRAMES, clips.FRAME_SIZE_PX, clips.FRAME_SIZE_PX, 3), dtype="uint8")
        bands = tf_keras.layers.AveragePooling3D((clips.CLIP_FRAMES, BAND_PX, clips.FRAME_SIZE_PX))
        means = tf_keras.layers.Flatten()(bands(tf_keras.layers.Rescaling(1 / 255)(clip)))
        head = tf_keras.layers.Dense(kernel.shape[1], "softmax", use_bias=False)
        model = tf_keras.Model(clip, head(means))
        head.set_weights([np.repeat(10 / 3 * kernel, 3, axis=0)])  # three equal channels
        folder = tmp_path / name
        folder.mkdir()
        fingerprint = fingerprint or shards.DatasetIndex.read(dataset).fingerprint
        save_classifier(folder, model, ClassifierMetadata(name, class_names, fingerprint, "revision", {}, {}))
        return folder

    return save


def crown(storage_uri: str, model_path: Path, tmp_path: Path) -> str:
    """Makes a model the champion, as promote does."""
    (tmp_path / "file").write_text("")
    version = publish_version(storage_uri, model_path, tmp_path / "file", tmp_path / "file", datetime(2026, 1, 2, tzinfo=UTC))
    set_champion(storage_uri, Champion(version, model_sha256(model_path), 0.5, "2026-01-02T00:00:00+00:00"))
    return version


def evaluate(dataset: Path, dense: Path, pruned: Path, storage_uri: str, **parameters: Any) -> Any:
    from components.evaluate.evaluate import evaluate_models

    return evaluate_models(dataset, dense, pruned, storage_uri, **{"num_bootstrap": 50, "batch_size": 4, "seed": 0, **parameters})


def test_the_step_writes_all_its_outputs(
    dataset: Path, save_model: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from components.evaluate.component import evaluate as step

    dense, pruned = save_model("dense", KEEP), save_model("pruned", SWAP)
    version = crown(str(tmp_path / "storage"), save_model("champion", KEEP, fingerprint="f" * 64), tmp_path)
    metrics, classification = dsl.Metrics(), dsl.ClassificationMetrics()
    step.python_func(
        dataset=dsl.Dataset(uri=str(dataset)),
        dense_model=dsl.Model(uri=str(dense)),
        pruned_model=dsl.Model(uri=str(pruned)),
        storage=str(tmp_path / "storage"),
        metrics=metrics,
        classification_metrics=classification,
        report=dsl.HTML(uri=str(tmp_path / "report")),
        evaluation=dsl.Artifact(uri=str(tmp_path / "evaluation")),
        num_bootstrap=100,
    )

    assert metrics.metadata["pruned_video_macro_f1"] == pytest.approx(SWAP_MACRO_F1, abs=1e-6)
    assert metrics.metadata["dense_video_macro_f1"] == pytest.approx(KEEP_MACRO_F1, abs=1e-6)
    assert metrics.metadata["dense_clip_macro_f1"] == pytest.approx(KEEP_MACRO_F1, abs=1e-6)
    # Always pneumonia, the most frequent class of the train split: F1 = 2·(2/7)/(1 + 2/7) for it, 0 for the others.
    assert metrics.metadata["baseline_video_macro_f1"] == pytest.approx(4 / 9 / 3, abs=1e-6)
    assert [row["row"] for row in classification.metadata["confusionMatrix"]["rows"]] == [[2, 0, 0], [0, 0, 2], [0, 2, 1]]
    assert classification.metadata["confidenceMetrics"][-1]["recall"] == 1.0
    assert "<h1>" in (tmp_path / "report").read_text()
    comparison = Comparison.read(tmp_path / "evaluation")
    assert (comparison.challenger_sha256, comparison.champion_version, comparison.remark) == (model_sha256(pruned), version, "")
    assert comparison.challenger_macro_f1 == pytest.approx(SWAP_MACRO_F1, abs=1e-6)
    assert comparison.champion_macro_f1 == pytest.approx(KEEP_MACRO_F1, abs=1e-6)
    assert comparison.difference_interval is not None
    assert comparison.difference_interval[1] < 0, "in every replicate the challenger is worse"
    fields = json.loads((tmp_path / "evaluation").read_text())
    briers = [fields["models"][name]["video"]["brier"] for name in ("pruned", "champion")]
    assert [comparison.challenger_brier, comparison.champion_brier] == briers
    assert briers[0] > briers[1]
    assert fields["test_set"]["sources"] == {
        "(not stated)": {"videos": 4, "groups": 4, "clips": 8},
        "ä": {"videos": 3, "groups": 3, "clips": 6},
    }
    assert any("trained on another version of the dataset" in note for note in fields["notes"])
    assert "always pneumonia" in capsys.readouterr().out


def test_a_champion_with_other_classes_is_not_compared_and_the_reason_is_told(
    dataset: Path, save_model: Callable[..., Path], tmp_path: Path
) -> None:
    model = save_model("pruned", KEEP)
    version = crown(str(tmp_path / "storage"), save_model("champion", KEEP, ["covid", "viral", "normal"]), tmp_path)
    evaluation = evaluate(dataset, model, model, str(tmp_path / "storage"))

    assert set(evaluation.models) == {"pruned", "dense"}
    assert evaluation.comparison.champion_version == version
    assert evaluation.comparison.champion_macro_f1 is None
    assert "knows the classes covid, viral, normal" in evaluation.comparison.remark
    assert evaluation.comparison.remark in evaluation.notes


def test_without_a_champion_the_comparison_is_empty(dataset: Path, save_model: Callable[..., Path], tmp_path: Path) -> None:
    model = save_model("pruned", KEEP)
    comparison = evaluate(dataset, model, model, str(tmp_path / "storage"), num_bootstrap=0).comparison
    assert (comparison.champion_version, comparison.champion_macro_f1, comparison.remark) == (None, None, "")


def test_a_model_that_gives_nan_is_named(dataset: Path, save_model: Callable[..., Path], tmp_path: Path) -> None:
    broken = save_model("pruned", np.full((3, 3), np.nan))
    with pytest.raises(DataError, match="the pruned model gives no finite probabilities for 14 of 14 test clips"):
        evaluate(dataset, save_model("dense", KEEP), broken, str(tmp_path / "storage"))


def test_a_model_with_another_number_of_outputs_is_named(dataset: Path, save_model: Callable[..., Path], tmp_path: Path) -> None:
    broken = save_model("pruned", np.ones((3, 2)))
    with pytest.raises(DataError, match="gives 2 probabilities a clip instead of 3"):
        evaluate(dataset, save_model("dense", KEEP), broken, str(tmp_path / "storage"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"class_names": ["covid", "viral", "normal"]}, "knows the classes covid, viral, normal"),
        ({"fingerprint": "f" * 64}, "may have seen the videos that it is judged by"),
    ],
)
@pytest.mark.parametrize("name", ["dense", "pruned"])
def test_a_model_of_another_dataset_is_refused(
    dataset: Path, save_model: Callable[..., Path], tmp_path: Path, name: str, fields: dict[str, Any], message: str
) -> None:
    models = {other: save_model(other, KEEP, **(fields if other == name else {})) for other in ("dense", "pruned")}
    with pytest.raises(DataError, match=f"the {name} model .*{message}"):
        evaluate(dataset, models["dense"], models["pruned"], str(tmp_path / "storage"))


def test_an_empty_test_split_is_refused(dataset: Path, save_model: Callable[..., Path], tmp_path: Path) -> None:
    model = save_model("pruned", KEEP)
    empty = tmp_path / "empty"
    shutil.copytree(dataset, empty)
    index = json.loads((empty / shards.INDEX_NAME).read_text())
    index["splits"]["test"]["num_clips"] = 0
    (empty / shards.INDEX_NAME).write_text(json.dumps(index))
    with pytest.raises(DataError, match=r"test split .* has no clips"):
        evaluate(empty, model, model, str(tmp_path / "storage"))


def test_a_champion_that_was_deleted_is_refused(dataset: Path, save_model: Callable[..., Path], tmp_path: Path) -> None:
    model = save_model("pruned", KEEP)
    version = crown(str(tmp_path / "storage"), model, tmp_path)
    shutil.rmtree(tmp_path / "storage" / "models" / version)
    with pytest.raises(DataError, match="is not there"):
        evaluate(dataset, model, model, str(tmp_path / "storage"))


@pytest.mark.parametrize("option", ["--num-bootstrap=-1", "--batch-size=0", "--seed=-1"])
def test_parameters_out_of_range_stop_the_step_before_tensorflow_is_loaded(tmp_path: Path, option: str) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "components", "evaluate", "--output-folder", str(tmp_path / "out"), option]
    inputs = ["--dataset", "--dense-model", "--pruned-model", "--storage"]
    result = subprocess.run(
        [*command, *(text for name in inputs for text in (name, str(tmp_path)))], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert option.split("=")[0].lstrip("-").replace("-", "_") in result.stderr
    assert not re.search(r"\| +tensorflow$", result.stderr, re.MULTILINE)
