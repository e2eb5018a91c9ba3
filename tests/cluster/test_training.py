"""The training pipeline on the real server: from a manifest in a bucket to a champion, and what the cache takes from an earlier run."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.cluster.conftest import Cluster, put_folder, run_id_of, s3_client, steps_in
from tests.docs.sessions import session, shape
from tests.phantom_set import tiny_phantoms

pytestmark = pytest.mark.cluster
STEPS = ["ingest", "preprocess", "train", "prune", "evaluate", "promote"]


@pytest.fixture(scope="module")
def training(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cluster.compiled(tmp_path_factory.mktemp("compiled") / "training.yaml")


@pytest.fixture(scope="module")
def refused_run(cluster: Cluster, training: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.Popen[bytes], Path]:
    """A run whose manifest does not exist, and where it is told what becomes of it; it goes on beside the first run."""
    log = tmp_path_factory.mktemp("refused") / "log"
    return cluster.start_lus(log, "submit", training, "--wait", *cluster.parameters(manifest=f"{cluster.storage}/in/absent.csv")), log


@pytest.fixture(scope="module")
def first_run(cluster: Cluster, training: Path, refused_run: object) -> str:
    """The output of a run that was waited for."""
    result = cluster.lus("submit", training, "--wait", *cluster.parameters())
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_the_steps_are_shown_under_their_names_and_in_order(first_run: str) -> None:
    states = steps_in(first_run)
    assert list(states) == STEPS
    assert {step: seen[-1] for step, seen in states.items()} == dict.fromkeys(STEPS, "SUCCEEDED")
    table = first_run.partition("succeeded\n\n")[2].splitlines()
    assert [line.split()[0] for line in table] == ["step", *STEPS]


def test_the_documentation_shows_what_is_printed(first_run: str) -> None:
    def ends(text: str) -> list[str]:
        """What is printed but for what depends on when the cluster was looked at."""
        return [line for line in shape(text)[1:] if not re.search(r" (PENDING|RUNNING)$| waits: ", line)]

    assert ends(session("lus submit")) == ends(first_run)


def test_the_champion_is_used_from_outside_the_cluster(cluster: Cluster, first_run: str, tmp_path: Path) -> None:
    listed = cluster.lus("champion", "list", "--storage", f"{cluster.storage}/storage")
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.count("champion") >= 1
    tiny_phantoms(tmp_path)
    (video, *_) = sorted((tmp_path / "phantoms" / "videos").iterdir())
    predicted = cluster.lus("predict", video, "--storage", f"{cluster.storage}/storage")
    assert predicted.returncode == 0, predicted.stderr
    probabilities = json.loads(predicted.stdout)["probabilities"]
    assert set(probabilities) == {"covid", "pneumonia", "normal"}
    assert sum(probabilities.values()) == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
def test_the_same_again_comes_from_the_cache(cluster: Cluster, training: Path, first_run: str) -> None:
    result = cluster.lus("submit", training, "--wait", *cluster.parameters())
    assert result.returncode == 0, result.stdout + result.stderr
    assert "was uploaded before" in result.stdout
    # The driver's own word, which is in the Workflow.
    cached = {line.split()[1] for line in result.stdout.splitlines() if line.endswith("from the cache")}
    assert cached == {"preprocess", "train", "prune"}


@pytest.mark.slow
def test_with_one_video_more_nothing_comes_from_the_cache(cluster: Cluster, training: Path, first_run: str, tmp_path: Path) -> None:
    put_folder(cluster, tiny_phantoms(tmp_path, patients_per_class=4).parent)
    result = cluster.lus("submit", training, "--wait", *cluster.parameters())
    assert result.returncode == 0, result.stdout + result.stderr
    assert "from the cache" not in result.stdout


def test_a_manifest_that_does_not_exist_ends_the_run_at_the_first_attempt(
    cluster: Cluster, refused_run: tuple[subprocess.Popen[bytes], Path]
) -> None:
    process, log = refused_run
    assert process.wait(180) == 1
    said = f"failed: ingest: manifest '{cluster.storage}/in/absent.csv' does not exist"
    assert said in log.read_text()
    assert "attempt 2" not in log.read_text()
    assert list(steps_in(log.read_text())) == ["ingest"]
    run_id = run_id_of(log)
    shown = cluster.lus("runs", "show", run_id).stdout
    assert said in shown
    folder = re.findall(r"outputs and log: s3://lungs/(\S+)", shown)[0]
    keys = [entry["Key"] for entry in s3_client(cluster).list_objects_v2(Bucket="lungs", Prefix=f"{folder}/executor-logs")["Contents"]]
    assert keys == [f"{folder}/executor-logs-0"]
