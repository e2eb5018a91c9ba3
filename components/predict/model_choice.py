"""Which model predicts: the champion, a version in the registry, or a model artifact anywhere."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from components.core import storage
from components.core.errors import DataError, UsageError
from components.core.models import heads
from components.core.models.classifier import METADATA_NAME, ClassifierMetadata, read_metadata
from components.core.models.reference import Reference, read_reference
from components.core.registry.champion import read_champion
from components.core.registry.versions import is_version, is_version_name, model_sha256, version_uri
from components.core.video.sampling import Sampling
from components.predict.track_record import TrackRecord

CHAMPION = "champion"


@dataclasses.dataclass(frozen=True)
class ChosenModel:
    """A model, and what a prediction says of it.

    Attributes:
        uri: of the model artifact.
        version: in the registry, or an empty string for a model from elsewhere.
        sha256: of its model.keras.
        metadata: of the artifact.
        record: what its evaluation tells.
        reference: what its train videos look like, or None when the artifact does not say it.
    """

    uri: str
    version: str
    sha256: str
    metadata: ClassifierMetadata
    record: TrackRecord
    reference: Reference | None

    @property
    def sizes(self) -> dict[str, int]:
        """How many numbers it gives of a clip, by head; the look, too, where there is a reference."""
        look = {heads.LOOK: len(self.reference.centre)} if self.reference else {}
        return {**self.metadata.heads, **look}

    @property
    def sampling(self) -> Sampling:
        """How the clips were sampled that it was trained on.

        Raises:
            DataError: the artifact does not say it.
        """
        try:
            return Sampling.of(self.metadata.dataset_parameters)
        except KeyError as error:
            raise DataError(
                f"the model in {self.uri!r} does not say how its clips were sampled ({error} is missing in {METADATA_NAME}); "
                "train it again with this version of the project."
            ) from None


@contextlib.contextmanager
def open_model(name: str, storage_uri: str) -> Iterator[tuple[ChosenModel, Path]]:
    """Gives the chosen model and a local folder with its artifact.

    Args:
        name: `champion`, a version in the storage, or the URI of a model artifact.
        storage_uri: where the project keeps its models; may be empty when `name` is a URI.

    Raises:
        UsageError: there is no such model.
        DataError: the champion pointer is broken, or what is there is no model artifact.
        StorageError: the storage cannot be read.
    """
    storage_uri = storage.absolute_uri(storage_uri) if storage_uri else ""
    version = _version(name, storage_uri)
    uri = version_uri(storage_uri, version) if version else storage.absolute_uri(name)
    if not storage.exists(uri):
        raise UsageError(f"there is no model in {uri!r}; give {CHAMPION}, a version, or the folder of a model artifact.")
    with storage.local_folder(uri) as folder:
        metadata = read_metadata(folder)
        yield ChosenModel(uri, version, model_sha256(folder), metadata, TrackRecord.read(folder), read_reference(folder)), folder


def _version(name: str, storage_uri: str) -> str:
    """Returns the version that is meant, or an empty string for the URI of an artifact."""
    if name != CHAMPION and not is_version_name(name):
        return ""
    if not storage_uri:
        raise UsageError(f"the model {name!r} is looked for in a storage; give --storage, or the folder of a model artifact.")
    storage.check_is_there(storage_uri)
    if name == CHAMPION:
        champion = read_champion(storage_uri)
        if champion is None:
            raise UsageError(f"there is no champion in {storage_uri!r} yet; promote one, or give the folder of a model artifact.")
        return champion.version
    if not is_version(storage_uri, name):
        raise UsageError(f"there is no version {name!r} in {storage_uri!r}; lus champion list shows those that are there.")
    return name
