"""A real Kubeflow Pipelines on a real Kubernetes, with an S3 server; skipped with the reason where the tool that starts them is not there.

The tool stands beside the project's checkout, or where LUS_KUBEFLOW says. It takes `start`, `status`, `load IMAGE…`, `env`, `down SERVICE`
and `stop`; `docker-engine start` beside it starts the engine that builds the images.
"""

import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.phantom_set import tiny_phantoms

ROOT = Path(__file__).parents[2]
TOOL = Path(os.environ.get("LUS_KUBEFLOW", ROOT.parent / "shared" / "tools" / "kubeflow"))
IMAGES = ("ingest", "preprocess", "train")
REGISTRY = "lung-ultrasound-pipeline"
BUCKET = "lungs"
# As little as can be trained, evaluated and promoted.
FAST = ("backbone=small", "epochs=1", "pruning_epochs=1", "num_bootstrap=20", "curve_sparsities=", "min_macro_f1=0", "max_p_value=1")
SMALL_CLUSTER = ROOT / "pipelines" / "small-cluster.yaml"


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The cluster and an empty storage on it.

    Attributes:
        environment: of commands that talk to it.
        storage: an s3:// URI of this test module's own.
        tag: of the images, which is made of their content, so that the cache knows one build from the next.
    """

    environment: dict[str, str]
    storage: str
    tag: str

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end."""
        return subprocess.run([*map(str, command)], cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)

    def lus(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Runs a command of `lus` to its end."""
        return self.run(sys.executable, "-m", "pipelines", *arguments)

    def start_lus(self, log: Path, *arguments: object) -> subprocess.Popen[bytes]:
        """Starts a command of `lus`, which writes to a file."""
        command = [sys.executable, "-u", "-m", "pipelines", *map(str, arguments)]
        with log.open("wb") as output:
            return subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=output, stderr=subprocess.STDOUT)

    def kubectl(self, *arguments: object) -> str:
        """Runs kubectl, which must succeed."""
        result = self.run("kubectl", "--namespace", "kubeflow", *arguments)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def tool(self, *arguments: object) -> None:
        """Runs the tool that starts and stops the cluster's services."""
        result = self.run(TOOL, *arguments)
        assert result.returncode == 0, result.stdout + result.stderr

    def compiled(self, path: Path, *options: object, pipeline: str = "training", resources: Path = SMALL_CLUSTER) -> Path:
        """Compiles a pipeline for it."""
        result = self.lus("compile", "--pipeline", pipeline, "--resources", resources, "--tag", self.tag, "-o", path, *options)
        assert result.returncode == 0, result.stderr
        return path

    def parameters(self, *more: str, manifest: str = "") -> list[str]:
        """Returns `-p` options of a run that does as little as can be, unless it is to do more."""
        places = (f"manifest={manifest or f'{self.storage}/in/manifest.csv'}", f"storage={self.storage}/storage")
        values = dict(value.split("=", 1) for value in (*places, *FAST, *more))
        return [part for name, value in values.items() for part in ("-p", f"{name}={value}")]

    def pod_of(self, step: str, run_id: str, timeout_s: float = 240) -> str:
        """Returns the name of the running pod of a step, once it is there."""
        selector = f"pipeline/runid={run_id},app.kubernetes.io/component={step}"

        def running() -> str:
            pods = json.loads(self.kubectl("get", "pods", "-l", selector, "-o", "json"))["items"]
            names = [pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] == "Running" and _is_running(pod)]
            return names[-1] if names else ""

        return until(running, timeout_s)


def _is_running(pod: dict[str, Any]) -> bool:
    return any(status["name"] == "main" and "running" in status["state"] for status in pod["status"].get("containerStatuses", []))


def until(found: Callable[[], Any], timeout_s: float) -> Any:
    """Returns what a function returns once that is true."""
    deadline = time.monotonic() + timeout_s
    while not (value := found()):
        assert time.monotonic() < deadline, f"nothing after {timeout_s} s"
        time.sleep(1)
    return value


def run_id_of(log: Path) -> str:
    """Returns the id of the run that `lus submit` has started, once its output tells."""
    found = until(lambda: re.findall(r"started: .*/([0-9a-f-]{36})|^(error: .*)", log.read_text(), re.MULTILINE), 90)[0]
    assert found[0], found[1]
    return found[0]


def steps_in(output: str) -> dict[str, list[str]]:
    """Returns the states that `--wait` has shown of every step, in order."""
    states: dict[str, list[str]] = {}
    for step, state in re.findall(r"^\d\d:\d\d:\d\d  (\S+) +([A-Z]+)\b", output, re.MULTILINE):
        states.setdefault(step, []).append(state)
    return states


def until_logged(cluster: Cluster, pod: str, text: str, timeout_s: float = 180) -> None:
    """Waits until the container of a step has written a text."""
    until(lambda: text in cluster.run("kubectl", "-n", "kubeflow", "logs", pod, "-c", "main").stdout, timeout_s)


def log_of(cluster: Cluster, run_id: str, step: str) -> str:
    """Returns the log of the last attempt of a step, as Kubeflow keeps it."""
    client = s3_client(cluster)
    prefix = f"{cluster.storage.removeprefix(f's3://{BUCKET}/')}/storage/runs/"
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    (*_, last) = sorted(key for key in keys if f"/{run_id}/{step}/" in key and "executor-logs" in key)
    return client.get_object(Bucket=BUCKET, Key=last)["Body"].read().decode()


@pytest.fixture(scope="package")
def _cluster_environment() -> Iterator[dict[str, str]]:
    if not TOOL.exists():
        pytest.skip("no tool that starts a cluster is here; set LUS_KUBEFLOW to it")
    was_running = is_running()
    output_of(TOOL.with_name("docker-engine"), "start")
    # Without the revision, which is another one with every commit.
    output_of("make", "images", f"IMAGES={' '.join(IMAGES)}", "TAG=tests", "REVISION=tests")
    start_cluster()
    exports = dict(re.findall(r"([A-Z_]+)=(\S+)", output_of(TOOL, "env")))
    yield {**os.environ, **exports}
    if not was_running:
        subprocess.run([TOOL, "stop"], capture_output=True, check=False)


def start_cluster() -> None:
    """Starts the cluster's services.

    kubelet may come up before containerd answers, and give up; where the node was ready in an earlier life, nobody notices for a while.
    Another start finds the rest running.
    """
    for _ in range(4):
        subprocess.run([TOOL, "start"], capture_output=True, check=False)
        time.sleep(5)
        if is_running():
            break
    output_of(TOOL, "start")


def is_running() -> bool:
    """Tells whether every service of the cluster runs."""
    status = subprocess.run([TOOL, "status"], capture_output=True, text=True, check=False).stdout
    return "running" in status and "stopped" not in status


@pytest.fixture(scope="package")
def _tag(_cluster_environment: dict[str, str]) -> str:
    """The tag of the images on the node; what is there already is not loaded again."""
    names = [f"{REGISTRY}/{name}:tests" for name in IMAGES]
    tag = hashlib.sha256(output_of("docker", "image", "inspect", "--format", "{{.Id}}", *names).encode()).hexdigest()[:12]
    kubeconfig = _cluster_environment["KUBECONFIG"]
    on_node = output_of("kubectl", "--kubeconfig", kubeconfig, "get", "nodes", "-o", "jsonpath={.items[*].status.images[*].names}")
    for name in IMAGES:
        if f"{REGISTRY}/{name}:{tag}" not in on_node:
            output_of("docker", "tag", f"{REGISTRY}/{name}:tests", f"{REGISTRY}/{name}:{tag}")
            output_of(TOOL, "load", f"{REGISTRY}/{name}:{tag}")
    return tag


def output_of(*command: object) -> str:
    """Returns what a command writes, which must succeed."""
    result = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout


@pytest.fixture(scope="module")
def cluster(_cluster_environment: dict[str, str], _tag: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster with nine phantoms and their manifest in the bucket."""
    cluster = Cluster(_cluster_environment, f"s3://{BUCKET}/tests/{uuid.uuid4().hex[:8]}", _tag)
    put_folder(cluster, tiny_phantoms(tmp_path_factory.mktemp("phantoms")).parent)
    yield cluster
    # What a test has left behind would take the room of the next one's.
    for line in cluster.lus("runs", "list").stdout.splitlines()[1:]:
        run_id, state = line.split()[:2]
        if state in ("PENDING", "RUNNING") and cluster.storage in cluster.lus("runs", "show", run_id).stdout:
            cluster.lus("runs", "cancel", run_id)


def put_folder(cluster: Cluster, folder: Path) -> None:
    """Copies a folder with a manifest to where `parameters` expects it."""
    client = s3_client(cluster)
    prefix = cluster.storage.removeprefix(f"s3://{BUCKET}/")
    for path in folder.rglob("*"):
        if path.is_file():
            client.upload_file(str(path), BUCKET, f"{prefix}/in/{path.relative_to(folder).as_posix()}")


def s3_client(cluster: Cluster) -> Any:
    """Returns a client of the cluster's S3 server."""
    return boto3.client(
        "s3",
        endpoint_url=cluster.environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=cluster.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=cluster.environment["AWS_SECRET_ACCESS_KEY"],
        region_name=cluster.environment["AWS_DEFAULT_REGION"],
    )
