"""The options of train as another step gets them: by name, from the command line or from a cluster."""

import dataclasses
from typing import Any

import pytest

from components.core.errors import UsageError
from components.train.component import train
from components.train.options import TrainingOptions

DEFAULTS = {name: spec.default for name, spec in train.component_spec.inputs.items() if name not in ("dataset", "storage")}


def test_they_are_the_parameters_of_the_interface() -> None:
    assert dataclasses.asdict(TrainingOptions.of(DEFAULTS)) == DEFAULTS


def test_the_one_type_of_number_of_a_cluster_is_understood() -> None:
    options = TrainingOptions.of({**DEFAULTS, "epochs": 3.0, "learning_rate": 1})
    assert (repr(options.epochs), repr(options.learning_rate)) == ("3", "1.0")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epoch": 3}, "there is no training option 'epoch'; there are epochs, patience"),
        ({"epochs": 3.5}, "epochs must be of type int, got 3.5"),
        ({"epochs": float("inf")}, "epochs must be of type int, got inf"),
        ({"epochs": "3"}, "epochs must be of type int, got '3'"),
        ({"require_gpu": 1}, "require_gpu must be of type bool, got 1"),
        ({"seed": True}, "seed must be of type int, got True"),
        ({"architecture": None}, "architecture must be of type str, got None"),
        ({"epochs": 0}, "epochs must be at least 1 and at most 10000, got 0"),
        ({"weights": ""}, "'efficientnet_lite0' takes no other weights than its own"),
    ],
)
def test_other_options_are_refused_in_a_sentence(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TrainingOptions.of({**DEFAULTS, **given})


def test_all_of_them_must_be_given() -> None:
    with pytest.raises(UsageError, match=r"option\(s\) patience, seed are absent"):
        TrainingOptions.of({name: value for name, value in DEFAULTS.items() if name not in ("patience", "seed")})
