"""What is known of the epochs of a training: the best one, and their history as a file."""

from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import tf_keras

MACRO_F1 = "macro_f1"

History: TypeAlias = dict[str, list[float]]


class BestEpoch(tf_keras.callbacks.Callback):
    """Keeps the weights of the best epoch and gives them back to the model at the end of training.

    Attributes:
        epoch: number of the best epoch, from 0.
        logs: what was measured in it.
        weights: of the model in it.
    """

    def __init__(self, first_epoch: int = 0, patience: int | None = None) -> None:
        """Makes the callback.

        Args:
            first_epoch: epochs before this one are not considered.
            patience: training stops after so many epochs without a better one; None never stops it.
        """
        super().__init__()
        self.epoch = -1
        self.logs: dict[str, float] = {}
        self.weights: list[Any] = []
        self._first_epoch = first_epoch
        self._patience = patience

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Compares the epoch with the best one so far."""
        if epoch < self._first_epoch:
            return
        if not self.logs or _rank(logs) > _rank(self.logs):
            self.epoch, self.logs, self.weights = epoch, dict(logs), self.model.get_weights()
        elif self._patience is not None and epoch - self.epoch >= self._patience:
            self.model.stop_training = True

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Gives the weights of the best epoch to the model."""
        self.model.set_weights(self.weights)


def _rank(logs: dict[str, float]) -> tuple[float, float]:
    return logs[f"val_{MACRO_F1}"], -logs["val_loss"]


def write_history(path: Path, history: History) -> None:
    """Writes what was measured in each epoch as CSV, one line an epoch, numbered from 1."""
    epochs = pd.DataFrame(history)
    epochs.set_index(epochs.index + 1).to_csv(path, index_label="epoch")
