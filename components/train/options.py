"""What a user may ask of train."""

import dataclasses

from components.core.parameters import check_values


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
    """The parameters of the step; its interface explains them.

    Raises:
        UsageError: a value is outside of its range, or none of its choices.
    """

    epochs: int
    patience: int
    batch_size: int
    learning_rate: float
    seed: int
    architecture: str = "convlstm2d"
    backbone: str = "small"

    def __post_init__(self) -> None:
        check_values(**dataclasses.asdict(self))
