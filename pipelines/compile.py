"""Compiling a pipeline to the YAML that Kubeflow or Vertex AI takes, and checking the result.

The file has one document for Vertex AI and, because of the settings of pods, two for Kubeflow. Its first line, a comment, holds the version
of this project and a digest of what follows, so that `lus submit` knows a file that was changed by hand.
"""

import hashlib
import importlib
import re
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from kfp import compiler, dsl
from kfp.pipeline_spec import pipeline_spec_pb2

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
    check_yaml(text)
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


def _load(text: str) -> list[Any]:
    # libyaml reads ten times as fast; wheels of PyYAML bring it.
    return list(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def platform_of(text: str) -> str:
    """Returns the platform that a file was compiled for."""
    return KUBEFLOW if len(_load(text)) > 1 else VERTEX


def check_yaml(text: str) -> None:
    """Checks a compiled pipeline against kfp's protocol buffers, and that everything it refers to exists.

    Raises:
        ValueError: a field is unknown, or a component, executor, task, input or output is referred to and absent.
    """
    fields, kubernetes = documents(text)
    spec = pipeline_spec_pb2.PipelineSpec()
    json_format.ParseDict(fields, spec)
    executors = fields["deploymentSpec"]["executors"]
    for executor in executors.values():
        json_format.ParseDict(executor, pipeline_spec_pb2.PipelineDeploymentConfig.ExecutorSpec())
    if kubernetes:
        _check_kubernetes(kubernetes, executors)
    for component in spec.components.values():
        if component.executor_label and component.executor_label not in executors:
            raise ValueError(f"the executor {component.executor_label!r} does not exist")
    _check_dag(spec.root, spec)
    for component in spec.components.values():
        if component.HasField("dag"):
            _check_dag(component, spec)


def _check_kubernetes(settings: dict[str, Any], executors: dict[str, Any]) -> None:
    from kfp.kubernetes import kubernetes_executor_config_pb2

    for label, fields in settings.items():
        _check_name(label, executors, "Kubernetes settings are given to the executor")
        json_format.ParseDict(fields, kubernetes_executor_config_pb2.KubernetesExecutorConfig())


def _check_dag(dag_component: Any, spec: Any) -> None:
    tasks = dag_component.dag.tasks
    for name, task in tasks.items():
        if task.component_ref.name not in spec.components:
            raise ValueError(f"task {name!r} refers to the component {task.component_ref.name!r}, which does not exist")
    for name, task in tasks.items():
        interface = spec.components[task.component_ref.name].input_definitions
        for upstream in task.dependent_tasks:
            _check_name(upstream, tasks, f"task {name!r} depends on the task")
        for key, parameter in task.inputs.parameters.items():
            _check_name(key, interface.parameters, f"task {name!r} sets the parameter")
            if parameter.component_input_parameter:
                _check_name(
                    parameter.component_input_parameter, dag_component.input_definitions.parameters, f"task {name!r} takes the input"
                )
            if parameter.HasField("task_output_parameter"):
                _check_output(parameter.task_output_parameter, "output_parameter_key", "parameters", tasks, spec)
        for key, artifact in task.inputs.artifacts.items():
            _check_name(key, interface.artifacts, f"task {name!r} sets the artifact")
            if artifact.HasField("task_output_artifact"):
                _check_output(artifact.task_output_artifact, "output_artifact_key", "artifacts", tasks, spec)
    for output in dag_component.dag.outputs.artifacts.values():
        for selector in output.artifact_selectors:
            _check_output(selector, "output_artifact_key", "artifacts", tasks, spec, producer="producer_subtask")


def _check_output(reference: Any, key: str, kind: str, tasks: Any, spec: Any, producer: str = "producer_task") -> None:
    task = getattr(reference, producer)
    _check_name(task, tasks, "an output is taken from the task")
    outputs = spec.components[tasks[task].component_ref.name].output_definitions
    _check_name(getattr(reference, key), getattr(outputs, kind), f"task {task!r} is asked for the output")


def _check_name(name: str, known: Any, what: str) -> None:
    if name not in known:
        raise ValueError(f"{what} {name!r}, which does not exist")
