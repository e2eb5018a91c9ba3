"""`lus import-dicom`: the import of DICOM on this machine."""

from pathlib import Path
from typing import Any

import click

from components.core import storage as storage_uris
from components.core.errors import UsageError
from pipelines.commands.local_command import local_command
from pipelines.engines.local import run_locally
from pipelines.import_dicom import import_dicom

_READ = ("source", "labels", "key_file")


def _import_dicom(parameters: dict[str, Any], runner: str, pipeline_root: Path, verbose: bool) -> None:
    """Checks what can be checked before any work starts, runs the step, and says where its outputs are."""
    if runner == "docker" and not parameters["key_file"]:
        raise UsageError("a container does not see this machine's environment variables; give the key with --key-file.")
    uris = {name: storage_uris.absolute_uri(parameters[name]) for name in (*_READ, "destination") if parameters[name]}
    for name in _READ:
        if name in uris and not storage_uris.exists(uris[name]):
            raise UsageError(f"--{name.replace('_', '-')} {parameters[name]!r} does not exist.")
    storage_uris.check_writable(uris["destination"])
    mounts = [(uri, name in _READ) for name, uri in uris.items() if not storage_uris.scheme_of(uri)]
    task = run_locally(import_dicom, {**parameters, **uris}, runner, pipeline_root, mounts, verbose)
    manifest = storage_uris.join(parameters["destination"], "manifest.csv")
    click.echo(f"the summary is {task.output.path}; give {manifest} to `lus run --manifest`")


import_dicom_command = local_command(
    "import-dicom",
    _import_dicom,
    f"{import_dicom.component_spec.description.splitlines()[0]} With --runner docker, tensorflow-io decodes them.",
    import_dicom,
    "DESTINATION/runs, or ./runs for cloud storage",
    "lus import-dicom --source scans --labels labels.csv --key-file key --destination imported",
    root_beside="destination",
)
