"""CPU, memory, GPU and retries per step: what a cluster gives each of them. Local runners ignore it."""

import dataclasses
from typing import Any

GPU_RESOURCE = "nvidia.com/gpu"


@dataclasses.dataclass(frozen=True)
class Resources:
    """What one step asks of a cluster, in Kubernetes' units."""

    cpu: str
    memory: str
    gpus: int = 0
    retries: int = 2


RESOURCES = {
    "ingest": Resources(cpu="1", memory="2G", retries=3),
    "preprocess": Resources(cpu="4", memory="8G"),
    "train": Resources(cpu="4", memory="16G", gpus=1),
    "prune": Resources(cpu="4", memory="16G", gpus=1),
    "evaluate": Resources(cpu="4", memory="16G"),
    "promote": Resources(cpu="1", memory="2G"),
}


def apply_resources(task: Any) -> Any:
    """Sets the resources of a kfp PipelineTask by the name of its step, and returns the task."""
    resources = RESOURCES[task.name]
    task.set_cpu_request(resources.cpu).set_cpu_limit(resources.cpu)
    task.set_memory_request(resources.memory).set_memory_limit(resources.memory)
    task.set_retry(num_retries=resources.retries, backoff_duration="60s", backoff_factor=2)
    if resources.gpus:
        task.set_accelerator_type(GPU_RESOURCE).set_accelerator_limit(resources.gpus)
    return task
