"""The stand-in of the other tests answers as the real server does: what it says has the same fields and types there."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import ROOT, Cluster
from tests.pipelines.kubeflow_server import PREFIX, PREFIX_1, KubeflowServer

pytestmark = pytest.mark.cluster
NAME = "contract"
# What differs by nature: version 1 of the API is asked for two texts only, and their content has tests of its own.
NOT_COMPARED = {"parameters", "pipeline_spec", "nodes", "run_details", "state_history", "error"}


@pytest.fixture
def stand_in() -> Iterator[KubeflowServer]:
    server = KubeflowServer()
    server.script = [("RUNNING", {"ingest": "RUNNING"})] * 3
    yield server
    server.close()


def lus(cluster: Cluster, host: str, home: Path, *arguments: object) -> str:
    environment = {**os.environ, **cluster.environment, "KF_PIPELINES_ENDPOINT": host, "HOME": str(home)}
    command = [sys.executable, "-m", "pipelines", *map(str, arguments)]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def asked(host: str, path: str) -> Any:
    with urllib.request.urlopen(host + path) as answer:
        return json.load(answer)


def answers(cluster: Cluster, host: str, home: Path, file: Path) -> dict[str, Any]:
    """Returns what a server says after a run was started and a schedule was made, by what was asked."""
    parameters = cluster.parameters(manifest=f"{cluster.storage}/in/absent.csv")
    run_id = re.findall(r"runs/details/(\S+)", lus(cluster, host, home, "submit", file, *parameters))[0]
    lus(cluster, host, home, "schedule", "create", file, *parameters, "--name", NAME, "--cron", "0 3 1 1 *")
    (schedule,) = (s for s in asked(host, f"{PREFIX}/recurringruns?page_size=100")["recurringRuns"] if s["display_name"] == NAME)
    run = asked(host, f"{PREFIX}/runs/{run_id}")
    pipeline_id = run["pipeline_version_reference"]["pipeline_id"]
    found = {
        "health": asked(host, f"{PREFIX}/healthz"),
        "experiments": asked(host, f"{PREFIX}/experiments")["experiments"][0],
        "pipelines": asked(host, f"{PREFIX}/pipelines")["pipelines"][0],
        "versions": asked(host, f"{PREFIX}/pipelines/{pipeline_id}/versions")["pipeline_versions"][0],
        "run": run,
        "runs": asked(host, f"{PREFIX}/runs?page_size=1&sort_by=created_at%20desc")["runs"][0],
        "schedule": schedule,
        "run in version 1": asked(host, f"{PREFIX_1}/runs/{run_id}"),
    }
    lus(cluster, host, home, "runs", "cancel", run_id)
    lus(cluster, host, home, "schedule", "delete", NAME)
    return found


def shape(value: Any, path: str = "") -> dict[str, str]:
    """Returns the type of every field, by its path."""
    if isinstance(value, dict):
        fields = [shape(member, f"{path}.{key}") for key, member in value.items() if key not in NOT_COMPARED]
        return {path: "object"} | {key: kind for found in fields for key, kind in found.items()}
    return {path: type(value).__name__}


def test_both_servers_answer_alike(cluster: Cluster, stand_in: KubeflowServer, tmp_path: Path) -> None:
    file = cluster.compiled(tmp_path / "training.yaml")
    real = answers(cluster, cluster.environment["KF_PIPELINES_ENDPOINT"], tmp_path / "a", file)
    imitated = answers(cluster, stand_in.host, tmp_path / "b", file)
    for question, answer in imitated.items():
        expected = shape(real[question])
        assert {key: (kind, expected.get(key)) for key, kind in shape(answer).items() if expected.get(key) != kind} == {}, question
