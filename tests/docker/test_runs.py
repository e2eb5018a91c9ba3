"""Pipelines through kfp's DockerRunner, and what a user is told when the engine or a container fails."""

import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.core import images
from tests.dicoms import dicom, moving_frames, write
from tests.docker.conftest import docker
from tests.docs.sessions import session, shape
from tests.phantom_set import tiny_phantoms

pytestmark = pytest.mark.docker
LUS = [sys.executable, "-m", "pipelines"]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_phantoms(tmp_path_factory.mktemp("phantoms"))


def lus_run(manifest: Path, storage: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [*LUS, "run", "--runner", "docker", "--manifest", str(manifest), "--storage", str(storage), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


@pytest.mark.slow
def test_the_whole_pipeline_in_containers_scores_as_it_does_here(manifest: Path, tmp_path: Path) -> None:
    options = ["--backbone", "small", "--epochs", "1", "--pruning-epochs", "1", "--min-macro-f1", "0", "--max-p-value", "1"]
    result = lus_run(manifest, tmp_path / "docker", *options)
    assert result.returncode == 0, result.stdout + result.stderr
    assert shape(session("lus run --runner docker")) == shape(result.stdout)
    assert {path.stat().st_uid for path in (tmp_path / "docker").rglob("*")} == {os.getuid()}
    result = lus_run(manifest, tmp_path / "subprocess", "--runner", "subprocess", *options)
    assert result.returncode == 0, result.stdout + result.stderr
    assert scores(tmp_path / "docker") == scores(tmp_path / "subprocess")


def scores(storage: Path) -> object:
    """Returns how the models of a run have scored, and every prediction, whichever runner it had."""
    (path,) = storage.glob("runs/*/evaluate/evaluation")
    models = json.loads(path.read_text())["models"]
    return {(name, key): model[key] for name, model in models.items() for key in ("clip", "video", "group", "videos")}


def test_dicom_files_come_in_through_a_container(tmp_path: Path) -> None:
    write(dicom(moving_frames()), tmp_path / "source" / "a.dcm")
    (tmp_path / "labels.csv").write_text("path,label\n.,normal\n")
    (tmp_path / "key").write_text("a key that nobody guesses")
    options = {"source": "source", "labels": "labels.csv", "key-file": "key", "destination": "out"}
    paths = [part for name, place in options.items() for part in (f"--{name}", str(tmp_path / place))]
    result = subprocess.run([*LUS, "import-dicom", "--runner", "docker", *paths], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    (summary,) = tmp_path.glob("out/runs/*/*/summary")
    assert "num_decoded_by_tensorflow_io: 1" in summary.read_text()
    assert len(list((tmp_path / "out" / "videos").glob("*.mkv"))) == 1


def test_an_image_that_is_not_here_stops_the_run_before_it_starts(manifest: Path, tmp_path: Path) -> None:
    result = lus_run(manifest, tmp_path / "storage", LUS_IMAGE_TAG="none")
    assert result.returncode == 2
    assert "is not on this machine; build it with `make images`" in result.stderr


def test_an_absent_engine_is_told(manifest: Path, tmp_path: Path) -> None:
    result = lus_run(manifest, tmp_path / "storage", DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert result.returncode == 2
    assert "no Docker engine answers; start one" in result.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody who may not use Docker")
def test_a_user_who_may_not_use_the_engine_is_told() -> None:
    become_nobody = "import os; os.setgroups([]); os.setgid(54321); os.setuid(54321)"
    code = f"from pipelines.engines.containers import ContainerRun; {become_nobody}; ContainerRun([])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "UsageError: this user may not use the Docker engine; join the group docker" in result.stderr


def changed_images(name: str, dockerfile: str) -> dict[str, str]:
    """Builds an ingest image of another registry; returns the environment that takes the images from there."""
    context = subprocess.run(
        ["docker", "build", "--tag", f"{name}/ingest:1", "-"], input=dockerfile, capture_output=True, text=True, check=False
    )
    assert context.returncode == 0, context.stderr
    for image in (images.PREPROCESS, images.TRAIN):
        docker("tag", image, f"{name}/{image.split('/')[1].split(':')[0]}:1")
    return {"LUS_IMAGE_REGISTRY": name, "LUS_IMAGE_TAG": "1"}


def test_a_step_that_ends_well_without_its_output_fails_the_run(manifest: Path, tmp_path: Path) -> None:
    environment = changed_images("lus-silent", f"FROM {images.INGEST}\nUSER root\nRUN ln -sf /bin/true /usr/local/bin/python3\n")
    result = lus_run(manifest, tmp_path / "storage", **environment)
    assert result.returncode == 1
    assert "the step 'ingest' ended without its output" in result.stderr


@pytest.mark.parametrize(
    ("dockerfile", "reason"),
    [
        (f"FROM {images.INGEST}\nUSER root\nRUN pip uninstall --yes kfp\n", "its image has no kfp"),
        ("FROM python:3.11-slim-bookworm\n", "Docker could not start a step"),
    ],
    ids=["without kfp", "of another kind"],
)
def test_an_image_that_is_not_ours_is_told(manifest: Path, tmp_path: Path, dockerfile: str, reason: str) -> None:
    result = lus_run(manifest, tmp_path / "storage", **changed_images("lus-foreign", dockerfile))
    assert result.returncode == 1
    assert reason in result.stderr


def test_a_container_that_runs_out_of_memory_is_told(manifest: Path, tmp_path: Path) -> None:
    command = [*LUS, "run", "--runner", "docker", "--manifest", str(manifest), "--storage", str(tmp_path / "storage")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            if containers := docker("ps", "--quiet", "--filter", "label=lus.run").stdout.split():
                docker("update", "--memory", "24m", "--memory-swap", "24m", *containers)
            time.sleep(0.05)
        _, stderr = process.communicate()
    assert process.returncode == 1
    assert "the run failed in step 'ingest': the container ran out of memory; give Docker more of it" in stderr


def test_no_container_outlives_an_interrupted_run(manifest: Path, tmp_path: Path) -> None:
    command = [*LUS, "run", "--runner", "docker", "--manifest", str(manifest), "--storage", str(tmp_path / "storage")]
    # Shells start what is in the background deaf to SIGINT.
    listening = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=listening) as process:
        while not docker("ps", "--quiet", "--filter", "label=lus.run").stdout.split():
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
    assert docker("ps", "--quiet", "--filter", "label=lus.run").stdout == ""
