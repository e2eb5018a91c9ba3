"""The file of `--resources`: what it may change in the table of resources, and whether a platform can do it."""

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml
from kubernetes.utils.quantity import parse_quantity

from components.core import storage
from components.core.errors import UsageError
from pipelines.resources import DEFAULT_GPU_TYPES, KUBEFLOW, RESOURCES, VERTEX, Resources

ALL_STEPS = "all"

_GPU_TYPES = {KUBEFLOW: re.compile(r"[a-z0-9.-]+/[A-Za-z0-9._-]+"), VERTEX: re.compile(r"(NVIDIA|TPU)_[A-Z0-9_]+")}

# https://cloud.google.com/vertex-ai/docs/pipelines/machine-types
_VERTEX_MAX_CPUS, _VERTEX_MAX_MEMORY_GB = 96, 624

_VERTEX_FIELDS = ("cpu", "memory", "gpus", "gpu_type", "retries", "backoff_s")

# What Kubeflow is not told: a retry policy of a step would take the place of the server's own, which brings back lost pods, by one that
# does not, and starts a step again that has ended with an error, which its own patience with the storage makes useless.
_NOT_FOR_KUBEFLOW = ("retries", "backoff_s")

# What steps share with every step and may have of their own.
_ADDED = ("secrets", "config_maps")

_MIN_MEMORY_BYTES = 16 * 1024**2


def read_table(platform: str, path: str = "") -> Mapping[str, Resources]:
    """Returns the table for a platform, with the changes of a YAML file.

    Raises:
        UsageError: the file is missing or not YAML, has an unknown key, or a value that cannot be right; the message names it.
        StorageError: the file cannot be read.
    """
    changes = _read_changes(path) if path else {}
    table = {}
    for step, resources in RESOURCES.items():
        for fields in (changes.get(ALL_STEPS, {}), changes.get(step, {})):
            added = {name: {**getattr(resources, name), **fields[name]} for name in _ADDED if name in fields}
            resources = dataclasses.replace(resources, **{**fields, **added})
        table[step] = resources
        _check_platform(platform, step, resources)
    return table


def _read_changes(path: str) -> dict[str, dict[str, Any]]:
    if not storage.exists(path):
        raise UsageError(f"{path!r} does not exist; give a YAML file that maps steps to resources.")
    try:
        changes = yaml.safe_load(storage.read_bytes(path))
    except yaml.YAMLError as error:
        raise UsageError(f"{path!r} is not YAML ({' '.join(str(error).split())}); docs/cluster.md shows its form.") from None
    if not isinstance(changes, dict):
        raise UsageError(f"{path!r} must map steps to resources, got {changes!r}.")
    for step, fields in changes.items():
        known = (ALL_STEPS, *RESOURCES)
        if step not in known:
            raise UsageError(f"{path!r}: unknown step {step!r}; use {', '.join(known)}.")
        if not isinstance(fields, dict):
            raise UsageError(f"{path!r}: {step} must map names to values, got {fields!r}.")
        for name, value in fields.items():
            if name not in _CHECKS:
                raise UsageError(f"{path!r}: unknown resource {name!r} of {step}; use {', '.join(_CHECKS)}.")
            is_right, wanted = _CHECKS[name]
            if not is_right(value):
                raise UsageError(f"{path!r}: {name} of {step} must be {wanted}, got {value!r}.")
    return {step: {name: _normal(name, value) for name, value in fields.items()} for step, fields in changes.items()}


def _normal(name: str, value: Any) -> Any:
    if name == "cpu":
        return _cpu_text(value)
    if name in ("memory", "shared_memory"):
        return _memory_text(value)
    return tuple(value) if isinstance(value, list) else value


def _check_platform(platform: str, step: str, resources: Resources) -> None:
    """Checks what depends on the platform.

    Raises:
        UsageError: the platform has no such GPU or machine, or cannot do what is asked.
    """
    if resources.gpu_type and not _GPU_TYPES[platform].fullmatch(resources.gpu_type):
        example = DEFAULT_GPU_TYPES[platform]
        raise UsageError(f"gpu_type of {step} is no GPU of {platform}: got {resources.gpu_type!r}, expected a name like {example!r}.")
    if platform == KUBEFLOW:
        for name in _NOT_FOR_KUBEFLOW:
            if getattr(resources, name) != getattr(RESOURCES[step], name):
                raise UsageError(
                    f"{name} of {step} is for Vertex AI: Kubeflow brings back lost pods, and a step waits for the storage, "
                    "each by itself; leave it out."
                )
    if platform == VERTEX:
        if num_cpus(resources.cpu) > _VERTEX_MAX_CPUS or num_gigabytes(resources.memory) > _VERTEX_MAX_MEMORY_GB:
            raise UsageError(
                f"{step} asks for {resources.cpu} CPUs and {resources.memory}; a machine of Vertex AI has at most "
                f"{_VERTEX_MAX_CPUS} and {_VERTEX_MAX_MEMORY_GB}G."
            )
        for name in (field.name for field in dataclasses.fields(Resources) if field.name not in _VERTEX_FIELDS):
            if getattr(resources, name) != getattr(RESOURCES[step], name):
                raise UsageError(f"{name} of {step} is for Kubeflow; Vertex AI has no such setting, so leave it out.")


def num_cpus(cpu: str) -> float:
    """Returns a CPU quantity, such as 4 or 500m, as a number."""
    return float(parse_quantity(cpu))


def num_gigabytes(memory: str) -> float:
    """Returns a memory quantity, such as 16G or 512Mi, in units of 10⁹ bytes."""
    return float(parse_quantity(memory)) / 1e9


def _cpu_text(value: float | str) -> str:
    """Returns a CPU quantity as kfp takes it: whole CPUs, or thousandths."""
    thousandths = math.ceil(parse_quantity(str(value)) * 1000)
    return f"{thousandths}m" if thousandths % 1000 else str(thousandths // 1000)


def _memory_text(value: float | str) -> str:
    """Returns a memory quantity as kfp takes it: as it was written, or in bytes where kfp does not know the form."""
    text = str(value)
    return text if re.fullmatch(r"\d+([KMGTPE]i?)?", text) else str(math.ceil(parse_quantity(text)))


def _matches(pattern: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_text_map(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for pair in value.items() for text in pair)


_is_name = _matches(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")

_is_variable = _matches(r"[A-Za-z_][A-Za-z0-9_]*")


def _is_quantity(at_least: float) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return False
        try:
            return at_least <= parse_quantity(str(value)) < math.inf
        except (ArithmeticError, ValueError):
            return False

    return check


_is_memory = _is_quantity(_MIN_MEMORY_BYTES)


def _is_env(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _is_name(name) and _is_text_map(keys) and all(map(_is_variable, keys.values())) for name, keys in value.items()
    )


_TOLERATION_VALUES = {
    "key": lambda value: isinstance(value, str),
    "value": lambda value: isinstance(value, str),
    "operator": lambda value: value in ("Equal", "Exists"),
    "effect": lambda value: value in ("NoSchedule", "PreferNoSchedule", "NoExecute"),
}


def _are_tolerations(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(entry, dict) and set(entry) <= set(_TOLERATION_VALUES) and all(_TOLERATION_VALUES[key](entry[key]) for key in entry)
        for entry in value
    )


_MEMORY = "a number of bytes as Kubernetes takes it, such as 16G, 512Mi or 1.5Gi, and at least 16Mi"

_ENV = "a map {name of the object: {its key: ENVIRONMENT_VARIABLE}}"

_CHECKS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "cpu": (_is_quantity(0.001), "a number of CPUs as Kubernetes takes it, such as 4, 0.5 or 500m"),
    "memory": (_is_memory, _MEMORY),
    "gpus": (_is_count, "a whole number"),
    "gpu_type": (lambda value: isinstance(value, str), "a text"),
    "retries": (_is_count, "a whole number"),
    "backoff_s": (_is_count, "a whole number of seconds"),
    "timeout_s": (_is_count, "a whole number of seconds"),
    "shared_memory": (_is_memory, _MEMORY),
    "spot": (lambda value: isinstance(value, bool), "true or false"),
    "node_selector": (_is_text_map, "a map of labels to values, both texts"),
    "tolerations": (_are_tolerations, f"a list of maps with the keys {', '.join(_TOLERATION_VALUES)}, as in a pod"),
    "labels": (_is_text_map, "a map of labels to values, both texts"),
    "secrets": (_is_env, _ENV),
    "config_maps": (_is_env, _ENV),
    "image_pull_policy": (lambda value: value in ("Always", "IfNotPresent", "Never"), "Always, IfNotPresent or Never"),
    "image_pull_secrets": (lambda value: isinstance(value, list) and all(map(_is_name, value)), "a list of names"),
}
