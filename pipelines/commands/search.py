"""`lus search`: the architecture search on this machine."""

from pathlib import Path
from typing import Any

import click

from components.core.errors import UsageError
from components.core.parameters import check_values
from components.core.records.shards import INDEX_NAME
from components.core.storage import absolute_uri, check_writable, scheme_of
from pipelines.architecture_search import architecture_search
from pipelines.commands.local_command import local_command
from pipelines.engines.local import renamed_copy, run_locally


def _search(parameters: dict[str, Any], runner: str, pipeline_root: Path, verbose: bool) -> None:
    """Checks what can be checked before any work starts, runs the trainings one after the other, and prints the table."""
    check_values(**parameters)
    dataset_path = Path(parameters["dataset_uri"]).absolute()
    if not (dataset_path / INDEX_NAME).is_file():
        raise UsageError(f"--dataset-uri {parameters['dataset_uri']!r} is no clip dataset on this machine; give the output of preprocess.")
    parameters = {**parameters, "dataset_uri": str(dataset_path)}
    mounts = [(str(dataset_path), True)]
    if parameters["storage"]:
        check_writable(parameters["storage"])
        parameters["storage"] = absolute_uri(parameters["storage"])
        if not scheme_of(parameters["storage"]):
            mounts.append((parameters["storage"], False))
    task = run_locally(architecture_search, parameters, runner, pipeline_root, mounts, verbose)
    table = renamed_copy(Path(task.outputs["table"].path), "architectures.md")
    click.echo(f"{table.read_text(encoding='utf-8')}\nthis table is {table}")


search_command = local_command(
    "search",
    _search,
    "Trains every architecture, and compares them. Runs on this machine, on the dataset of an earlier run, by the validation videos.",
    architecture_search,
    "STORAGE/runs, or ./runs for cloud storage and for none",
    "lus search --dataset-uri outputs/preprocess/dataset --backbone small",
)
