"""The heads of a classifier: what it says of a clip, by name.

    probabilities       [batch, classes] float32, of the classes; they sum to 1
    a_lines, b_lines    [batch, 1] float32, the probability that there are some
    severity            [batch, 3] float32, the probabilities of at least the grades 1, 2 and 3

A head of a finding (core.records.findings) is there when the train clips state more than one of its grades. A model with findings gives
a dict, one without them the probabilities alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.core.records.findings import FINDINGS

CLASSES = "probabilities"
LOOK = "look"  # beside the heads, where it is asked for (core.models.reference)


def by_head(answer: Any) -> dict[str, Any]:
    """Returns what a model gave, or what describes it, by head."""
    return answer if isinstance(answer, dict) else {CLASSES: answer}


def like_the_model(values: dict[str, Any]) -> Any:
    """Returns values of all heads in the form in which a model with these heads gives its answer."""
    return values if len(values) > 1 else values[CLASSES]


def sizes(num_classes: int, findings: Sequence[str]) -> dict[str, int]:
    """Returns how many numbers each head gives of a clip, given the names of the findings."""
    return {CLASSES: num_classes, **{finding.name: finding.num_thresholds for finding in FINDINGS if finding.name in findings}}


def in_words(sizes: Mapping[str, int]) -> str:
    """Returns how many numbers each head gives, as a message says it."""
    return ", ".join(f"{size} {name}" for name, size in sorted(sizes.items()))


def side_by_side(answer: Any, sizes: Mapping[str, int]) -> np.ndarray:
    """Returns what a model gave as one table, [batch, numbers] float64, the heads in the order of their sizes.

    Raises:
        ValueError: it gave something else than these heads; the message says what.
    """
    given = {name: np.asarray(values, np.float64) for name, values in by_head(answer).items()}
    if (found := {name: values.shape[-1] for name, values in given.items()}) != dict(sizes):
        raise ValueError(f"gives {in_words(found)} a clip instead of {in_words(sizes)}")
    return np.concatenate([given[name] for name in sizes], axis=1)


def apart(table: np.ndarray, sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Returns the columns of such a table by head."""
    ends = np.cumsum(list(sizes.values()))
    return dict(zip(sizes, np.split(table, ends[:-1], axis=1), strict=True))
