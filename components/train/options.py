"""What a user may ask of train."""

import dataclasses

from components.core.errors import UsageError
from components.core.parameters import check_values

IMAGENET = "imagenet"
WITHOUT_A_CHOICE_OF_WEIGHTS = ("small", "efficientnet_lite0")


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
    """The parameters of the step; its interface explains them.

    Raises:
        UsageError: a value is outside of its range, none of its choices, or the backbone has no choice of weights.
    """

    epochs: int
    patience: int
    batch_size: int
    learning_rate: float
    seed: int
    architecture: str = "convlstm2d"
    backbone: str = "small"
    weights: str = IMAGENET
    fine_tuning_epochs: int = 0
    label_smoothing: float = 0.0
    cached_versions: int = 0
    require_gpu: bool = False
    num_trials: int = 0

    def __post_init__(self) -> None:
        check_values(**dataclasses.asdict(self))
        if self.backbone in WITHOUT_A_CHOICE_OF_WEIGHTS and self.weights != IMAGENET:
            raise UsageError(f"backbone {self.backbone!r} takes no other weights than its own, got weights {self.weights!r}.")
