"""Compare: models of several architectures, trained on the same clips, on the validation videos.

The test videos stay unseen: whoever chooses an architecture by them has no honest score left.
"""

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.core.models.classifier import MODEL_NAME, check_belongs, file_sizes, load_classifier
from components.core.models.dataset import failures_of_shards, open_dataset, read_clips
from components.core.models.exports import latency_ms
from components.core.models.predictions import predict_clips
from components.core.pages import template
from components.core.records.shards import SplitInfo
from components.core.statistics.bootstrap import Interval, macro_f1_over_groups

SPLIT = "validation"
SHOWN_PARAMETERS = ("backbone", "learning_rate", "label_smoothing")

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class ComparedModel:
    """A model and what it gives on the validation videos.

    Attributes:
        architecture: its name.
        macro_f1: per video.
        interval: of `macro_f1`, over groups, or None where the data defines none.
        clip_macro_f1: per clip.
        num_parameters: weights and biases.
        gzip_bytes: size of its model.keras, gzipped.
        latency_ms: median time of one clip by itself, on this machine.
        parameters: what train was asked for, and what its search chose.
    """

    architecture: str
    macro_f1: float
    interval: Interval | None
    clip_macro_f1: float
    num_parameters: int
    gzip_bytes: int
    latency_ms: float
    parameters: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class ArchitectureComparison:
    """The models, best first, and the split that they were compared on."""

    models: list[ComparedModel]
    split: SplitInfo

    def metrics(self) -> dict[str, float]:
        """Returns the numbers that the Kubeflow UI shows."""
        return {f"{model.architecture}_validation_video_macro_f1": model.macro_f1 for model in self.models}

    def to_markdown(self) -> str:
        """Returns the table."""
        table = template("components.compare", "architectures.md", shown=_shown)
        return table.render(models=self.models, split=self.split, shown_parameters=SHOWN_PARAMETERS)


def _shown(value: Any) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def compare_models(
    dataset_path: Path, model_paths: Mapping[str, Path], num_bootstrap: int, batch_size: int, seed: int
) -> ArchitectureComparison:
    """Compares models on the validation split.

    Args:
        dataset_path: output folder of preprocess.
        model_paths: model artifacts of train by architecture.
        num_bootstrap: replicates behind the intervals; 0 for none.
        batch_size: clips that a model sees at a time.
        seed: of the bootstrap.

    Raises:
        DataError: the dataset cannot be used, or a model was trained on another one.
    """
    index = open_dataset(dataset_path)
    with failures_of_shards(dataset_path):
        clip = next(read_clips(dataset_path, SPLIT).as_numpy_iterator())["clip"]
    models = []
    for architecture, path in model_paths.items():
        model, metadata = load_classifier(path)
        check_belongs(architecture, metadata, index)
        clips = predict_clips(architecture, model, dataset_path, SPLIT, metadata.heads, batch_size)
        macro_f1, interval = macro_f1_over_groups(clips.by_video(), num_bootstrap, seed)
        models.append(
            ComparedModel(
                architecture=architecture,
                macro_f1=macro_f1,
                interval=interval,
                clip_macro_f1=macro_f1_over_groups(clips, 0, seed)[0],
                num_parameters=model.count_params(),
                gzip_bytes=file_sizes(path / MODEL_NAME)["gzip_bytes"],
                latency_ms=latency_ms(model, clip),
                parameters=metadata.parameters,
            )
        )
    models.sort(key=lambda model: -model.macro_f1)
    _log.info("result: best is %s, validation macro-F1 %.3f per video", models[0].architecture, models[0].macro_f1)
    return ArchitectureComparison(models, index.splits[SPLIT])
