"""The architecture search on the real server: three trainings, one of which loses its pod, and their table."""

import re
from pathlib import Path

import pytest

from tests.cluster.conftest import Cluster, log_of, run_id_of, until_logged

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def test_three_trainings_are_compared_though_one_lost_its_pod(cluster: Cluster, tmp_path: Path) -> None:
    training = cluster.compiled(tmp_path / "training.yaml", "--no-cache")
    first = cluster.lus("submit", training, "--wait", *cluster.parameters())
    assert first.returncode == 0, first.stdout + first.stderr
    shown = cluster.lus("runs", "show", first.stdout.partition("/runs/details/")[2].split()[0]).stdout
    dataset = re.findall(r"outputs and log: (\S+/preprocess/\S+)", shown)[0] + "/dataset"
    search = cluster.compiled(tmp_path / "search.yaml", pipeline="architecture_search")
    values = (
        f"dataset_uri={dataset}",
        f"storage={cluster.storage}/storage",
        "backbone=small",
        "epochs=30",
        "patience=30",
        "num_bootstrap=20",
    )
    log = tmp_path / "log"
    process = cluster.start_lus(log, "submit", search, "--wait", *(part for value in values for part in ("-p", value)))
    run_id = run_id_of(log)
    pod = cluster.pod_of("train", run_id)
    until_logged(cluster, pod, " 2/30: loss", 240)
    cluster.kubectl("delete", "pod", pod, "--wait=false")
    assert process.wait(1200) == 0, log.read_text()
    trained = [log_of(cluster, run_id, step) for step in ("train", "train-2", "train-3")]
    assert sum("going on in epoch" in text for text in trained) == 1
    table = log_of(cluster, run_id, "compare")
    assert all(f"\n| {name} | " in table for name in ("convlstm2d", "cnn_lstm", "cnn_gru")), table
