"""What compression costs and gives: every form of a pruned classifier beside the dense one, on the validation clips."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from components.core.models.classifier import file_sizes, read_metadata
from components.core.models.dataset import read_clips
from components.core.models.exports import KERAS, PATHS, exports_of, latency_ms, load_export
from components.core.models.predictions import Predictions, predict_clips
from components.core.statistics.bootstrap import macro_f1_over_groups

DENSE = "dense"
SPLIT = "validation"


@dataclasses.dataclass(frozen=True)
class ExportedFile:
    """One form of a classifier.

    Attributes:
        name: `dense`, or a name of core.models.exports.
        bytes: its size.
        gzip_bytes: its size gzipped.
        agreement: part of the validation clips for which it answers the same class as the dense model.
        macro_f1: over the validation clips.
        finding_gaps: of each finding, how far the expected grade is from the dense model's, the mean over the validation clips.
        latency_ms: median time of one clip by itself, on this machine.
    """

    name: str
    bytes: int
    gzip_bytes: int
    agreement: float
    macro_f1: float
    latency_ms: float
    finding_gaps: dict[str, float]

    def reproducible_fields(self) -> dict[str, Any]:
        """Returns what another run would measure again: all but the latency."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in ("name", "latency_ms")}


def compare_exports(dense_model_path: Path, pruned_model_path: Path, dataset_path: Path) -> list[ExportedFile]:
    """Runs the dense model and every export of the pruned one on the validation clips; the dense model comes first.

    Raises:
        DataError: a model or the dataset cannot be used.
    """
    paths = {DENSE: dense_model_path / PATHS[KERAS], **exports_of(pruned_model_path)}
    metadata = read_metadata(dense_model_path)
    clip = next(read_clips(dataset_path, SPLIT).as_numpy_iterator())["clip"]
    files: list[ExportedFile] = []
    dense: Predictions | None = None
    for name, path in paths.items():
        model = load_export(path)
        predictions = predict_clips(name, model, dataset_path, SPLIT, metadata.heads, batch_size=1)
        dense = dense or predictions
        macro_f1, _ = macro_f1_over_groups(predictions, num_bootstrap=0, seed=0)
        files.append(
            ExportedFile(
                name,
                agreement=float(np.mean(predictions.predicted == dense.predicted)),
                macro_f1=macro_f1,
                latency_ms=latency_ms(model, clip),
                finding_gaps={
                    finding: float(np.abs(graded.expected - dense.findings[finding].expected).mean())
                    for finding, graded in predictions.findings.items()
                },
                **file_sizes(path),
            )
        )
    return files
