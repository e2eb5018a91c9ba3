"""Preprocess on Dask in the real cluster: a scheduler and two workers as pods decode the real videos, one of which is lost on the way."""

import hashlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import BUCKET, REGISTRY, ROOT, Cluster, put_folder, run_id_of, s3_client, steps_in, until, until_logged

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.real_data]
ON_DASK = "beam_options=--runner=DaskRunner --dask_client_address=tcp://localhost:8786"


@pytest.fixture
def dask(cluster: Cluster, tmp_path: Path) -> Iterator[None]:
    """The scheduler and the workers of docker/dask.yaml, on the network of the node."""
    text = (ROOT / "docker" / "dask.yaml").read_text().replace(f"{REGISTRY}/preprocess:0.1.0", f"{REGISTRY}/preprocess:{cluster.tag}")
    text = text.replace("tcp://dask-scheduler:", "tcp://localhost:").replace("# hostNetwork", "hostNetwork")
    (tmp_path / "dask.yaml").write_text(text)
    cluster.kubectl("apply", "-f", tmp_path / "dask.yaml")
    try:
        for name in ("dask-scheduler", "dask-worker"):
            cluster.kubectl("rollout", "status", f"deployment/{name}", "--timeout=180s")
        yield
    finally:
        cluster.kubectl("delete", "-f", tmp_path / "dask.yaml")


def preprocessed(cluster: Cluster, file: Path, log: Path, lose_a_worker: bool = False) -> dict[str, str]:
    """Runs the pipeline as far as the dataset; returns the digest of each of its files."""
    process = cluster.start_lus(log, "submit", file, "--wait", *cluster.parameters(ON_DASK))
    run_id = run_id_of(log)
    if lose_a_worker:
        until_logged(cluster, cluster.pod_of("preprocess", run_id), "decoded ", 300)
        worker = cluster.kubectl("get", "pods", "-l", "app=dask,role=worker", "-o", "name").split()[0]
        cluster.kubectl("delete", worker, "--wait=false")
    until(lambda: process.poll() is not None or "SUCCEEDED" in steps_in(log.read_text()).get("preprocess", []), 900)
    assert process.poll() is None, log.read_text()
    shown = cluster.lus("runs", "show", run_id).stdout
    assert cluster.lus("runs", "cancel", run_id).returncode == 0
    process.wait(60)
    folder = re.findall(rf"outputs and log: s3://{BUCKET}/(\S+/preprocess/\S+)", shown)[0]
    client = s3_client(cluster)
    keys = [entry["Key"] for entry in client.list_objects_v2(Bucket=BUCKET, Prefix=f"{folder}/dataset/")["Contents"]]
    digest = {key: hashlib.sha256(client.get_object(Bucket=BUCKET, Key=key)["Body"].read()).hexdigest() for key in keys}
    return {key.rpartition("/")[2]: value for key, value in digest.items()}


def test_the_dataset_of_the_real_videos_is_that_of_one_machine(cluster: Cluster, dask: None, real_manifest: Path, tmp_path: Path) -> None:
    put_folder(cluster, real_manifest.parent)
    file = cluster.compiled(tmp_path / "training.yaml", "--no-cache")
    on_dask = preprocessed(cluster, file, tmp_path / "dask.log")
    (videos,) = s3_client(cluster).list_objects_v2(
        Bucket=BUCKET, Prefix=f"{cluster.storage.removeprefix(f's3://{BUCKET}/')}/storage/videos/lists/"
    )["Contents"]
    command = ["-m", "components", "preprocess", "--videos", f"s3://{BUCKET}/{videos['Key']}", "--storage", f"{cluster.storage}/storage"]
    here = cluster.run(sys.executable, *command, "--output-folder", tmp_path / "here")
    assert here.returncode == 0, here.stderr
    assert on_dask == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "here" / "dataset").iterdir()}
    assert (
        sum(
            json.loads((tmp_path / "here" / "dataset" / "index.json").read_text())["splits"][split]["num_videos"]
            for split in ("train", "validation", "test")
        )
        > 80
    )
    assert preprocessed(cluster, file, tmp_path / "lost.log", lose_a_worker=True) == on_dask
