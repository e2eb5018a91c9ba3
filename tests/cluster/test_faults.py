"""Faults on the real server: pods that are lost, memory that does not suffice, and a storage that does not answer for a minute."""

import json
import subprocess
import time
from pathlib import Path

import pytest

from tests.cluster.conftest import SMALL_CLUSTER, Cluster, log_of, run_id_of, steps_in, until, until_logged

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
OUTAGE_S = 60
# Long enough to be caught in the middle of.
LONG_TRAINING = ("epochs=60", "patience=60")


@pytest.fixture(scope="module")
def training(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cluster.compiled(tmp_path_factory.mktemp("compiled") / "training.yaml", "--no-cache")


def submitted(cluster: Cluster, training: Path, log: Path, *parameters: str) -> tuple[subprocess.Popen[bytes], str]:
    """Starts a run that is waited for; returns the process and the run's id."""
    process = cluster.start_lus(log, "submit", training, "--wait", *cluster.parameters(*parameters))
    return process, run_id_of(log)


@pytest.mark.parametrize("fault", ["deleted", "drained"])
def test_training_goes_on_at_its_checkpoint_after_its_pod_was_lost(cluster: Cluster, training: Path, tmp_path: Path, fault: str) -> None:
    seed = 1 if fault == "deleted" else 2
    process, run_id = submitted(cluster, training, tmp_path / "log", *LONG_TRAINING, f"seed={seed}")
    pod = cluster.pod_of("train", run_id)
    until_logged(cluster, pod, " 3/60: loss")
    if fault == "deleted":
        cluster.kubectl("delete", "pod", pod, "--wait=false")
    else:
        cluster.kubectl("taint", "nodes", "--all", "drill=yes:NoExecute")
        try:
            until(lambda: pod not in cluster.kubectl("get", "pods", "-o", "name"), 90)
        finally:
            cluster.kubectl("taint", "nodes", "--all", "drill-")
    assert process.wait(600) == 0, (tmp_path / "log").read_text()
    (going_on,) = [line for line in log_of(cluster, run_id, "train").splitlines() if "going on in epoch" in line]
    assert int(going_on.split("epoch ")[1].split()[0]) >= 3
    assert "attempt 2; the one before: " in (tmp_path / "log").read_text()


def test_a_step_that_needs_too_much_memory_is_named_with_its_limit(cluster: Cluster, tmp_path: Path) -> None:
    resources = tmp_path / "resources.yaml"
    resources.write_text(SMALL_CLUSTER.read_text().replace("train: {gpus: 0, memory: 5G", "train: {gpus: 0, memory: 400M"))
    file = cluster.compiled(tmp_path / "training.yaml", resources=resources)
    result = cluster.lus("submit", file, "--wait", *cluster.parameters())
    assert result.returncode == 1
    assert "failed: train: it was killed because it needed more memory than its limit of 400M; give it more with" in result.stderr
    assert list(steps_in(result.stdout)) == ["ingest", "preprocess", "train"]


def without_storage_for_a_minute(cluster: Cluster, run_id: str, step: str) -> None:
    """Takes the S3 server away while a step works, and brings it back: the quick ones as soon as their container runs."""
    pod = cluster.pod_of(step, run_id, 600)
    if step == "train":
        until_logged(cluster, pod, " 2/60: loss")
    try:
        cluster.tool("down", "s3")
        time.sleep(OUTAGE_S)
    finally:
        cluster.tool("start")


def test_a_minute_without_storage_in_each_of_three_steps_ends_no_run(cluster: Cluster, training: Path, tmp_path: Path) -> None:
    process, run_id = submitted(cluster, training, tmp_path / "log", *LONG_TRAINING, "seed=3")
    for step in ("ingest", "preprocess", "train"):
        without_storage_for_a_minute(cluster, run_id, step)
        until(lambda step=step: steps_in((tmp_path / "log").read_text())[step][-1] in ("SUCCEEDED", "FAILED"), 300)
        assert "does not answer" in log_of(cluster, run_id, step), (tmp_path / "log").read_text()
    assert process.wait(400) == 0, (tmp_path / "log").read_text()


def test_a_run_that_the_launcher_has_given_up_is_brought_back_by_another_one(cluster: Cluster, tmp_path: Path) -> None:
    """Promote itself works for a second; before it Kubeflow's launcher brings its inputs, after it the outputs are stored."""
    file = cluster.compiled(tmp_path / "training.yaml")
    process, run_id = submitted(cluster, file, tmp_path / "log", "seed=5")
    without_storage_for_a_minute(cluster, run_id, "promote")
    if process.wait(120) != 0:
        assert "failed: promote: " in (tmp_path / "log").read_text()
        again = cluster.lus("submit", file, "--wait", *cluster.parameters("seed=5"))
        assert again.returncode == 0, again.stdout + again.stderr
        assert {line.split()[1] for line in again.stdout.splitlines() if line.endswith("from the cache")} == {
            "preprocess",
            "train",
            "prune",
        }
        assert steps_in(again.stdout)["promote"][-1] == "SUCCEEDED"


def test_pods_meet_pod_security_restricted_but_for_the_test_cluster_s_network(cluster: Cluster, training: Path, tmp_path: Path) -> None:
    process, run_id = submitted(cluster, training, tmp_path / "log", "seed=4")
    objections: dict[str, str] = {}

    def asked() -> bool:
        pods = json.loads(cluster.kubectl("get", "pods", "-l", f"pipeline/runid={run_id}", "-o", "json"))["items"]
        running = {pod["metadata"]["labels"].get("app.kubernetes.io/component") for pod in pods if pod["status"]["phase"] == "Running"}
        command = ["label", "--dry-run=server", "--overwrite", "ns", "kubeflow", "pod-security.kubernetes.io/enforce=restricted"]
        said = cluster.run("kubectl", *command).stderr
        objections.update({step: said for step in running if step})
        return process.poll() is not None

    until(asked, 600)
    assert process.returncode == 0, (tmp_path / "log").read_text()
    assert set(objections) == {"ingest", "preprocess", "train", "prune", "evaluate", "promote"}
    for said in objections.values():
        reasons = {line.rpartition(": ")[2] for line in said.splitlines() if not line.startswith("Warning: existing pods in namespace")}
        assert reasons == {"host namespaces"}, said
