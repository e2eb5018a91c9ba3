"""What a run used: seconds of each step times the resources that its compiled pipeline asks for, and their price.

Prices differ by region, contract and day, so the project brings none. They are a YAML file, per hour, in one currency:

    currency: USD
    cpu: 0.03
    memory_gb: 0.004
    gpu: {nvidia.com/gpu: 0.70}
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from components.core import storage
from components.core.errors import UsageError
from pipelines.compile import tasks_of
from pipelines.engines.progress import Step
from pipelines.resource_file import num_cpus, num_gigabytes

_KEYS = ("currency", "cpu", "memory_gb", "gpu")


@dataclasses.dataclass(frozen=True)
class Prices:
    """What an hour of each resource costs; GPUs by their type."""

    currency: str
    cpu: float
    memory_gb: float
    gpu: Mapping[str, float]


def read_prices(path: str) -> Prices:
    """Reads a file of prices.

    Raises:
        UsageError: the file is missing or not YAML, a key is unknown or absent, or a price is not a number.
        StorageError: the file cannot be read.
    """
    example = "see the top of pipelines/engines/cost.py for its form"
    if not storage.exists(path):
        raise UsageError(f"{path!r} does not exist; {example}.")
    try:
        fields = yaml.safe_load(storage.read_bytes(path))
    except yaml.YAMLError as error:
        raise UsageError(f"{path!r} is not YAML ({' '.join(str(error).split())}); {example}.") from None
    if not isinstance(fields, dict) or set(fields) != set(_KEYS):
        raise UsageError(f"{path!r} must have the keys {', '.join(_KEYS)} and no others; {example}.")
    gpu: dict[str, Any] = fields["gpu"] if isinstance(fields["gpu"], dict) else {"": None}
    for price in (fields["cpu"], fields["memory_gb"], *gpu.values()):
        if isinstance(price, bool) or not isinstance(price, int | float) or price < 0:
            raise UsageError(f"{path!r}: a price must be a number that is not negative, got {price!r}; {example}.")
    return Prices(str(fields["currency"]), fields["cpu"], fields["memory_gb"], gpu)


@dataclasses.dataclass(frozen=True)
class Usage:
    """What one step held, and for how long."""

    name: str
    seconds: float
    cpus: float
    memory_gb: float
    gpus: int
    gpu_type: str

    def cost(self, prices: Prices) -> float:
        """Returns the price of it.

        Raises:
            UsageError: there is no price for its GPU.
        """
        if self.gpus and self.gpu_type not in prices.gpu:
            raise UsageError(f"there is no price of the GPU {self.gpu_type!r} of {self.name}; add it under gpu.")
        per_hour = self.cpus * prices.cpu + self.memory_gb * prices.memory_gb + self.gpus * prices.gpu.get(self.gpu_type, 0)
        return self.seconds / 3600 * per_hour


def usages(pipeline: Mapping[str, Any], steps: Iterable[Step]) -> list[Usage]:
    """Returns what each step of a run held; what is no step of the pipeline, such as a group of them, holds nothing.

    Args:
        pipeline: the first document of the compiled file.
        steps: of the run, by the names that they have in the pipeline.
    """
    resources = resources_by_task(pipeline)
    held = []
    for step in steps:
        if limits := resources.get(step.name.rpartition("/")[2]):
            accelerator = limits.get("accelerator", {})
            held.append(
                Usage(
                    name=step.name,
                    seconds=step.seconds,
                    cpus=num_cpus(limits.get("resourceCpuLimit", "0")),
                    memory_gb=num_gigabytes(limits.get("resourceMemoryLimit", "0")),
                    gpus=int(accelerator.get("resourceCount", 0)),
                    gpu_type=accelerator.get("resourceType", ""),
                )
            )
    return held


def resources_by_task(pipeline: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the resources of the container of every task, in nested pipelines too, by the task's name."""
    if not pipeline:
        return {}
    containers = {label: executor.get("container", {}) for label, executor in pipeline["deploymentSpec"]["executors"].items()}
    return {name: containers[label].get("resources", {}) for name, _, label in tasks_of(pipeline)}


def cost_table(held: list[Usage], prices: Prices | None) -> str:
    """Returns a table of what was used, with the cost if there are prices."""
    header = f"{'step':<24} {'seconds':>8} {'CPU h':>8} {'GB h':>8} {'GPU h':>8}" + (f" {prices.currency:>8}" if prices else "")
    rows = [
        f"{usage.name:<24} {usage.seconds:>8.0f} {_hours(usage.cpus, usage)} {_hours(usage.memory_gb, usage)} {_hours(usage.gpus, usage)}"
        + (f" {usage.cost(prices):>8.2f}" if prices else "")
        for usage in held
    ]
    if prices:
        rows.append(f"{'total':<60} {sum(usage.cost(prices) for usage in held):>8.2f}")
    return "\n".join([header, *rows])


def _hours(amount: float, usage: Usage) -> str:
    return f"{amount * usage.seconds / 3600:>8.2f}"
