"""Checkpoints: the state of a training in the storage, so that a run that was ended goes on where it stopped.

    <storage>/checkpoints/<key>.npz    weights/…, optimizer/…, metrics/…, best/…: arrays; progress: JSON

The key stands for the dataset and the parameters, so a retry of the same step finds its own checkpoint and nobody else's. The file is one
object that is replaced as a whole, and holds arrays only: reading it runs no code. It is deleted when the model has been written.

A process that is asked to end (SIGTERM, as a cluster sends before it takes a node away) finishes its training step, saves and ends with
Interrupted; started again, as a cluster does with a pod that it has lost, the step goes on there. A process that is killed loses at most an
epoch. Nothing is saved of what comes before the training: the search and the cached features.
"""

import contextlib
import dataclasses
import hashlib
import json
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np

from components.core import storage
from components.core.errors import DataError, Interrupted
from components.core.files.local_files import temporary_folder
from components.core.files.zip_files import DAMAGES

FOLDER = "checkpoints"


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a training has come.

    Attributes:
        phase: of the run.
        epoch: number of the next epoch, from 0.
        step: number of the next step in it.
        history: what was measured in the epochs before.
        finished: whether the phase is over.
    """

    phase: str
    epoch: int = 0
    step: int = 0
    history: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    finished: bool = False


class Checkpoints:
    """Saves and restores the state of the training of one run.

    Attributes:
        uri: of the checkpoint.
        end_is_asked: whether the process was asked to end.
    """

    def __init__(self, storage_uri: str, *identity: Any) -> None:
        """Names the checkpoint.

        Args:
            storage_uri: where the project keeps what lasts.
            identity: what tells this training from others, such as the dataset's fingerprint and the parameters; of JSON's types.
        """
        key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]
        self.uri = storage.join(storage_uri, FOLDER, f"{key}.npz")
        self.end_is_asked = False
        # By phase: its progress, and the number and the logs of its best epoch.
        self._finished: dict[str, dict[str, Any]] = {}

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Takes note of SIGTERM in the block, instead of ending at once."""

        def ask(*_: Any) -> None:
            self.end_is_asked = True

        before = signal.signal(signal.SIGTERM, ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def check(self, doing: str) -> None:
        """Ends what saves nothing of itself, such as `the search`, when the process was asked to end.

        Raises:
            Interrupted: it was.
        """
        if self.end_is_asked:
            raise Interrupted(f"train was asked to end during {doing}, of which nothing is saved; start it again and it begins that anew.")

    def exists(self) -> bool:
        """Tells whether there is a checkpoint to go on from."""
        return storage.exists(self.uri)

    def save(self, progress: Progress, model: Any, best: Any) -> None:
        """Writes the state of a compiled model, its optimizer and metrics, and the best epoch.

        Raises:
            StorageError: the storage cannot be written.
        """
        reached = {"progress": dataclasses.asdict(progress), "best": {"epoch": best.epoch, "logs": best.logs}}
        if progress.finished:
            self._finished[progress.phase] = reached
        state = {**reached, "finished": self._finished}
        arrays = {f"best/{number}": array for number, array in enumerate(best.weights)}
        for name, variables in _variables(model).items():
            arrays |= {f"{name}/{number}": variable.numpy() for number, variable in enumerate(variables)}
        with temporary_folder() as folder:
            path = folder / "checkpoint.npz"
            np.savez(path, progress=np.frombuffer(json.dumps(state).encode(), np.uint8), **arrays)
            storage.put_file(path, self.uri)

    def restore(self, phase: str, model: Any, best: Any) -> Progress | None:
        """Gives a compiled model, whose metrics have their variables, the state that was saved in a phase.

        Args:
            phase: which training of the run the model is for.
            model: is changed when the state is of this phase.
            best: the BestEpoch; gets the number and the logs of this phase, and the weights when the state is of this phase.

        Returns:
            How far the phase has come, or None when it has not begun.

        Raises:
            DataError: the checkpoint is damaged, or of another network.
            StorageError: the storage cannot be read.
        """
        with storage.local_copy(self.uri) as path:
            try:
                with np.load(path, allow_pickle=False) as arrays:
                    content = {name: arrays[name] for name in arrays.files}
                state = json.loads(content.pop("progress").tobytes())
                self._finished = state["finished"]
                reached = state if state["progress"]["phase"] == phase else self._finished.get(phase)
                if reached is None:
                    return None
                progress = Progress(**reached["progress"])
                best.epoch, best.logs = reached["best"]["epoch"], reached["best"]["logs"]
            except (*DAMAGES, OSError, ValueError, KeyError, TypeError) as error:
                raise DataError(f"the checkpoint {self.uri!r} is damaged ({error}); delete it to start again.") from None
        if reached is not state:
            return progress
        for name, variables in _variables(model).items():
            _assign(name, variables, content, self.uri)
        best.weights = [content[f"best/{number}"] for number in range(sum(name.startswith("best/") for name in content))]
        if progress.finished:
            model.set_weights(best.weights)
        return progress

    def delete(self) -> None:
        """Deletes the checkpoint, if there is one."""
        storage.delete_file(self.uri)


def _variables(model: Any) -> dict[str, list[Any]]:
    metrics = [variable for metric in model.metrics for variable in metric.variables]
    return {"weights": model.weights, "optimizer": list(model.optimizer.variables), "metrics": metrics}


def _assign(name: str, variables: list[Any], content: dict[str, np.ndarray], uri: str) -> None:
    saved = [content[key] for number in range(len(content)) if (key := f"{name}/{number}") in content]
    shapes = [tuple(variable.shape) for variable in variables]
    if [array.shape for array in saved] != shapes:
        raise DataError(
            f"the checkpoint {uri!r} is of another network ({len(saved)} arrays of {name}, expected {len(shapes)} of other shapes); "
            "delete it to start again."
        )
    for variable, array in zip(variables, saved, strict=True):
        variable.assign(array)
