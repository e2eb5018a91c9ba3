"""`lus gc`: deletes old runs, old versions of the model and what trainings and workers have left behind from storage.

    runs/<pipeline>-<time>/            a run on one machine
    runs/<pipeline>/<run id>/          a run on Kubeflow
    runs/<number>/<pipeline>-<time>/   a run on Vertex AI; the number is that of the project
    models/<version>/                  a version of the model (core.registry.champion)
    checkpoints/<key>.npz              the state of a training that did not end (core.models.checkpoints)
    work/<id>/                         what Beam's workers passed to each other in a run that was killed

The newest of each kind are kept, the champion always, and videos with their lists, splits and the record of the last training are never
looked at. What was written in the last MIN_AGE_S may belong to a run that is going on, and stays, however much of it there is.
"""

import dataclasses
import re
import time
from collections.abc import Iterable, Iterator

import click

from components.command_line import example
from components.core import storage
from components.core.models.checkpoints import FOLDER as CHECKPOINTS_NAME
from components.core.registry.champion import read_champion
from components.core.registry.versions import MODELS_NAME, is_version_name
from components.core.storage.small_objects import StoragePath
from components.ingest.component import ingest
from pipelines import architecture_search, import_dicom, retraining, training

RUNS_NAME = "runs"
# A step runs for a day at most, unless its timeout is changed (resources.py).
MIN_AGE_S = 24 * 3600.0
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
    """Returns what is not among the newest `keep` of its kind, not the champion and not of the last MIN_AGE_S, the oldest first.

    Raises:
        UsageError: there is no such storage.
        DataError: the champion's pointer is broken; nothing is deleted then, because nobody knows what to keep.
        StorageError: the storage cannot be read.
    """
    storage.check_is_there(storage_uri)
    champion = read_champion(storage_uri)
    found = storage.patiently("list", storage_uri, lambda: list(_beyond(storage_uri, keep)))
    newest_s = time.time() - MIN_AGE_S
    return [
        each
        for each in found
        if each.changed_at <= newest_s and not (champion and each.kind == MODELS_NAME and each.path.name == champion.version)
    ]


def _beyond(storage_uri: str, keep: int) -> Iterator[Candidate]:
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


def delete(storage_uri: str, doomed: Iterable[Candidate]) -> list[Candidate]:
    """Deletes folders and files, but none that was written to, or became the champion, since it was found; returns those deleted.

    Raises:
        DataError: the champion's pointer is broken.
        StorageError: one cannot be deleted.
    """
    return [each for each in doomed if _deleted(storage_uri, each)]


def _deleted(storage_uri: str, doomed: Candidate) -> bool:
    """Deletes one of them, and tells whether it did."""
    uri = str(doomed.path)
    now = storage.patiently("list", uri, lambda: _candidate(doomed.kind, doomed.path))
    champion = read_champion(storage_uri) if doomed.kind == MODELS_NAME else None
    if now != doomed or (champion and champion.version == doomed.path.name):
        return False
    (storage.delete_file if doomed.kind == CHECKPOINTS_NAME else storage.delete_folder)(uri)
    return True


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


@click.command("gc", epilog=example("lus gc --storage lungs --keep 5"))
@click.option("--storage", required=True, help=ingest.component_spec.inputs["storage"].description)
@click.option("--keep", type=click.IntRange(min=1), required=True, help="How many of the newest of each kind to keep.")
@click.option("--delete", "is_real", is_flag=True, help="Delete; without it, only list what would be deleted.")
def gc_command(storage: str, keep: int, is_real: bool) -> None:
    """Deletes what old runs have left in the storage.

    Runs, versions of the model, checkpoints, leftovers of workers; the champion, videos and splits stay.

    What was written in the last day stays, too: it may belong to a run that is going on.

    Kubeflow's cache does not know of it: compile with --no-cache when a step asks for the outputs of a deleted run.
    """
    doomed = candidates(storage, keep)
    if doomed:
        click.echo(table(doomed))
    if not is_real:
        click.echo(f"{len(doomed)} would be deleted; add --delete to do it")
        return
    deleted = delete(storage, doomed)
    kept = f"; {len(doomed) - len(deleted)} stay, because they have changed meanwhile" if len(deleted) < len(doomed) else ""
    click.echo(f"{len(deleted)} deleted{kept}")
