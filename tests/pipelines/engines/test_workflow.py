"""Steps read from Argo's Workflow; the nodes are written as Kubeflow Pipelines 2.17 has written them on a real cluster."""

import base64
import gzip
import json
from typing import Any

import pytest

from pipelines.engines.progress import Step
from pipelines.engines.workflow import steps_of

RUN = "lung-ultrasound-retraining-q7zwm(0).root(0)"
STEP, IMPL, DRIVER = "metadata-0-2-system-container-executor", "metadata-0-2-system-container-impl", "system-container-driver"
LOG = "s3://lungs/runs/train/7/executor-logs"
CONTAINER = {
    "image": "registry/train:1",
    "command": ["launch", "--executor_input", json.dumps({"outputs": {"artifacts": {"executor-logs": {"artifacts": [{"uri": LOG}]}}}})],
    "resources": {"requests": {"cpu": "64", "memory": "5G"}, "limits": {"cpu": "64", "memory": "5G"}},
}


def node(path: str, kind: str, template: str, phase: str, start: int, message: str = "", end: int | None = None, **inputs: str) -> Any:
    parameters = [{"name": name.replace("_", "-"), "value": value} for name, value in inputs.items()]
    times = {"startedAt": f"2026-01-01T00:00:{start:02d}Z"} | ({"finishedAt": f"2026-01-01T00:00:{end:02d}Z"} if end is not None else {})
    identity = {"id": f"q7zwm-{abs(hash(path))}", "name": path, "type": kind, "templateName": template}
    return {**identity, "phase": phase, "message": message, "inputs": {"parameters": parameters}, **times}


def step_nodes(name: str, phase: str, start: int, pods: list[tuple[str, str]], end: int | None = None, cached: bool = False) -> list[Any]:
    """Returns the nodes of a step: its driver, the step for all attempts and for one, and its pods, each with phase and message."""
    path = f"{RUN}.{name}"
    decision = {"cached_decision": str(cached).lower()}
    patch = json.dumps({"containers": [CONTAINER]})
    executor = f"{path}(0).executor"
    return [
        node(f"{path}-driver", "Retry", DRIVER, "Succeeded", start, end=start + 1),
        node(f"{path}-driver(0)", "Pod", DRIVER, "Succeeded", start, end=start + 1),
        node(path, "Retry", STEP, phase, start + 2, end=end, **decision),
        node(f"{path}(0)", "DAG", STEP, phase, start + 2, end=end, **decision),
        *([node(executor, "Retry", IMPL, phase, start + 2, end=end, pod_spec_patch=patch)] if pods else []),
        *(
            node(f"{executor}({number})", "Pod", IMPL, pod_phase, start + 2 + number, message, pod_spec_patch=patch)
            for number, (pod_phase, message) in enumerate(pods)
        ),
    ]


def steps(*nodes: Any) -> list[Step]:
    return steps_of({"status": {"nodes": {each["name"]: each for each in nodes}}})


def test_steps_have_their_names_and_stand_in_the_order_in_which_they_began() -> None:
    found = steps(
        *step_nodes("exit-handler-1(0).condition-2(0).lung-ultrasound-training(0).ingest", "Running", 20, [("Running", "")]),
        *step_nodes("exit-handler-1.onExit(0).notify", "Running", 30, [("Pending", "")]),
        *step_nodes("exit-handler-1(0).ingest", "Succeeded", 5, [("Succeeded", "")], end=12),
        node(f"{RUN}.exit-handler-1(0).record-training", "Skipped", STEP, "Omitted", 3),
        node(f"{RUN}-driver", "Retry", "system-dag-driver", "Running", 0),
        node(f"{RUN}-driver(0)", "Pod", "system-dag-driver", "Running", 0),
        node(f"{RUN}.exit-handler-1(0).decide-training-driver", "Retry", DRIVER, "Running", 14),
        node(f"{RUN}.exit-handler-1(0).decide-training-driver(0)", "Pod", DRIVER, "Running", 14),
    )
    assert [(step.name, step.state, step.seconds) for step in found] == [
        ("ingest", "SUCCEEDED", 5.0),
        ("decide-training", "PENDING", 0.0),
        ("training/ingest", "RUNNING", 0.0),
        ("notify", "PENDING", 0.0),
    ]


def test_a_step_from_the_cache_is_said_to_be_one() -> None:
    (step,) = steps(*step_nodes("preprocess", "Succeeded", 0, [], end=2, cached=True))
    assert (step.state, step.note, step.failure) == ("SUCCEEDED", "from the cache", "")


def test_a_second_attempt_is_told_with_the_fate_of_the_first() -> None:
    (step,) = steps(*step_nodes("train", "Running", 0, [("Error", "pod deleted"), ("Running", "")]))
    assert (step.state, step.note) == ("RUNNING", "attempt 2; the one before: pod deleted")
    assert step.log_uri == f"{LOG}-1"


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Unschedulable: 0/1 nodes are available: 1 Insufficient cpu.", "it asks for cpu 64, memory 5G: ask for less with --resources"),
        ("ImagePullBackOff: Back-off pulling image", "its image 'registry/train:1' cannot be had (ImagePullBackOff: Back-off"),
        ('CreateContainerConfigError: secret "aws" not found', 'secret "aws" not found; make it with kubectl'),
        ("PodInitializing", "PodInitializing"),
    ],
)
def test_why_a_pod_waits_is_said(message: str, words: str) -> None:
    (step,) = steps(*step_nodes("train", "Running", 0, [("Pending", message)]))
    assert step.state == "PENDING"
    assert words in step.waiting


@pytest.mark.parametrize(
    ("phase", "message", "words"),
    [
        ("Failed", "main: OOMKilled (exit code 137)", "it needed more memory than its limit of 5G; give it more with"),
        ("Failed", "Pod was active on the node longer than the specified deadline", "it took longer than its time limit; raise timeout_s"),
        ("Error", "pod deleted", "its pod was lost (pod deleted); start the run again"),
        ("Failed", "The node was low on resource: memory.", "its pod was lost (The node was low on resource: memory.)"),
        ("Failed", "Pod was terminated in response to imminent node shutdown.", "its pod was lost"),
        ("Error", "pods 'x' is forbidden: exceeded quota", "Kubernetes did not run its pod: pods 'x' is forbidden: exceeded quota"),
        ("Failed", "main: Error (exit code 2)", ""),
    ],
)
def test_what_ended_a_step_is_said_as_far_as_the_cluster_knows(phase: str, message: str, words: str) -> None:
    (step,) = steps(*step_nodes("train", "Failed", 0, [(phase, message)], end=9))
    assert step.state == "FAILED"
    assert words in step.failure
    assert bool(words) == bool(step.failure)


def test_what_stands_before_a_step_is_shown_when_it_does_not_get_going() -> None:
    waits = "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu."
    start = [
        node(f"{RUN}-driver", "Retry", "system-dag-driver", "Running", 0),
        node(f"{RUN}-driver(0)", "Pod", "system-dag-driver", "Pending", 0, waits),
    ]
    (step,) = steps(*start)
    assert (step.name, step.state) == ("the run", "PENDING")
    assert step.waiting == f"{waits}; this is a pod of Kubeflow's own, before the step"
    failed = [
        node(f"{RUN}.train-driver", "Retry", DRIVER, "Failed", 0, end=3),
        node(f"{RUN}.train-driver(0)", "Pod", DRIVER, "Failed", 0, "main: Error (exit code 1)"),
    ]
    (step,) = steps(*failed)
    assert (step.name, step.state) == ("train", "FAILED")
    assert "Kubeflow could not prepare it: main: Error (exit code 1); its pod is q7zwm-system-container-driver-" in step.failure


def test_the_nodes_of_a_large_workflow_are_unpacked() -> None:
    nodes = {each["name"]: each for each in step_nodes("train", "Running", 0, [("Running", "")])}
    packed = base64.b64encode(gzip.compress(json.dumps(nodes).encode())).decode()
    assert [step.name for step in steps_of({"status": {"compressedNodes": packed}})] == ["train"]
    assert steps_of({}) == []
