"""Versions of the classifier in the registry (core.registry.champion has the layout), and what each was promoted on."""

import contextlib
import dataclasses
import datetime
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

from components.core import storage
from components.core.errors import AbsentError, DataError, DiskError, StorageError, UsageError
from components.core.models.classifier import METADATA_NAME, MODEL_NAME, ClassifierMetadata, read_metadata

MODELS_NAME = "models"

EVALUATION_NAME = "evaluation.json"

REPORT_NAME = "report.html"

DECISION_NAME = "decision.md"

COMPARISON_KEY = "comparison"

_TIME_FORMAT = "%Y%m%dT%H%M%SZ"

_VERSION = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")


@dataclasses.dataclass(frozen=True)
class Version:
    """A version in the registry, described by its own files; a number is None where the evaluation does not tell.

    Attributes:
        name: `20261122T175900Z-1a2b3c4d`.
        comparison: what its promotion was decided on, or None when its evaluation cannot be read.
        metadata: of its model.
    """

    name: str
    comparison: "Comparison | None"
    metadata: ClassifierMetadata

    @property
    def published_at(self) -> datetime.datetime:
        """When it came into the registry."""
        return datetime.datetime.strptime(self.name[:16], _TIME_FORMAT).replace(tzinfo=datetime.UTC)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What evaluate found and promote decides on; macro-F1 is per video, on the same test videos for both.

    Attributes:
        challenger_sha256: of the pruned model's model.keras.
        challenger_macro_f1: of the pruned model.
        challenger_interval: ends of its 95 % interval, or None when the test split defines none.
        chance_p_value: probability of such a macro-F1 for a model that has learned nothing about the labels.
        majority_macro_f1: of always answering the most frequent class.
        champion_version: the champion at the time of the evaluation, or None when there was none.
        champion_macro_f1: of the champion, or None when there was none or it could not be compared.
        difference_interval: ends of the 95 % interval of the challenger's macro-F1 less the champion's, or None when there is none.
        remark: why champion_macro_f1 is None, or an empty string.
        challenger_brier: Brier score of the pruned model, per video; None in an evaluation of an earlier version of this project.
        champion_brier: of the champion on the same videos, or None like champion_macro_f1.
    """

    challenger_sha256: str
    challenger_macro_f1: float
    challenger_interval: tuple[float, float] | None
    chance_p_value: float
    majority_macro_f1: float
    champion_version: str | None
    champion_macro_f1: float | None
    difference_interval: tuple[float, float] | None
    remark: str
    challenger_brier: float | None = None
    champion_brier: float | None = None

    @classmethod
    def read(cls, path: Path | str) -> "Comparison":
        """Reads the comparison of an evaluation.json.

        Raises:
            DataError: the file is not an evaluation.
            StorageError: it cannot be read.
        """
        try:
            fields = json.loads(storage.read_bytes(path))[COMPARISON_KEY]
            intervals = {name: tuple(ends) if (ends := fields[name]) else None for name in ("challenger_interval", "difference_interval")}
            return cls(**{**fields, **intervals})
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
        raise DataError(f"{str(model_path)!r} has no readable {MODEL_NAME} ({error.strerror}); give what train or prune wrote.") from None


def version_uri(storage_uri: str, version: str) -> str:
    """Returns where a version is kept."""
    return storage.join(storage_uri, MODELS_NAME, version)


def publish_version(
    storage_uri: str, model_path: Path, evaluation_path: Path, report_path: Path, published_at: datetime.datetime, decision: str = ""
) -> str:
    """Copies a model artifact and its evaluation into the registry; the champion stays what it is.

    Args:
        storage_uri: where the project keeps its models.
        model_path: folder of the model artifact.
        evaluation_path: evaluation.json.
        report_path: report.html.
        published_at: time with a zone; becomes part of the version.
        decision: Markdown that says why it is to become the champion.

    Returns:
        The version.

    Raises:
        DataError: the artifact has no model.keras.
        StorageError: it cannot be written.
    """
    version = f"{published_at.astimezone(datetime.UTC):{_TIME_FORMAT}}-{model_sha256(model_path)[:8]}"
    uri = version_uri(storage_uri, version)
    with nothing_left_on_a_full_disk(storage_uri, version):
        storage.put_file(evaluation_path, storage.join(uri, EVALUATION_NAME))
        storage.put_file(report_path, storage.join(uri, REPORT_NAME))
        storage.write_bytes(storage.join(uri, DECISION_NAME), decision.encode())
        storage.put_folder(model_path, uri, last=METADATA_NAME)
    return version


@contextlib.contextmanager
def nothing_left_on_a_full_disk(storage_uri: str, version: str) -> Iterator[None]:
    """Deletes what there is of a version when the block, which is to bring it into use, fails because of a disk of this machine."""
    try:
        yield
    except DiskError:
        with contextlib.suppress(StorageError):
            storage.delete_folder(version_uri(storage_uri, version))
        raise


def is_version_name(name: str) -> bool:
    """Tells whether this is how a version is called, wherever it may be."""
    return bool(_VERSION.fullmatch(name))


def is_version(storage_uri: str, version: str) -> bool:
    """Tells whether a whole version of this name is in the registry."""
    return is_version_name(version) and storage.exists(storage.join(version_uri(storage_uri, version), METADATA_NAME))


def list_versions(storage_uri: str) -> list[str]:
    """Returns the names of the whole versions in the registry, the oldest first.

    Raises:
        StorageError: the storage cannot be read.
    """
    uri = storage.join(storage_uri, MODELS_NAME)
    if not storage.exists(uri):
        return []
    folder = storage.path_of(uri)
    names = storage.patiently("list", uri, lambda: sorted(path.name for path in folder.iterdir()))
    return [name for name in names if is_version(storage_uri, name)]


def read_version(storage_uri: str, version: str) -> Version:
    """Reads what the registry knows of a version.

    Raises:
        UsageError: there is none of this name.
        DataError: its metadata cannot be understood.
        StorageError: the storage cannot be read.
    """
    if not is_version(storage_uri, version):
        known = ", ".join(list_versions(storage_uri)) or "none yet"
        raise UsageError(f"there is no version {version!r} in {storage_uri!r}; there is {known}.")
    uri = version_uri(storage_uri, version)
    with storage.local_copy(storage.join(uri, METADATA_NAME)) as path:
        metadata = read_metadata(path.parent)
    try:
        comparison = Comparison.read(storage.join(uri, EVALUATION_NAME))
    except (DataError, AbsentError):
        comparison = None
    return Version(version, comparison, metadata)
