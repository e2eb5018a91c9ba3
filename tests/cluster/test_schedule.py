"""Scheduled retraining on the real server: it trains once, then finds nothing new, survives its schedule, and tells how it ended."""

import http.server
import json
import re
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import Cluster, log_of, steps_in, until

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
NAME = f"minutely-{uuid.uuid4().hex[:6]}"


@pytest.fixture(scope="module")
def messages(cluster: Cluster) -> Iterator[list[str]]:
    """What arrives at the webhook that the Secret of the notification names."""
    received: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    cluster.run("kubectl", "-n", "kubeflow", "delete", "secret", "lus-notify")
    url = f"--from-literal=webhook-url=http://localhost:{server.server_port}/hook"
    cluster.kubectl("create", "secret", "generic", "lus-notify", url)
    yield received
    cluster.kubectl("delete", "secret", "lus-notify")
    server.shutdown()


@pytest.fixture(scope="module")
def retraining(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cluster.compiled(tmp_path_factory.mktemp("compiled") / "retraining.yaml", pipeline="retraining")


def runs_of(cluster: Cluster) -> list[tuple[str, str]]:
    """Returns id and state of the runs that the schedule has started, the oldest first."""
    lines = [line.split() for line in cluster.lus("runs", "list", "--limit", 50).stdout.splitlines()[1:]]
    return [(line[0], line[1]) for line in reversed(lines) if NAME in " ".join(line[4:])]


def listed(cluster: Cluster) -> list[str]:
    """Returns state and cron of the schedules of the name."""
    rows = [line.split() for line in cluster.lus("schedule", "list").stdout.splitlines()]
    return [" ".join(row[1:7]) for row in rows if row[0] == NAME]


def test_a_schedule_trains_once_and_survives_its_replacement(cluster: Cluster, retraining: Path, messages: list[str]) -> None:
    create = ["schedule", "create", retraining, "--name", NAME, *cluster.parameters(), "--cron"]
    created = cluster.lus(*create, "* * * * *")
    assert created.returncode == 0, created.stderr
    assert listed(cluster) == ["active * * * * *"]
    first = until(lambda: [run for run, state in runs_of(cluster) if state == "RUNNING"], 150)[0]
    replaced = cluster.lus(*create, "0 3 1 1 *").stdout
    assert f"created: {NAME}, in place of 1 earlier" in replaced
    assert re.search(rf"a run that it had started goes on to its end: \S+{first}", replaced)
    assert listed(cluster) == ["active 0 3 1 1 *"]
    waited = cluster.lus("runs", "wait", first)
    assert waited.returncode == 0, waited.stdout + waited.stderr
    steps = ["ingest", "decide-training", "preprocess", "train", "prune", "evaluate", "promote", "record-training", "notify"]
    assert list(steps_in(waited.stdout)) == steps
    assert dict(runs_of(cluster))[first] == "SUCCEEDED"
    until(lambda: messages, 60)
    assert messages[0].splitlines()[0] == "Lung-ultrasound pipeline: succeeded"
    assert "\nchampion: none" not in messages[0]
    assert f"created: {NAME}, in place of 1 earlier" in cluster.lus(*create, "* * * * *").stdout
    second = until(lambda: [run for run, _ in runs_of(cluster) if run != first], 150)[0]
    deleted = cluster.lus("schedule", "delete", NAME).stdout
    assert re.fullmatch(rf"deleted: {NAME}\na run that it had started goes on to its end: \S+{second}\n", deleted)
    assert listed(cluster) == []
    again = cluster.lus("runs", "wait", second)
    assert again.returncode == 0, again.stdout + again.stderr
    assert list(steps_in(again.stdout)) == ["ingest", "decide-training", "notify"]
    assert "Nothing new" in log_of(cluster, second, "decide-training")
    assert {state for _, state in runs_of(cluster)} == {"SUCCEEDED"}


def test_a_run_that_fails_is_told_of(cluster: Cluster, retraining: Path, messages: list[str]) -> None:
    before = len(messages)
    result = cluster.lus("submit", retraining, "--wait", *cluster.parameters(manifest=f"{cluster.storage}/in/absent.csv"))
    assert result.returncode == 1
    until(lambda: len(messages) > before, 60)
    assert messages[-1].splitlines()[0] == "Lung-ultrasound pipeline: failed"
