"""What is known of the epochs of a training: the best one, a line in the log for each, and their history as a file."""

import csv
import logging
import time
from pathlib import Path
from typing import Any, TypeAlias

import tf_keras

MACRO_F1 = "macro_f1"

History: TypeAlias = dict[str, list[float]]

_log = logging.getLogger(__name__)


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


class EpochLog(tf_keras.callbacks.Callback):
    """Logs one line an epoch."""

    def __init__(self, best: BestEpoch) -> None:
        super().__init__()
        self._best = best
        self._started_s = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Starts the clock."""
        self._started_s = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Writes the line."""
        _log.info(
            "epoch %*d/%d: loss %.3f, macro-F1 %.3f; validation loss %.3f, macro-F1 %.3f; %.1f s, %.0f %% of it waiting for data%s",
            len(str(self.params["epochs"])),
            epoch + 1,
            self.params["epochs"],
            logs["loss"],
            logs[MACRO_F1],
            logs["val_loss"],
            logs[f"val_{MACRO_F1}"],
            time.monotonic() - self._started_s,
            100 * logs["wait_share"],
            ", best so far" if self._best.epoch == epoch else "",
        )


def write_history(path: Path, history: History) -> None:
    """Writes what was measured in each epoch as CSV, one line an epoch, numbered from 1."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", *history])
        writer.writerows([number, *values] for number, values in enumerate(zip(*history.values(), strict=True), start=1))
