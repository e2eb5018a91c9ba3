"""The architecture search: every architecture is trained on one clip dataset, as parallel tasks, and compared; wiring only.

It starts from the dataset of an earlier run, so that no video is fetched or decoded again.
"""

import typing

from kfp import dsl

from components.compare.component import compare
from components.core.parameters import CHOICES
from components.train.component import train
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
