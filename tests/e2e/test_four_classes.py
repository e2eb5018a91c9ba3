"""A dataset with `other` as a fourth class goes through training, pruning and evaluation."""

from pathlib import Path

import numpy as np
import pytest

from components.core.records.clips import ALL_CLASS_NAMES
from components.evaluate.evaluate import evaluate_models
from components.evaluate.report import render_report
from components.prune.options import PruningOptions
from components.prune.pruning import prune_classifier
from components.train import trainer
from components.train.trainer import train_classifier
from tests.clip_datasets import clip_record, toy_clip, write_dataset
from tests.networks import coarse_model, training_options


@pytest.mark.slow
def test_four_classes_are_trained_pruned_and_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    records = {
        split: [clip_record(toy_clip(label % 3, rng), label, f"{split}-{label}-{n}") for n in range(2) for label in range(4)]
        for split in ("train", "validation", "test")
    }
    write_dataset(tmp_path / "dataset", records, class_names=ALL_CLASS_NAMES)
    # The networks of train take a minute to be traced and exported, and other tests do that.
    monkeypatch.setattr(trainer, "build_network", lambda num_classes, *_: coarse_model(num_classes))
    training = training_options(epochs=1, patience=1, batch_size=4, learning_rate=0.001, seed=0)
    train_classifier(tmp_path / "dataset", tmp_path / "dense", tmp_path / "curves.html", training)
    pruning = PruningOptions(sparsity=0.5, pruning_epochs=1, batch_size=4, learning_rate=0.001, seed=0)
    prune_classifier(tmp_path / "dataset", tmp_path / "dense", tmp_path / "pruned", tmp_path / "summary.html", pruning)
    evaluation = evaluate_models(
        tmp_path / "dataset", tmp_path / "dense", tmp_path / "pruned", str(tmp_path / "storage"), num_bootstrap=20, batch_size=4, seed=0
    )
    assert evaluation.class_names == ["covid", "pneumonia", "normal", "other"]
    confusion = np.array(evaluation.confusion_of_pruned())
    assert confusion.shape == (4, 4)
    assert confusion.sum(axis=1).tolist() == [2, 2, 2, 2]
    assert "other" in render_report(evaluation)
