"""Starting a compiled pipeline on Kubeflow Pipelines."""

import dataclasses
import datetime
import hashlib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from components.core.errors import UsageError
from pipelines.compile import documents, platform_of, read_compiled
from pipelines.engines.kubeflow import Kubeflow
from pipelines.engines.parameters import parse_parameters


@dataclasses.dataclass(frozen=True)
class Package:
    """A compiled pipeline that is ready to be sent.

    Attributes:
        path: the file.
        name: of the pipeline.
        version: the start of the SHA-256 of the file, so that equal content is one version.
        pipeline: the first document of the file.
        parameters: values for its parameters, checked.
    """

    path: Path
    name: str
    version: str
    pipeline: Mapping[str, Any]
    parameters: Mapping[str, Any]


def read_package(path: Path, platform: str, parameters: tuple[str, ...]) -> Package:
    """Reads and checks a compiled file and the parameters of a run; nothing is sent.

    Raises:
        UsageError: the file is for the other platform or was not written by this version, or a parameter is wrong.
    """
    text = read_compiled(path)
    if platform_of(text) != platform:
        raise UsageError(f"{str(path)!r} was compiled for {platform_of(text)}; compile it with --platform {platform}.")
    pipeline, _ = documents(text)
    return Package(
        path=path,
        name=pipeline["pipelineInfo"]["name"],
        version=hashlib.sha256(text.encode()).hexdigest()[:12],
        pipeline=pipeline,
        parameters=parse_parameters(pipeline, parameters),
    )


def upload(kubeflow: Kubeflow, package: Package) -> dict[str, str]:
    """Sees to it that the server has this version of the pipeline; returns its ids, as kfp.Client takes them."""
    description = f"compiled by lung-ultrasound-pipeline {metadata.version('lung-ultrasound-pipeline')}"
    pipeline_id, version_id, uploaded = kubeflow.pipeline_version(package.name, package.version, package.path, description)
    print(f"{package.name} {package.version}: {'uploaded' if uploaded else 'was uploaded before'}", flush=True)
    return {"pipeline_id": pipeline_id, "version_id": version_id}


def submit(kubeflow: Kubeflow, package: Package, experiment: str, service_account: str, pipeline_root: str) -> str:
    """Starts a run and returns its id."""
    experiment_id = kubeflow.experiment_id(experiment)
    run_id = kubeflow.start(
        experiment_id=experiment_id,
        job_name=f"{package.name} {datetime.datetime.now():%Y-%m-%d %H:%M:%S}",
        params=dict(package.parameters),
        pipeline_root=pipeline_root or None,
        service_account=service_account or None,
        **upload(kubeflow, package),
    )
    return run_id
