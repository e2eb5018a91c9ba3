"""`lus gc`: deletes old runs, old versions of the model and what trainings and workers have left behind from storage.

    runs/<pipeline>-<time>/            a run on one machine
    runs/<pipeline>/<run id>/          a run on Kubeflow
    runs/<number>/<pipeline>-<time>/   a run on Vertex AI; the number is that of the project
    models/<version>/                  a version of the model (core.champion)
    checkpoints/<key>.npz              the state of a training that did not end (core.checkpoints)
    work/<id>/                         what Beam's workers passed to each other in a run that was killed

The newest of each kind are kept, the champion always, and videos with their lists, splits and the record of the last training are never
looked at.
"""

import dataclasses
import re
from collections.abc import Iterable, Iterator

from components.core import storage
from components.core.champion import MODELS_NAME, is_version_name, read_champion
from components.core.checkpoints import FOLDER as CHECKPOINTS_NAME
from components.core.small_objects import StoragePath
from pipelines import architecture_search, import_dicom, retraining, training

RUNS_NAME = "runs"
_PIPELINES = (training.PIPELINE_NAME, retraining.PIPELINE_NAME, architecture_search.PIPELINE_NAME, import_dicom.PIPELINE_NAME)
_NAMES = "|".join(_PIPELINES)
_LOCAL_RUN = re.compile(rf"({_NAMES})-\d{{4}}-\d{{2}}-\d{{2}}-\d{{2}}-\d{{2}}-\d{{2}}-\d+")
_VERTEX_RUN = re.compile(rf"({_NAMES})-\d{{14}}")


@dataclasses.dataclass(frozen=True)
class Candidate:
    """Something that may be deleted.

    Attributes:
        kind: the name of the folder in the storage that it is in.
        path: a folder, or a file of checkpoints.
        changed_at: when a file of it was last written, in seconds since 1970.
        num_bytes: of all its files.
    """

    kind: str
    path: StoragePath
    changed_at: float
    num_bytes: int


def candidates(storage_uri: str, keep: int) -> list[Candidate]:
    """Returns what is not among the newest `keep` of its kind and is not the champion, the oldest first.

    Raises:
        DataError: the champion's pointer is broken; nothing is deleted then, because nobody knows what to keep.
        StorageError: the storage cannot be read.
    """
    champion = read_champion(storage_uri)
    found = storage.patiently("list", storage_uri, lambda: list(_old(storage_uri, keep)))
    return [each for each in found if not (champion and each.kind == MODELS_NAME and each.path.name == champion.version)]


def _old(storage_uri: str, keep: int) -> Iterator[Candidate]:
    """Yields what is not among the newest `keep` of its kind."""
    for kind, paths in (
        (RUNS_NAME, _runs(_path(storage_uri, RUNS_NAME))),
        (CHECKPOINTS_NAME, (path for path in _children(_path(storage_uri, CHECKPOINTS_NAME)) if path.is_file())),
        (storage.WORK_NAME, _folders(_path(storage_uri, storage.WORK_NAME))),
    ):
        yield from sorted((_candidate(kind, path) for path in paths), key=lambda each: each.changed_at)[:-keep]
    versions = [path for path in _folders(_path(storage_uri, MODELS_NAME)) if is_version_name(path.name)]
    # A version's name begins with the time of its promotion.
    yield from (_candidate(MODELS_NAME, path) for path in sorted(versions, key=lambda path: path.name)[:-keep])


def delete(doomed: Iterable[Candidate]) -> None:
    """Deletes folders and files.

    Raises:
        StorageError: one cannot be deleted.
    """
    for each in doomed:
        (storage.delete_file if each.kind == CHECKPOINTS_NAME else storage.delete_folder)(str(each.path))


def table(doomed: Iterable[Candidate]) -> str:
    """Returns a line for each folder or file."""
    return "\n".join(f"{each.kind:<11} {each.num_bytes / 1e6:>10.1f} MB  {each.path}" for each in doomed)


def _runs(root: StoragePath) -> Iterator[StoragePath]:
    for path in _folders(root):
        if _LOCAL_RUN.fullmatch(path.name):
            yield path
        elif path.name in _PIPELINES:
            yield from _folders(path)
        elif path.name.isdecimal():
            yield from (child for child in _folders(path) if _VERTEX_RUN.fullmatch(child.name))


def _path(storage_uri: str, name: str) -> StoragePath:
    return storage.path_of(storage.join(storage_uri, name))


def _folders(path: StoragePath) -> list[StoragePath]:
    return [child for child in _children(path) if child.is_dir()]


def _children(path: StoragePath) -> list[StoragePath]:
    return sorted(path.iterdir(), key=str) if path.exists() else []


def _candidate(kind: str, path: StoragePath) -> Candidate:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    stats = [file.stat() for file in files]
    return Candidate(kind, path, max((each.st_mtime for each in stats), default=0.0), sum(each.st_size for each in stats))
