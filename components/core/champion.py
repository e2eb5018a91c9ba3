"""The model registry in storage: versions of the classifier, and which of them is in use.

    <storage>/models/<version>/                everything of a model artifact (core.classifier); metadata.json is written last
    <storage>/models/<version>/evaluation.json
    <storage>/models/<version>/report.html
    <storage>/models/champion.json             Champion: the version in use; written last, so it points at whole versions only

A version is the UTC second of its promotion and the start of the SHA-256 of its model.keras: `20261122T175900Z-1a2b3c4d`.
Comparison is the part of evaluation.json that evaluate writes for promote.
"""

import dataclasses
import datetime
import hashlib
import json
import re
from pathlib import Path

from components.core import storage
from components.core.classifier import METADATA_NAME, MODEL_NAME
from components.core.errors import DataError

MODELS_NAME = "models"
POINTER_NAME = "champion.json"
EVALUATION_NAME = "evaluation.json"
REPORT_NAME = "report.html"
COMPARISON_KEY = "comparison"

_VERSION = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")


@dataclasses.dataclass(frozen=True)
class Champion:
    """The pointer to the model in use.

    Attributes:
        version: its version.
        model_sha256: of its model.keras.
        macro_f1: video-level macro-F1 on the test videos of its promotion.
        promoted_at: UTC time of its promotion, ISO 8601.
    """

    version: str
    model_sha256: str
    macro_f1: float
    promoted_at: str


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What evaluate found and promote decides on; macro-F1 is per video, on the same test videos for both.

    Attributes:
        challenger_sha256: of the pruned model's model.keras.
        challenger_macro_f1: of the pruned model.
        champion_version: the champion at the time of the evaluation, or None when there was none.
        champion_macro_f1: of the champion, or None when there was none or it could not be compared.
        remark: why champion_macro_f1 is None, or an empty string.
    """

    challenger_sha256: str
    challenger_macro_f1: float
    champion_version: str | None
    champion_macro_f1: float | None
    remark: str

    @classmethod
    def read(cls, path: Path) -> "Comparison":
        """Reads the comparison of an evaluation.json.

        Raises:
            DataError: the file is not an evaluation.
        """
        try:
            return cls(**json.loads(storage.read_bytes(path))[COMPARISON_KEY])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{str(path)!r} is not an evaluation of this pipeline ({error!r}); give the output of evaluate.") from None


def model_sha256(model_path: Path) -> str:
    """Returns the SHA-256 of the model.keras in a model artifact.

    Raises:
        DataError: the folder has no model.keras.
    """
    try:
        with (model_path / MODEL_NAME).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{str(model_path)!r} has no readable {MODEL_NAME} ({error.strerror}); give the output of prune.") from None


def version_uri(storage_uri: str, version: str) -> str:
    """Returns where a version is kept."""
    return storage.join(storage_uri, MODELS_NAME, version)


def read_champion(storage_uri: str) -> Champion | None:
    """Returns the champion, or None when no model was promoted yet.

    Raises:
        DataError: the pointer cannot be understood, or points at a version that is not there.
        StorageError: the storage cannot be read.
    """
    uri = _pointer_uri(storage_uri)
    if not storage.exists(uri):
        return None
    champion = _parsed(storage.read_bytes(uri), uri)
    if not storage.exists(storage.join(version_uri(storage_uri, champion.version), METADATA_NAME)):
        raise DataError(
            f"{uri!r} points at the version {champion.version!r}, which is not there; restore it, or delete {POINTER_NAME} to start anew."
        )
    return champion


def publish_version(storage_uri: str, model_path: Path, evaluation_path: Path, report_path: Path, promoted_at: datetime.datetime) -> str:
    """Copies a model artifact and its evaluation into the registry; the champion stays what it is.

    Args:
        storage_uri: where the project keeps its models.
        model_path: folder of the model artifact.
        evaluation_path: evaluation.json.
        report_path: report.html.
        promoted_at: time with a zone; becomes part of the version.

    Returns:
        The version.

    Raises:
        StorageError: it cannot be written.
    """
    version = f"{promoted_at.astimezone(datetime.UTC):%Y%m%dT%H%M%SZ}-{model_sha256(model_path)[:8]}"
    uri = version_uri(storage_uri, version)
    storage.put_file(evaluation_path, storage.join(uri, EVALUATION_NAME))
    storage.put_file(report_path, storage.join(uri, REPORT_NAME))
    storage.put_folder(model_path, uri, last=METADATA_NAME)
    return version


def set_champion(storage_uri: str, champion: Champion) -> None:
    """Moves the pointer; a reader sees the old champion or the new one.

    Raises:
        StorageError: it cannot be written.
    """
    text = json.dumps(dataclasses.asdict(champion), indent=2, sort_keys=True) + "\n"
    storage.write_bytes(_pointer_uri(storage_uri), text.encode())


def _pointer_uri(storage_uri: str) -> str:
    return storage.join(storage_uri, MODELS_NAME, POINTER_NAME)


def _parsed(data: bytes, uri: str) -> Champion:
    try:
        champion = Champion(**json.loads(data))
        if not _VERSION.fullmatch(champion.version):
            raise ValueError(f"{champion.version!r} is not a version")
    except (TypeError, ValueError) as error:
        raise DataError(f"{uri!r} is not a champion pointer ({error}); restore it, or delete it to start anew.") from None
    return champion
