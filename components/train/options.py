"""What a user may ask of train."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from components.core.errors import UsageError
from components.core.parameters import check_values

IMAGENET = "imagenet"
WITHOUT_A_CHOICE_OF_WEIGHTS = ("small", "efficientnet_lite0")


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
    """The parameters of the step but for its storage; the interface explains them and has their defaults.

    Raises:
        UsageError: a value is outside of its range, none of its choices, or the backbone has no choice of weights.
    """

    epochs: int
    patience: int
    batch_size: int
    learning_rate: float
    seed: int
    architecture: str
    backbone: str
    weights: str
    cached_versions: int
    fine_tuning_epochs: int
    label_smoothing: float
    require_gpu: bool
    num_trials: int

    def __post_init__(self) -> None:
        check_values(**dataclasses.asdict(self))
        if self.backbone in WITHOUT_A_CHOICE_OF_WEIGHTS and self.weights != IMAGENET:
            raise UsageError(f"backbone {self.backbone!r} takes no other weights than its own, got weights {self.weights!r}.")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "TrainingOptions":
        """Returns options of which some are given, by name; the others have their defaults.

        Raises:
            UsageError: there is no such option, or a value is of another type or not allowed.
        """
        # Not at the top: where kfp runs a step, no interface can be imported.
        from components.train.component import train

        defaults = {field.name: train.component_spec.inputs[field.name].default for field in dataclasses.fields(cls)}
        if unknown := sorted(set(given) - set(defaults)):
            raise UsageError(f"there is no training option {unknown[0]!r}; there are {', '.join(defaults)}.")
        return cls(**defaults | {name: _converted(name, value, type(defaults[name])) for name, value in given.items()})


def _converted(name: str, value: Any, kind: type) -> Any:
    """Returns a value as the type that it must have: the JSON of a cluster has one type of number."""
    if (kind is float and isinstance(value, int)) or (kind is int and isinstance(value, float) and value.is_integer()):
        value = kind(value)
    if type(value) is not kind:
        raise UsageError(f"the training option {name} must be of type {kind.__name__}, got {value!r}.")
    return value
