"""The architecture search: every architecture is trained on one clip dataset, as parallel tasks, and compared; wiring only.

It starts from the dataset of an earlier run, so that no video is fetched or decoded again.
"""

import typing
from pathlib import Path
from typing import Any

from kfp import dsl

from components.compare.component import compare
from components.core.errors import UsageError
from components.core.parameters import CHOICES, check_values
from components.core.shards import INDEX_NAME
from components.core.storage import absolute_uri, check_writable, scheme_of
from components.train.component import train
from pipelines.local import renamed_copy, run_locally
from pipelines.wiring import Given, add_step, pipeline_of

PIPELINE_NAME = "lung-ultrasound-architecture-search"
STEPS = (train, compare)


class Outputs(typing.NamedTuple):
    """What a run of the pipeline gives."""

    table: dsl.Markdown


def _architecture_search(given: Given) -> Outputs:
    dataset = dsl.importer(artifact_uri=given["dataset_uri"], artifact_class=dsl.Dataset, reimport=False).output
    # Without display names: a Kubeflow backend that names tasks by them does not find the producers of compare's inputs.
    models = {name: add_step(train, given, dataset=dataset, architecture=name).outputs["model"] for name in CHOICES["architecture"]}
    compared = add_step(compare, given, dataset=dataset, **models)
    return Outputs(table=compared.outputs["table"])


architecture_search = pipeline_of(
    PIPELINE_NAME,
    "Trains every architecture on the same clips and compares them on the validation groups.",
    _architecture_search,
    STEPS,
    wired=("architecture",),
    dataset_uri="Storage URI of a clip dataset: the output of preprocess in an earlier run.",
    seed="Seed of the search, the first weights, the augmentation and the bootstrap.",
)


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
