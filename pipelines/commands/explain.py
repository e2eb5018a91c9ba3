"""What a compiled file asks of a cluster: for each step the pod that Kubeflow's driver makes of it, or the machine on Vertex AI.

It reads the file alone, not the table of resources, so it tells the truth about a file that somebody else compiled. How the driver turns
settings into a pod: https://github.com/kubeflow/pipelines/blob/master/backend/src/v2/driver/k8s.go
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from components.command_line import example
from pipelines.compile import documents, read_compiled, tasks_of


def explain(path: Path) -> str:
    """Returns a table of every step's container, node, volumes, environment, time and retries.

    Raises:
        UsageError: the file was not written by `lus compile`, or was changed since.
    """
    pipeline, kubernetes = documents(read_compiled(path))
    tasks = {label: task for _, task, label in tasks_of(pipeline)}
    lines = [f"{pipeline['pipelineInfo']['name']}, {'a pod' if kubernetes else 'a machine of Vertex AI'} for each step"]
    for label, executor in pipeline["deploymentSpec"]["executors"].items():
        if container := executor.get("container"):
            lines += ["", label.removeprefix("exec-")]
            rows = [*_container(container), *_pod(kubernetes.get(label, {})), *_task(tasks[label])]
            lines += [f"  {name:<14} {value}" for name, value in rows]
    return "\n".join(lines)


def _container(container: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "image", container["image"]
    resources = container.get("resources", {})
    for name in ("Cpu", "Memory"):
        if limit := resources.get(f"resource{name}Limit"):
            request = resources.get(f"resource{name}Request")
            yield name.lower(), f"limit {limit}" + (f", request {request}" if request else "")
    if accelerator := resources.get("accelerator"):
        yield "gpu", f"{accelerator['resourceCount']} × {accelerator['resourceType']}"


def _pod(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if labels := settings.get("nodeSelector", {}).get("labels"):
        yield "node selector", _pairs(labels)
    for toleration in settings.get("tolerations", []):
        taint = toleration.get("key", "any taint") + (f"={toleration['value']}" if "value" in toleration else "")
        yield "toleration", f"{taint} {toleration.get('operator', 'Equal')}, {toleration.get('effect', 'any effect')}"
    for mount in settings.get("emptyDirMounts", []):
        size = f", at most {mount['sizeLimit']}" if "sizeLimit" in mount else ""
        yield "volume", f"{mount['mountPath']}: emptyDir, medium {mount.get('medium', 'disk')}{size}"
    for secret in settings.get("secretAsEnv", []):
        for key in secret["keyToEnv"]:
            yield "environment", f"{key['envVar']} from key {key['secretKey']} of secret {secret['secretName']}{_optional(secret)}"
    for config in settings.get("configMapAsEnv", []):
        for key in config["keyToEnv"]:
            yield (
                "environment",
                f"{key['envVar']} from key {key['configMapKey']} of config map {config['configMapName']}{_optional(config)}",
            )
    if settings.get("securityContext", {}).get("runAsNonRoot"):
        yield "user", "not root"
    if policy := settings.get("imagePullPolicy"):
        yield "pull policy", policy
    for secret in settings.get("imagePullSecret", []):
        yield "pull secret", secret["secretName"]
    if labels := settings.get("podMetadata", {}).get("labels"):
        yield "labels", _pairs(labels)
    if seconds := settings.get("activeDeadlineSeconds"):
        yield "timeout", f"{seconds} s"


def _task(task: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if retry := task.get("retryPolicy"):
        count = retry.get("maxRetryCount", 0)
        yield "retries", f"{count}, after {retry['backoffDuration']}, × {retry['backoffFactor']:g} each time" if count else "none"
    else:
        yield "retries", "of lost pods only, as often as the cluster does by itself"
    yield "cache", "reused for equal inputs" if task.get("cachingOptions", {}).get("enableCache") else "never"


def _pairs(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _optional(settings: Mapping[str, Any]) -> str:
    return ", if there is one" if settings.get("optional") else ""


@click.command("explain", epilog=example("lus explain training.yaml"))
@click.argument("file", type=click.Path(path_type=Path))
def explain_command(file: Path) -> None:
    """Shows what a compiled file asks of the cluster.

    For each step: container, node, volumes, environment, time and retries.
    """
    click.echo(explain(file))
