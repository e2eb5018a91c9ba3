"""What a cluster gives each step: CPU, memory, GPU, nodes, time and secrets. One table, which `--resources FILE` changes.

The table is applied while a pipeline is traced with a placement in force, as `lus compile` does; else, as in a run on this machine, a
pipeline says nothing about resources. A file of changes is YAML, step by step, or for every step under `all`; a value replaces the
table's, but Secrets and config maps are added to it. `small-cluster.yaml` and `gpu-nodes.yaml` beside this file are two such files:

    all:
      image_pull_policy: Always
      secrets: {aws: {access-key: AWS_ACCESS_KEY_ID, secret-key: AWS_SECRET_ACCESS_KEY}}
    train:
      gpus: 2
      node_selector: {cloud.google.com/gke-accelerator: nvidia-l4}
"""

import contextlib
import dataclasses
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import yaml
from kubernetes.utils.quantity import parse_quantity

from components.core import images, storage
from components.core.errors import UsageError

KUBEFLOW, VERTEX = PLATFORMS = ("kubeflow", "vertex")
ALL_STEPS = "all"

# The names differ: a resource of Kubernetes' device plugin, and a value of Vertex AI's AcceleratorType.
_DEFAULT_GPU_TYPES = {KUBEFLOW: "nvidia.com/gpu", VERTEX: "NVIDIA_L4"}
_GPU_TYPES = {KUBEFLOW: re.compile(r"[a-z0-9.-]+/[A-Za-z0-9._-]+"), VERTEX: re.compile(r"(NVIDIA|TPU)_[A-Z0-9_]+")}
# https://cloud.google.com/vertex-ai/docs/pipelines/machine-types
_VERTEX_MAX_CPUS, _VERTEX_MAX_MEMORY_GB = 96, 624
_VERTEX_FIELDS = ("cpu", "memory", "gpus", "gpu_type", "retries", "backoff_s")
# What Kubeflow is not told: a retry policy of a step would take the place of the server's own, which brings back lost pods, by one that
# does not, and starts a step again that has ended with an error, which its own patience with the storage makes useless.
_NOT_FOR_KUBEFLOW = ("retries", "backoff_s")
# Taints of spot nodes on GKE and AKS, and of GPU nodes where the device plugin or the cloud sets one.
SPOT_TAINTS = ({"key": "cloud.google.com/gke-spot", "value": "true"}, {"key": "kubernetes.azure.com/scalesetpriority", "value": "spot"})
# What steps share with every step and may have of their own.
_ADDED = ("secrets", "config_maps")
PART_OF = {"app.kubernetes.io/part-of": "lung-ultrasound-pipeline"}
# Keys of the Secret `lus-notify`, and the variables in which the notify step looks for them.
NOTIFICATION_KEYS = {
    "webhook-url": "LUS_WEBHOOK_URL",
    "smtp-url": "LUS_SMTP_URL",
    "mail-from": "LUS_MAIL_FROM",
    "mail-to": "LUS_MAIL_TO",
}
# A Secret that is asked for must be there, but for that of the notification: nobody has to be told.
NOTIFICATION_SECRET = "lus-notify"
SHARED_MEMORY_PATH = "/dev/shm"
_MIN_MEMORY_BYTES = 16 * 1024**2


@dataclasses.dataclass(frozen=True)
class Resources:
    """What one step asks of a cluster, in Kubernetes' units; Vertex AI takes _VERTEX_FIELDS only.

    Attributes:
        cpu: request and limit, as kfp writes it: 4 or 500m.
        memory: request and limit, as kfp writes it: 16G, 512Mi or bytes.
        gpus: number of GPUs; a step that has some runs in the CUDA variant of its image.
        gpu_type: name of the GPU; empty for the platform's default.
        retries: how often Vertex AI starts a failed step again; Kubeflow brings back lost pods by itself.
        backoff_s: pause before the first retry; it doubles each time.
        timeout_s: a step that runs longer is stopped; 0 for no end.
        shared_memory: size of /dev/shm, which a container else has 64 MiB of; counts as memory of the pod. Empty leaves it as it is.
        spot: whether the step may run on nodes that can be taken away.
        node_selector: labels that the node must have.
        tolerations: taints that the node may have, beside those of GPU and spot nodes.
        labels: of the pod, beside the project's own.
        secrets: per Kubernetes Secret, which of its keys becomes which environment variable.
        config_maps: likewise of ConfigMaps.
        image_pull_policy: Always, IfNotPresent or Never; empty leaves it to Kubernetes.
        image_pull_secrets: names of Secrets of the registry.
    """

    cpu: str
    memory: str
    gpus: int = 0
    gpu_type: str = ""
    retries: int = 2
    backoff_s: int = 60
    timeout_s: int = 6 * 3600
    shared_memory: str = ""
    spot: bool = False
    node_selector: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tolerations: tuple[Mapping[str, str], ...] = ()
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    secrets: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    config_maps: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    image_pull_policy: str = ""
    image_pull_secrets: tuple[str, ...] = ()


RESOURCES: Mapping[str, Resources] = {
    "ingest": Resources(cpu="1", memory="2G", retries=3),
    "preprocess": Resources(cpu="4", memory="8G"),
    "train": Resources(cpu="4", memory="16G", gpus=1, retries=4, timeout_s=24 * 3600, shared_memory="4Gi", spot=True),
    "prune": Resources(cpu="4", memory="16G", gpus=1, shared_memory="4Gi"),
    "evaluate": Resources(cpu="4", memory="16G"),
    "compare": Resources(cpu="4", memory="16G"),
    "promote": Resources(cpu="1", memory="2G", timeout_s=3600),
    "import_dicom": Resources(cpu="2", memory="8G"),
    "decide_training": Resources(cpu="1", memory="1G", timeout_s=3600),
    "record_training": Resources(cpu="1", memory="1G", timeout_s=3600),
    # It tries each of its channels again by itself; a retry of the step would send once more what has arrived.
    "notify": Resources(cpu="1", memory="1G", retries=0, timeout_s=3600, secrets={NOTIFICATION_SECRET: NOTIFICATION_KEYS}),
}


@dataclasses.dataclass(frozen=True)
class Placement:
    """A platform and what its steps are given.

    Attributes:
        platform: one of PLATFORMS.
        table: the resources of each step.
        registry, tag: of the images; empty for those of core.images.
        pin: gives an image's URI the digest that it has in its registry, or leaves it as it is.
        cache: whether a step may take its result from an earlier run, as far as its pipeline lets it.
    """

    platform: str
    table: Mapping[str, Resources]
    registry: str = ""
    tag: str = ""
    pin: Callable[[str], str] = str
    cache: bool = True

    def image(self, uri: str, resources: Resources) -> str:
        """Returns the image that a step runs in here."""
        uri = images.relocated(uri, self.registry, self.tag)
        return self.pin(images.cuda_variant(uri) if resources.gpus else uri)

    @contextlib.contextmanager
    def in_force(self) -> Iterator[None]:
        """Applies to every pipeline that is traced in the block."""
        token = _placement.set(self)
        try:
            yield
        finally:
            _placement.reset(token)


_placement: ContextVar[Placement | None] = ContextVar("placement", default=None)


def apply_resources(task: Any) -> Any:
    """Sets the resources of a kfp PipelineTask by the name of its step, if a placement is in force, and returns the task."""
    if placement := _placement.get():
        resources = placement.table[task.component_spec.name.replace("-", "_")]
        task.set_container_image(placement.image(task.container_spec.image, resources))
        _apply_limits(task, resources, placement.platform)
        if not placement.cache:
            task.set_caching_options(enable_caching=False)
        if placement.platform == KUBEFLOW:
            _apply_kubernetes(task, resources)
    return task


def _apply_limits(task: Any, resources: Resources, platform: str) -> None:
    task.set_cpu_limit(resources.cpu).set_memory_limit(resources.memory)
    if platform == KUBEFLOW:
        task.set_cpu_request(resources.cpu).set_memory_request(resources.memory)
    else:
        task.set_retry(num_retries=resources.retries, backoff_duration=f"{resources.backoff_s}s", backoff_factor=2)
    if resources.gpus:
        task.set_accelerator_type(resources.gpu_type or _DEFAULT_GPU_TYPES[platform]).set_accelerator_limit(resources.gpus)


def _apply_kubernetes(task: Any, resources: Resources) -> None:
    from kfp import kubernetes

    # The images name a user who is not root; the rest of Pod Security "restricted" Kubeflow sees to by itself.
    kubernetes.set_security_context(task, run_as_non_root=True)
    for key, value in {**PART_OF, "app.kubernetes.io/component": task.component_spec.name, **resources.labels}.items():
        kubernetes.add_pod_label(task, key, value)
    for key, value in resources.node_selector.items():
        kubernetes.add_node_selector(task, key, value)
    for toleration in _tolerations(resources):
        kubernetes.add_toleration(task, **toleration)
    for name, keys in resources.secrets.items():
        kubernetes.use_secret_as_env(task, secret_name=name, secret_key_to_env=dict(keys), optional=name == NOTIFICATION_SECRET)
    for name, keys in resources.config_maps.items():
        kubernetes.use_config_map_as_env(task, config_map_name=name, config_map_key_to_env=dict(keys))
    if resources.shared_memory:
        kubernetes.empty_dir_mount(
            task, volume_name="shared-memory", mount_path=SHARED_MEMORY_PATH, medium="Memory", size_limit=resources.shared_memory
        )
    if resources.timeout_s:
        kubernetes.set_timeout(task, resources.timeout_s)
    if resources.image_pull_policy:
        kubernetes.set_image_pull_policy(task, resources.image_pull_policy)
    if resources.image_pull_secrets:
        kubernetes.set_image_pull_secrets(task, list(resources.image_pull_secrets))


def _tolerations(resources: Resources) -> Iterator[Mapping[str, str]]:
    if resources.gpus:
        yield {"key": resources.gpu_type or _DEFAULT_GPU_TYPES[KUBEFLOW], "operator": "Exists", "effect": "NoSchedule"}
    if resources.spot:
        yield from ({**taint, "operator": "Equal", "effect": "NoSchedule"} for taint in SPOT_TAINTS)
    yield from resources.tolerations


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
        raise UsageError(f"{path!r} is not YAML ({' '.join(str(error).split())}); see the README for its form.") from None
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
        example = _DEFAULT_GPU_TYPES[platform]
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
