"""The smoke test for a real cluster, run against the server for tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipelines.conftest import PARAMETERS
from tests.pipelines.kubeflow_server import KubeflowServer

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def smoke(server: KubeflowServer, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(home), "KF_PIPELINES_ENDPOINT": server.host}
    command = [
        sys.executable,
        "-m",
        "tests.pipelines.smoke_cluster",
        *PARAMETERS,
        "--namespace",
        "mine",
        "--resources",
        "pipelines/small-cluster.yaml",
    ]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_every_path_is_taken_once(server: KubeflowServer, tmp_path: Path) -> None:
    server.namespaces = ("mine",)
    result = smoke(server, tmp_path)
    rows = result.stdout.rsplit("seconds\n", 1)[1].splitlines()
    assert result.returncode == 0, result.stdout + result.stderr
    assert len(rows) == 11
    assert all(" ok " in row for row in rows)
    assert (len(server.runs), len(server.versions), len(server.recurring_runs)) == (2, 1, 0)
    used = {request.split(" ")[0] + " " + request.split("/")[3].split(":")[0] for request in server.requests}
    assert used >= {
        "GET healthz",
        "POST experiments",
        "POST pipelines",
        "POST runs",
        "GET runs",
        "POST recurringruns",
        "DELETE recurringruns",
    }


def test_what_fails_is_in_the_table(server: KubeflowServer, tmp_path: Path) -> None:
    server.namespaces = ("theirs",)
    result = smoke(server, tmp_path)
    assert result.returncode == 1
    assert result.stdout.count("exit 1") >= 6
