"""What must hold of a compiled pipeline: kfp's protocol buffers read it, and everything that it refers to exists."""

from typing import Any

from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from pipelines.compile import documents


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
