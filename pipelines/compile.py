"""Compiling the DAG to the YAML that Kubeflow takes, and checking the result."""

from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from kfp import compiler
from kfp.pipeline_spec import pipeline_spec_pb2

from components.core.errors import UsageError


def compile_pipeline(pipeline: Any, output_path: Path) -> None:
    """Writes the pipeline's intermediate representation; the same code gives the same bytes.

    Args:
        pipeline: a kfp pipeline.
        output_path: a .yaml file.

    Raises:
        UsageError: the file cannot be written, or has another suffix.
    """
    if output_path.suffix not in (".yaml", ".yml"):
        raise UsageError(f"the output must be a .yaml file, got {str(output_path)!r}.")
    try:
        output_path.parent.mkdir(parents=True, exist_ok=True)
        compiler.Compiler().compile(pipeline, str(output_path))
    except OSError as error:
        raise UsageError(f"cannot write {str(output_path)!r} ({error.strerror}); choose another file.") from None
    check_yaml(output_path.read_text(encoding="utf-8"))


def check_yaml(text: str) -> None:
    """Checks a compiled pipeline against kfp's protocol buffers, and that everything it refers to exists.

    Raises:
        ValueError: a field is unknown, or a component, executor, task, input or output is referred to and absent.
    """
    fields = yaml.safe_load(text)
    spec = pipeline_spec_pb2.PipelineSpec()
    json_format.ParseDict(fields, spec)
    executors = fields["deploymentSpec"]["executors"]
    for executor in executors.values():
        json_format.ParseDict(executor, pipeline_spec_pb2.PipelineDeploymentConfig.ExecutorSpec())
    for component in spec.components.values():
        if component.executor_label and component.executor_label not in executors:
            raise ValueError(f"the executor {component.executor_label!r} does not exist")
    _check_dag(spec.root, spec)
    for component in spec.components.values():
        if component.HasField("dag"):
            _check_dag(component, spec)


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
