"""The steps of a run on Kubeflow, read from the Argo Workflow that it runs as.

Kubeflow's own list of a run's tasks mixes steps with drivers and Argo's inner nodes, and does not say why a pod waits. The Workflow, which
the server keeps with the run, says all of it, and no permission for Kubernetes' own API is needed. A node's name is its path:

    NAME(0).root(0).exit-handler-1(0).condition-2(0).lung-ultrasound-training(0).train(0).executor(1)

A step has a driver, which decides whether its result is in the cache, and an executor, whose pods are its attempts.
"""

import base64
import datetime
import gzip
import json
import re
from collections.abc import Mapping
from typing import Any

from pipelines.engines.progress import FAILED, PENDING, RUNNING, SUCCEEDED, Step

# Argo's templates as Kubeflow names them, but for a prefix: of a step, of what brings in an artifact, of what looks ahead of a step or of a
# group of steps.
_STEP, _IMPORTER = "system-container-executor", "system-importer"
_STEP_DRIVER, _GROUP_DRIVER = "system-container-driver", "system-dag-driver"
_DRIVER_SUFFIX = "-driver"
# Groups that a pipeline has for control flow, which are no part of a step's name.
_GROUP = re.compile(r"root|onExit|(exit-handler|condition|condition-branches|for-loop)-\d+")
_PROJECT = "lung-ultrasound-"
_OVER = {"Succeeded": SUCCEEDED, "Failed": FAILED, "Error": FAILED}
_NEVER_STARTED = ("Skipped", "Omitted")
_ATTEMPT = re.compile(r"\(\d+\)")
# What Argo says of containers, in Kubernetes' words.
_OUT_OF_MEMORY, _OUT_OF_TIME = "OOMKilled", "longer than the specified deadline"
_NO_ROOM, _NO_CONFIGURATION = "Unschedulable", "CreateContainerConfigError"
_NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
# Deleted, by a person or with its node; evicted; its node shut down, as a spot node is; preempted.
_LOST = ("pod deleted", "low on resource", "Evicted", "evicted", "node shutdown", "NodeLost", "preempt")
_MAX_MESSAGE = 300

Node = Mapping[str, Any]


def steps_of(workflow: Mapping[str, Any]) -> list[Step]:
    """Returns the steps of a run that have begun, in the order in which they did; of groups of steps, those that do not get going."""
    nodes = [node for node in _nodes(workflow) if node["phase"] not in _NEVER_STARTED]
    pods: dict[str, list[Node]] = {}
    for node in sorted((node for node in nodes if node["type"] == "Pod"), key=lambda node: str(node.get("startedAt"))):
        pods.setdefault(_path(node), []).append(node)
    # Of a node that may be tried again, Argo has one for all attempts, and one for each.
    owners = {_path(node): node for node in sorted(nodes, key=lambda node: node["type"] == "Retry")}
    steps: dict[str, Step] = {}
    drivers: dict[str, Step] = {}
    for path, node in owners.items():
        if _is_of(node, _STEP):
            steps[path] = _step(path, node, pods.get(f"{path}.executor", []))
        elif _is_of(node, _IMPORTER):
            steps[path] = _step(path, node, pods.get(path, []))
        elif _is_of(node, _STEP_DRIVER, _GROUP_DRIVER) and node["phase"] != "Succeeded":
            prepared = path.removesuffix(_DRIVER_SUFFIX)
            step = _driver_step(prepared, node, pods.get(path, []))
            # Of a group there is something to say only when it does not get going.
            if _is_of(node, _STEP_DRIVER) or step.waiting or step.failure:
                drivers[prepared] = step
    steps = {**drivers, **steps}
    # A step begins with its driver; one that comes from the cache takes no time.
    begun = {path: str(owners.get(f"{path}{_DRIVER_SUFFIX}", owners.get(path, {})).get("startedAt")) for path in steps}
    return [steps[path] for path in sorted(steps, key=lambda path: (begun[path], path))]


def _nodes(workflow: Mapping[str, Any]) -> list[Node]:
    """Returns the nodes of a Workflow; Argo packs those of a large one."""
    status = workflow.get("status", {})
    nodes = status.get("nodes")
    if packed := status.get("compressedNodes"):
        nodes = json.loads(gzip.decompress(base64.b64decode(packed)))
    return list((nodes or {}).values())


def _step(path: str, node: Node, pods: list[Node]) -> Step:
    last = pods[-1] if pods else node
    state = _OVER.get(node["phase"]) or (RUNNING if pods and last["phase"] == "Running" else PENDING)
    container = _container(last)
    return Step(
        name=_name(path),
        state=state,
        start=_time(pods[0] if pods else node, "startedAt"),
        end=_time(node, "finishedAt"),
        note=_note(node, pods),
        waiting=_waiting(last, container) if state == PENDING else "",
        failure=_failure(last, container, len(pods)) if state == FAILED else "",
        log_uri=_log_uri(last, container),
    )


def _driver_step(path: str, node: Node, pods: list[Node]) -> Step:
    """Returns what stands before a step, or a group of steps, and does not get going."""
    pod = pods[-1] if pods else node
    state = _OVER.get(node["phase"], PENDING)
    return Step(
        name=_name(path),
        state=state,
        start=_time(node, "startedAt"),
        end=_time(node, "finishedAt"),
        waiting=f"{_message(pod)}; this is a pod of Kubeflow's own, before the step" if state == PENDING and _message(pod) else "",
        failure=f"Kubeflow could not prepare it: {_message(pod)}; its pod is {_pod_name(pod)}" if state == FAILED else "",
    )


def _is_of(node: Node, *templates: str) -> bool:
    return str(node.get("templateName", "")).endswith(templates)


def _path(node: Node) -> str:
    return _ATTEMPT.sub("", node["name"])


def _number(pod: Node) -> int:
    """Returns the number of a pod's attempt, from 0."""
    numbers = re.findall(r"\((\d+)\)$", pod["name"])
    return int(numbers[0]) if numbers else 0


def _name(path: str) -> str:
    """Returns the name of a step: that of the pipelines in which it is nested, and its own."""
    parts = [part.removeprefix(_PROJECT) for part in path.split(".")[1:] if not _GROUP.fullmatch(part)]
    return "/".join(parts) or "the run"


def _note(node: Node, pods: list[Node]) -> str:
    if any(parameter["name"] == "cached-decision" and parameter.get("value") == "true" for parameter in _inputs(node)):
        return "from the cache"
    if len(pods) > 1:
        return f"attempt {len(pods)}; the one before: {_message(pods[-2]) or 'lost'}"
    return ""


def _waiting(pod: Node, container: Mapping[str, Any]) -> str:
    """Returns why a pod does not start and what to do, as far as it is known."""
    message = _message(pod)
    if message.startswith(_NO_ROOM):
        asked = container.get("resources", {}).get("requests", {})
        wants = ", ".join(f"{name} {amount}" for name, amount in sorted(asked.items()))
        return f"no node has room for it ({message}); it asks for {wants or 'little'}: ask for less with --resources, or add a node."
    if message.startswith(_NO_IMAGE):
        return (
            f"its image {container.get('image')!r} cannot be had ({message}); "
            "push it, or compile with the --registry and --tag where it is."
        )
    if message.startswith(_NO_CONFIGURATION) and message.endswith("not found"):
        return f"{message.removeprefix(f'{_NO_CONFIGURATION}: ')}; make it with kubectl, or take it out of the file for --resources."
    return message


def _failure(pod: Node, container: Mapping[str, Any], num_attempts: int) -> str:
    """Returns what ended a step and what to do, as far as the cluster knows; empty when only its log can tell."""
    message = _message(pod)
    limits = container.get("resources", {}).get("limits", {})
    if _OUT_OF_MEMORY in message:
        return (
            f"it was killed because it needed more memory than its limit of {limits.get('memory')}; give it more with "
            "`lus compile --resources`, or let it do less at a time (batch_size, num_workers)"
        )
    if _OUT_OF_TIME in message:
        return "it took longer than its time limit; raise timeout_s with `lus compile --resources`"
    if any(words in message for words in _LOST):
        attempts = f" {num_attempts} times" if num_attempts > 1 else ""
        return f"its pod was lost{attempts} ({message}); start the run again: what was saved is used"
    return f"Kubernetes did not run its pod: {message}" if pod["phase"] == "Error" else ""


def _message(node: Node) -> str:
    return " ".join(str(node.get("message") or "").split())[:_MAX_MESSAGE]


def _pod_name(pod: Node) -> str:
    """Returns the name of a pod, which Argo makes of the node's id and template."""
    workflow, _, number = str(pod["id"]).rpartition("-")
    return f"{workflow}-{pod['templateName']}-{number}"


def _inputs(node: Node) -> list[Mapping[str, Any]]:
    return (node.get("inputs") or {}).get("parameters") or []


def _container(node: Node) -> Mapping[str, Any]:
    """Returns the container of a step as the driver wants it."""
    for parameter in _inputs(node):
        if parameter["name"] == "pod-spec-patch" and parameter.get("value"):
            containers: list[Mapping[str, Any]] = json.loads(parameter["value"]).get("containers") or [{}]
            return containers[0]
    return {}


def _log_uri(pod: Node, container: Mapping[str, Any]) -> str:
    """Returns where Kubeflow's launcher puts the log of a step's attempt."""
    command = container.get("command") or []
    if "--executor_input" not in command:
        return ""
    outputs = json.loads(command[command.index("--executor_input") + 1]).get("outputs", {})
    logs = outputs.get("artifacts", {}).get("executor-logs", {}).get("artifacts") or [{}]
    return f"{logs[0]['uri']}-{_number(pod)}" if logs[0].get("uri") else ""


def _time(node: Node, key: str) -> datetime.datetime | None:
    return datetime.datetime.fromisoformat(node[key]) if node.get(key) else None
