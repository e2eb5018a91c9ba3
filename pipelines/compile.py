"""Compiling a pipeline to the YAML that Kubeflow or Vertex AI takes.

The file has one document for Vertex AI and, because of the settings of pods, two for Kubeflow. Its first line, a comment, holds the version
of this project and a digest of what follows, so that `lus submit` knows a file that was changed by hand.
"""

import hashlib
import importlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from kfp import compiler, dsl

from components.core.errors import UsageError
from pipelines.resources import KUBEFLOW, VERTEX, Placement

# Imported when asked for: per name, the module, which has a pipeline of that name.
PIPELINES = {
    "training": "pipelines.training",
    "retraining": "pipelines.retraining",
    "architecture_search": "pipelines.architecture_search",
    "import_dicom": "pipelines.import_dicom",
}

_DISTRIBUTION = "lung-ultrasound-pipeline"
_SEAL = re.compile(rf"# {_DISTRIBUTION} (\S+), sha256 ([0-9a-f]{{64}})\n")


def compile_pipeline(name: str, placement: Placement, output_path: Path) -> None:
    """Writes the pipeline's intermediate representation; the same code gives the same bytes.

    Args:
        name: one of PIPELINES.
        placement: the platform, and what its steps are given.
        output_path: a .yaml file.

    Raises:
        UsageError: the file cannot be written, or has another suffix.
    """
    if output_path.suffix not in (".yaml", ".yml"):
        raise UsageError(f"the output must be a .yaml file, got {str(output_path)!r}.")
    with tempfile.TemporaryDirectory(prefix="lus-") as folder:
        path = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(placed(name, placement), str(path))
        text = path.read_text(encoding="utf-8")
    try:
        output_path.parent.mkdir(parents=True, exist_ok=True)
        output_path.write_text(_sealed(text), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {str(output_path)!r} ({error.strerror}); choose another file.") from None


def placed(name: str, placement: Placement) -> Any:
    """Returns a pipeline of PIPELINES, traced again such that its steps have the resources of the placement."""
    pipeline = getattr(importlib.import_module(PIPELINES[name]), name)
    with placement.in_force():
        return dsl.pipeline(name=pipeline.pipeline_spec.pipeline_info.name)(pipeline.pipeline_func)


def _sealed(text: str) -> str:
    return f"# {_DISTRIBUTION} {metadata.version(_DISTRIBUTION)}, sha256 {_digest(text)}\n{text}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def read_compiled(path: Path) -> str:
    """Returns the text of a file that `compile_pipeline` wrote.

    Raises:
        UsageError: it is missing, was not written by this version of the project, or was changed since.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error.reason
        raise UsageError(f"cannot read {str(path)!r} ({reason}); give a file that `lus compile` wrote.") from None
    seal = _SEAL.match(text)
    again = "compile it again with `lus compile`"
    if not seal:
        raise UsageError(f"{str(path)!r} is not a pipeline that `lus compile` wrote; {again}.")
    if seal[1] != metadata.version(_DISTRIBUTION):
        raise UsageError(
            f"{str(path)!r} was compiled by version {seal[1]} of this project, but {metadata.version(_DISTRIBUTION)} is installed; {again}."
        )
    if seal[2] != _digest(text[seal.end() :]):
        raise UsageError(f"{str(path)!r} was changed after it was compiled; put settings into a file for --resources, and {again}.")
    return text


def documents(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the pipeline of a compiled file, and what Kubernetes' executors are told, by the executor's label."""
    pipeline, *platforms = _load(text)
    kubernetes: dict[str, Any] = {}
    for document in platforms:
        kubernetes |= document["platforms"]["kubernetes"].get("deploymentSpec", {}).get("executors", {})
    return pipeline, kubernetes


def tasks_of(pipeline: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Yields the name of every task that is no group of tasks, in nested pipelines too, with the task and its executor's label."""
    components = pipeline["components"]
    for component in (pipeline["root"], *components.values()):
        for name, task in component.get("dag", {}).get("tasks", {}).items():
            if label := components[task["componentRef"]["name"]].get("executorLabel"):
                yield name, task, label


def _load(text: str) -> list[Any]:
    # libyaml reads ten times as fast; wheels of PyYAML bring it.
    return list(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def platform_of(text: str) -> str:
    """Returns the platform that a file was compiled for."""
    return KUBEFLOW if len(_load(text)) > 1 else VERTEX
