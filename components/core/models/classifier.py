"""The model artifact: what train and prune give on, and evaluate and promote take.

    model.keras      a Keras 2 (tf_keras) model: [batch, 14, 224, 224, 3] uint8 RGB → what core.models.heads describes
    metadata.json    ClassifierMetadata
    reference.npz    what its train videos look like (core.models.reference)
    exports/         other forms of a pruned model (core.models.exports)
    …                pictures and tables that the step adds

TensorFlow is imported when a model is loaded or saved, not before.
"""

import dataclasses
import gzip
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from components.core.errors import DataError
from components.core.models import heads
from components.core.models.model_files import load_keras
from components.core.records.shards import DatasetIndex

MODEL_NAME = "model.keras"
METADATA_NAME = "metadata.json"


@dataclasses.dataclass(frozen=True)
class ClassifierMetadata:
    """Where a model comes from.

    Attributes:
        kind: `dense` or `pruned`.
        class_names: in the order of the model's outputs.
        dataset_fingerprint: of the clip dataset that it was trained on.
        code_revision: git revision of this project.
        parameters: what the step was asked to do.
        results: what the step measured.
        dataset_parameters: what preprocess was asked to do, so that predict samples a video as the training clips were.
        findings: names of what it tells beside the class.
    """

    kind: str
    class_names: list[str]
    dataset_fingerprint: str
    code_revision: str
    parameters: dict[str, Any]
    results: dict[str, Any]
    dataset_parameters: dict[str, Any] = dataclasses.field(default_factory=dict)
    findings: list[str] = dataclasses.field(default_factory=list)

    @property
    def heads(self) -> dict[str, int]:
        """How many numbers each head of the model gives."""
        return heads.sizes(len(self.class_names), self.findings)

    @classmethod
    def of(cls, kind: str, index: DatasetIndex, parameters: dict[str, Any], results: dict[str, Any]) -> "ClassifierMetadata":
        """Describes a model that this code has made of a dataset."""
        findings = [finding.name for finding in index.findings]
        return cls(kind, index.class_names, index.fingerprint, code_revision(), parameters, results, index.parameters, findings)


def save_classifier(folder: Path, model: Any, metadata: ClassifierMetadata) -> None:
    """Writes the model and its metadata into an existing folder."""
    save_model(folder, model)
    write_metadata(folder, metadata)


def save_model(folder: Path, model: Any) -> None:
    """Writes the layers and weights of a model, without the state of an optimizer, so that sizes on disk can be compared."""
    import tf_keras

    bare = tf_keras.models.clone_model(model)
    bare.set_weights(model.get_weights())
    bare.save(folder / MODEL_NAME)


def write_metadata(folder: Path, metadata: ClassifierMetadata) -> None:
    """Writes the metadata of a model into its folder."""
    text = json.dumps(dataclasses.asdict(metadata), indent=2, sort_keys=True)
    (folder / METADATA_NAME).write_text(text + "\n", encoding="utf-8")


def file_sizes(path: Path) -> dict[str, int]:
    """Returns `bytes` and `gzip_bytes` of a file, or of the files of a folder, each gzipped by itself."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    contents = [file.read_bytes() for file in files]
    return {"bytes": sum(map(len, contents)), "gzip_bytes": sum(len(gzip.compress(content, mtime=0)) for content in contents)}


def read_metadata(folder: Path) -> ClassifierMetadata:
    """Reads the metadata of a model artifact.

    Raises:
        DataError: the folder is not a model artifact.
    """
    try:
        return ClassifierMetadata(**json.loads((folder / METADATA_NAME).read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise DataError(f"{str(folder)!r} is not a model of this pipeline ({error}); give the output of train or prune.") from None


def check_belongs(name: str, metadata: ClassifierMetadata, index: DatasetIndex) -> None:
    """Refuses a model that knows other classes than a dataset, or was trained on another one, whose splits are others.

    Raises:
        DataError: the model, which the message calls by its name, does not belong to the dataset.
    """
    if metadata.class_names != index.class_names:
        raise DataError(
            f"the {name} model knows the classes {', '.join(metadata.class_names)}, "
            f"but the dataset has {', '.join(index.class_names)}; train on this dataset."
        )
    if metadata.dataset_fingerprint != index.fingerprint:
        raise DataError(
            f"the {name} model was trained on the dataset {metadata.dataset_fingerprint[:12]}, not on {index.fingerprint[:12]}, "
            "so it may have seen the videos that it is judged by; give its own dataset, or train on this one."
        )


def load_classifier(folder: Path) -> tuple[Any, ClassifierMetadata]:
    """Loads a model artifact; the model is not compiled.

    Raises:
        DataError: the folder is not a model artifact, or its model is one that is not let in (core.models.model_files).
    """
    metadata = read_metadata(folder)
    try:
        model = load_keras(folder / MODEL_NAME)
    except (OSError, ValueError) as error:
        raise DataError(f"{str(folder / MODEL_NAME)!r} cannot be loaded ({error}); train the model again.") from None
    given = {name: shape[-1] for name, shape in heads.by_head(model.output_shape).items()}
    if given != metadata.heads:
        raise DataError(
            f"{str(folder / MODEL_NAME)!r} gives {heads.in_words(given)}, but its {METADATA_NAME} promises "
            f"{heads.in_words(metadata.heads)}; give the output of train or prune."
        )
    return model, metadata


def code_revision() -> str:
    """Returns the git revision of this code: LUS_REVISION where the image sets it, else what git says, else `unknown`."""
    if revision := os.environ.get("LUS_REVISION"):
        return revision
    command = ["git", "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
