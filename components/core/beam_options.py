"""Apache Beam as steps take it: options in one text, where workers leave files, and what a worker failed of."""

import contextlib
import logging
import re
import shlex
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.runner import create_runner

from components.core import storage
from components.core.errors import DataError, PipelineError, StorageError, UsageError

# Named by its class: `DirectRunner` would first look for the Prism runner's binary on the network.
DIRECT_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
# Runners whose workers are on this machine and see its files.
_RUNNERS_HERE = ("FnApiRunner", "DirectRunner", "BundleBasedDirectRunner")

_KINDS = {kind.__name__: kind for kind in (DataError, StorageError, UsageError)}
_LAST_LINE = re.compile(rf"^components\.core\.errors\.({'|'.join(_KINDS)}): (.*)$", re.MULTILINE)
_STEP = re.compile(r" \[while running .*\]$")

# Beam tells of every channel and thread that it opens.
logging.getLogger("apache_beam").setLevel(logging.WARNING)


def pipeline_options(beam_options: str, *defaults: str) -> PipelineOptions:
    """Returns Beam's options.

    Args:
        beam_options: of the user; without a runner among them, it is the one of DIRECT_RUNNER.
        defaults: options that hold unless the user says otherwise.

    Raises:
        UsageError: they cannot be split, or name no runner that Beam knows.
    """
    try:
        given = shlex.split(beam_options)
    except ValueError as error:
        raise UsageError(f"beam_options {beam_options!r} cannot be split into options ({error}); quote them as in a shell.") from None
    options = PipelineOptions([f"--runner={DIRECT_RUNNER}", *defaults, *given])
    try:
        create_runner(options.view_as(StandardOptions).runner)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"beam_options {beam_options!r} name no runner that Beam knows ({error}).") from None
    return options


@contextlib.contextmanager
def work_folder(options: PipelineOptions, storage_uri: str, local_folder: Path | None = None) -> Iterator[str]:
    """Gives the URI of a folder for what workers write, which is deleted afterwards: in the storage, or here when they run here.

    Args:
        options: of the run.
        storage_uri: where the project keeps what all machines see; may be empty.
        local_folder: in which the folder is made when workers run here; the system's for temporary files when None.

    Raises:
        UsageError: workers run elsewhere and there is no storage.
        StorageError: the folder cannot be deleted.
    """
    runner = options.view_as(StandardOptions).runner
    if runner.rpartition(".")[2] in _RUNNERS_HERE:
        with tempfile.TemporaryDirectory(dir=local_folder, prefix="work-") as folder:
            yield folder
        return
    if not storage_uri:
        raise UsageError(f"the workers of the runner {runner!r} pass files through the storage, and none is given; give --storage.")
    uri = storage.join(storage.absolute_uri(storage_uri), storage.WORK_NAME, uuid.uuid4().hex)
    try:
        yield uri
    finally:
        storage.delete_folder(uri)


@contextlib.contextmanager
def worker_failures() -> Iterator[None]:
    """Raises an error of this project that ended a worker as it was, without what Beam makes of it.

    A runner in this process adds the step to the message; others give the text of a traceback.
    """
    try:
        yield
    except PipelineError as error:
        raise type(error)(_STEP.sub("", str(error))) from None
    except RuntimeError as error:
        found = _LAST_LINE.search(str(error))
        if not found:
            raise
        raise _KINDS[found[1]](_STEP.sub("", found[2])) from None
