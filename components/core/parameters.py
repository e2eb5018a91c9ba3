"""What values the parameters of the steps may have, so that a run can refuse a wrong one before any work starts.

A parameter means the same in every step that takes it, therefore ranges and choices are keyed by name alone.
"""

import dataclasses
import math
from collections.abc import Mapping

from components.core.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Range:
    """An interval of allowed values, closed at `low`, and at `high` unless `open_high`."""

    low: float
    high: float = math.inf
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        return self.low <= value and (value < self.high if self.open_high else value <= self.high)

    def __str__(self) -> str:
        if self.high == math.inf:
            return f"at least {_text(self.low)}"
        return f"at least {_text(self.low)} and {'less than' if self.open_high else 'at most'} {_text(self.high)}"


def _text(number: float) -> str:
    """Returns a number with every digit that a whole number in RANGES may have."""
    return f"{number:.12g}"


RANGES = {
    "max_age_days": Range(0, 36_500),
    "max_gigabytes": Range(0.001, 1_000_000),
    "min_videos_per_class": Range(0, 1_000_000),
    "frames_per_second": Range(0.1, 1000),
    "max_clips_per_video": Range(1, 1000),
    "num_folds": Range(2, 100),
    "num_shards": Range(1, 99999),
    "test_fraction": Range(0.05, 0.6),
    "validation_fraction": Range(0.05, 0.6),
    "num_workers": Range(1, 1024),
    "epochs": Range(1, 10000),
    "patience": Range(1, 10000),
    "num_trials": Range(0, 1000),
    "batch_size": Range(1, 4096),
    "fine_tuning_epochs": Range(0, 10000),
    "label_smoothing": Range(0, 1, open_high=True),
    "cached_versions": Range(0, 1000),
    "num_repeats": Range(1, 1000),
    "learning_rate": Range(1e-8, 10),
    "sparsity": Range(0, 1, open_high=True),
    "pruning_epochs": Range(1, 10000),
    "num_bootstrap": Range(0, 1_000_000),
    "min_macro_f1": Range(0, 1),
    "tolerance": Range(0, 1),
    "max_p_value": Range(0, 1),
    "patients_per_class": Range(3, 1000),
    "videos_per_patient": Range(1, 1000),
    "seed": Range(0, 2**31 - 1),
}


CHOICES = {
    "sparsity_pattern": ("unstructured", "2by4"),
    "sampling": ("window", "uniform"),
    "divide_by": ("fold", "source", "video"),
    "architecture": ("convlstm2d", "cnn_lstm", "cnn_gru"),
    "backbone": ("small", "efficientnet_lite0", "mobilenet_v2", "efficientnet_b0", "efficientnet_v2_b0", "resnet50_v2"),
}


SPARSITY_OF_2BY4 = 0.5


def parse_sparsities(text: str) -> tuple[float, ...]:
    """Returns the sparsities of a list with commas between them, rising; none of an empty text.

    Raises:
        UsageError: it is no such list, or a sparsity is outside of its range.
    """
    try:
        sparsities = sorted({float(part) for part in text.split(",")}) if text.strip() else []
    except ValueError:
        raise UsageError(f"curve_sparsities must be numbers with commas between them, like 0.5,0.8,0.9, got {text!r}.") from None
    for sparsity in sparsities:
        if sparsity not in RANGES["sparsity"]:
            raise UsageError(f"curve_sparsities must be {RANGES['sparsity']} each, got {_text(sparsity)}.")
    return tuple(sparsities)


def check_values(**values: object) -> None:
    """Checks parameters by name; names without a range or choices are not checked.

    Raises:
        UsageError: a value is outside of its range, or none of its choices.
    """
    for name, value in values.items():
        if name in RANGES and isinstance(value, int | float) and value not in RANGES[name]:
            raise UsageError(f"{name} must be {RANGES[name]}, got {_text(value)}.")
        if name in CHOICES and value not in CHOICES[name]:
            raise UsageError(f"{name} must be one of {', '.join(CHOICES[name])}, got {value!r}.")
    if values.get("sparsity_pattern") == "2by4":
        _check_2by4(values)
    if isinstance(sparsities := values.get("curve_sparsities"), str):
        parse_sparsities(sparsities)


def _check_2by4(values: Mapping[str, object]) -> None:
    if (sparsity := values.get("sparsity", SPARSITY_OF_2BY4)) != SPARSITY_OF_2BY4:
        raise UsageError(f"sparsity_pattern 2by4 makes two of four weights zero, so sparsity must be {SPARSITY_OF_2BY4}, got {sparsity}.")
    if values.get("curve_sparsities"):
        raise UsageError("sparsity_pattern 2by4 has one sparsity only; draw the curve with the pattern unstructured.")
