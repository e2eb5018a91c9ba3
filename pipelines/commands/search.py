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


def run_search(parameters: dict[str, Any], runner: str, pipeline_root: Path, verbose: bool) -> Path:
    """Runs the search on this machine, one training after the other.

    Args:
        parameters: of the pipeline, by name.
        runner: one of local.RUNNERS.
        pipeline_root: folder for the outputs of the steps.
        verbose: show all that is logged.

    Returns:
        The table, a Markdown file.

    Raises:
        UsageError: a parameter is wrong, or the dataset is not on this machine; nothing was started.
        StorageError: the storage cannot be written; nothing was started.
        DataError: a step failed.
    """
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
    return renamed_copy(Path(task.outputs["table"].path), "architectures.md")


def _search(parameters: dict[str, Any], runner: str, pipeline_root: Path, verbose: bool) -> None:
    table = run_search(parameters, runner, pipeline_root, verbose)
    click.echo(f"{table.read_text(encoding='utf-8')}\nthis table is {table}")


search_command = local_command(
    "search",
    _search,
    "Trains every architecture on the dataset of an earlier run and compares them on the validation videos, on this machine.",
    architecture_search,
    "STORAGE/runs, or ./runs for cloud storage and for none",
    "lus search --dataset-uri outputs/preprocess/dataset --backbone small",
)
