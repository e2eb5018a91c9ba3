"""The search for hyper-parameters: bounded, seeded, and never worse by its own measure than what was asked for."""

import dataclasses
import json
from pathlib import Path

import pytest

from components.train.options import TrainingOptions
from components.train.search import LABEL_SMOOTHINGS, LEARNING_RATES, search_hyperparameters
from components.train.trainer import TRIALS_NAME, train_classifier
from tests.clip_datasets import write_toy_dataset

OPTIONS = TrainingOptions(epochs=1, patience=1, batch_size=6, learning_rate=0.001, seed=0, num_trials=6)


def bowl(options: TrainingOptions) -> float:
    """Has its best value at a label smoothing of 0.15."""
    return 1 - abs(options.label_smoothing - 0.15)


def test_as_many_trials_as_asked_for_and_the_best_is_taken() -> None:
    chosen, trials = search_hyperparameters(OPTIONS, bowl)
    assert len(trials) == 6
    assert (trials[0].learning_rate, trials[0].label_smoothing) == (0.001, 0.0)
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


@pytest.mark.slow
def test_train_keeps_the_trials_and_trains_with_the_best(tmp_path: Path) -> None:
    dataset = write_toy_dataset(tmp_path / "dataset", {"train": 1, "validation": 1})
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
