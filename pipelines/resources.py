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
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from components.core import images

KUBEFLOW, VERTEX = PLATFORMS = ("kubeflow", "vertex")

# The names differ: a resource of Kubernetes' device plugin, and a value of Vertex AI's AcceleratorType.
DEFAULT_GPU_TYPES = {KUBEFLOW: "nvidia.com/gpu", VERTEX: "NVIDIA_L4"}
# Taints of spot nodes on GKE and AKS, and of GPU nodes where the device plugin or the cloud sets one.
SPOT_TAINTS = ({"key": "cloud.google.com/gke-spot", "value": "true"}, {"key": "kubernetes.azure.com/scalesetpriority", "value": "spot"})
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
        task.set_accelerator_type(resources.gpu_type or DEFAULT_GPU_TYPES[platform]).set_accelerator_limit(resources.gpus)


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
        yield {"key": resources.gpu_type or DEFAULT_GPU_TYPES[KUBEFLOW], "operator": "Exists", "effect": "NoSchedule"}
    if resources.spot:
        yield from ({**taint, "operator": "Equal", "effect": "NoSchedule"} for taint in SPOT_TAINTS)
    yield from resources.tolerations
