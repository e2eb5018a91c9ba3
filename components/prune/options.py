"""What a user may ask of prune."""

import dataclasses

from components.core.parameters import check_values


@dataclasses.dataclass(frozen=True)
class PruningOptions:
    """The parameters of the step; its interface explains them.

    Raises:
        UsageError: a value is outside of its range, or two do not fit each other.
    """

    sparsity: float
    pruning_epochs: int
    batch_size: int
    learning_rate: float
    seed: int
    sparsity_pattern: str = "unstructured"
    curve_sparsities: str = ""

    def __post_init__(self) -> None:
        check_values(**dataclasses.asdict(self))
