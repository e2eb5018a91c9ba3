"""`lus gc`: deletes old runs and old versions of the model from storage.

    runs/<pipeline>-<time>/            a run on one machine
    runs/<pipeline>/<run id>/          a run on a cluster
    models/<version>/                  a version of the model (core.champion)

The newest of each kind are kept, the champion always, and videos, splits and the record of the last training are never looked at.
"""

import dataclasses
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from components.core import storage
from components.core.champion import MODELS_NAME, is_version_name, read_champion
from components.core.storage import StoragePath

RUNS_NAME = "runs"
_LOCAL_RUN = re.compile(r".+-\d{4}-\d{2}-\d{2}-\d{2}-\d{2}-\d{2}-\d+")


@dataclasses.dataclass(frozen=True)
class Candidate:
    """Something that may be deleted.

    Attributes:
        kind: `runs` or `models`.
        path: the folder.
        changed_at: when a file in it was last written, in seconds since 1970.
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
    found = []
    with storage.failures("list", storage_uri):
        runs = [_candidate(RUNS_NAME, path) for path in _runs(storage.path_of(storage.join(storage_uri, RUNS_NAME)))]
        versions = [
            _candidate(MODELS_NAME, path)
            for path in _folders(storage.path_of(storage.join(storage_uri, MODELS_NAME)))
            if is_version_name(path.name)
        ]
    found += sorted(runs, key=lambda run: run.changed_at)[:-keep]
    # A version's name begins with the time of its promotion.
    found += sorted(versions, key=lambda version: version.path.name)[:-keep]
    return [each for each in found if not (champion and each.kind == MODELS_NAME and each.path.name == champion.version)]


def delete(doomed: Iterable[Candidate]) -> None:
    """Deletes folders.

    Raises:
        StorageError: one cannot be deleted.
    """
    for each in doomed:
        with storage.failures("delete", str(each.path)):
            if isinstance(each.path, Path):
                shutil.rmtree(each.path)
            else:
                each.path.rmtree()


def table(doomed: Iterable[Candidate]) -> str:
    """Returns a line for each folder."""
    return "\n".join(f"{each.kind:<7} {each.num_bytes / 1e6:>10.1f} MB  {each.path}" for each in doomed)


def _runs(root: StoragePath) -> Iterator[StoragePath]:
    for path in _folders(root):
        if _LOCAL_RUN.fullmatch(path.name):
            yield path
        else:
            yield from _folders(path)


def _folders(path: StoragePath) -> list[StoragePath]:
    return sorted((child for child in path.iterdir() if child.is_dir()), key=str) if path.exists() else []


def _candidate(kind: str, path: StoragePath) -> Candidate:
    stats = [file.stat() for file in path.rglob("*") if file.is_file()]
    return Candidate(kind, path, max((each.st_mtime for each in stats), default=0.0), sum(each.st_size for each in stats))
