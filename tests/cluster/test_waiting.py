"""Pods that cannot start on the real server: `--wait` says why and what to do, and `lus runs cancel` ends the run."""

import datetime
import re
from pathlib import Path

import pytest

from tests.cluster.conftest import Cluster, run_id_of, until

pytestmark = pytest.mark.cluster
# Little, so that what waits takes no room from the others.
LITTLE = "all: {cpu: 100m, memory: 500M}\ntrain: {gpus: 0}\nprune: {gpus: 0}\n"
CASES = {
    "cpus": ("ingest: {cpu: 64}\n", [], "no node has room for it", "it asks for cpu 64, memory 500M: ask for less with --resources"),
    "image": ("", ["--tag", "absent"], "its image 'lung-ultrasound-pipeline/ingest:absent' cannot be had", "push it, or compile with"),
    "secret": ("ingest: {secrets: {absent: {key: VARIABLE}}}\n", [], 'secret "absent" not found', "make it with kubectl, or take it out"),
}


def time_of(line: str) -> datetime.datetime:
    return datetime.datetime.strptime(line[:8], "%H:%M:%S")


def test_why_a_pod_waits_is_said_and_the_run_can_be_ended(cluster: Cluster, tmp_path: Path) -> None:
    waiting = {}
    for case, (resources, options, _, _) in CASES.items():
        (tmp_path / f"{case}-resources.yaml").write_text(LITTLE + resources)
        file = cluster.compiled(tmp_path / f"{case}.yaml", *options, resources=tmp_path / f"{case}-resources.yaml")
        log = tmp_path / f"{case}.log"
        waiting[case] = (cluster.start_lus(log, "submit", file, "--wait", *cluster.parameters()), log)
    for case, (process, log) in waiting.items():
        said = until(lambda log=log: [line for line in log.read_text().splitlines() if "waits: " in line and " ingest " in line], 180)
        assert all(text in said[0] for text in CASES[case][2:]), said
        (began, *_) = [line for line in log.read_text().splitlines() if re.search(r" ingest +PENDING", line)]
        assert time_of(said[0]) - time_of(began) <= datetime.timedelta(minutes=1)
        shown = cluster.lus("runs", "show", run_id_of(log))
        assert all(text in shown.stdout for text in CASES[case][2:]), shown.stdout
        canceled = cluster.lus("runs", "cancel", run_id_of(log))
        assert (canceled.returncode, canceled.stdout.split(":")[0]) == (0, "canceled"), canceled.stderr
        assert process.wait(60) == 3
        assert "was canceled." in log.read_text()
    states = {line.split()[0]: line.split()[1] for line in cluster.lus("runs", "list").stdout.splitlines()[1:]}
    assert {states[run_id_of(log)] for _, log in waiting.values()} == {"CANCELED"}
