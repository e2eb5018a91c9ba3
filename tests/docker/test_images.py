"""The images on a real engine: each step by plain `docker run`, and the whole pipeline through kfp's DockerRunner."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.command_line import load_step, step_names
from components.core import images
from tests.phantom_set import tiny_phantoms

pytestmark = [pytest.mark.docker, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
IMAGES = (images.INGEST, images.PREPROCESS, images.TRAIN, images.PREDICT)


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module", autouse=True)
def _built_images() -> None:
    try:
        engine = docker("version", "--format", "{{.Server.Version}}")
    except FileNotFoundError:
        pytest.skip("docker is not installed")
    if engine.returncode:
        pytest.skip("no Docker engine answers")
    subprocess.run(["make", "images"], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_explains_itself(image: str) -> None:
    assert all(step in docker("run", "--rm", image).stdout for step in step_names())


@pytest.mark.parametrize("step", step_names())
def test_every_step_shows_its_help_in_its_image(step: str) -> None:
    image = load_step(step).component_spec.implementation.container.image
    result = docker("run", "--rm", image, step, "--help")
    assert result.returncode == 0, result.stderr
    assert "--output-folder" in result.stdout


@pytest.mark.parametrize("image", IMAGES)
def test_the_packages_of_an_image_fit_together(image: str) -> None:
    result = docker("run", "--rm", "--entrypoint", "pip", image, "check")
    assert result.returncode == 0, result.stdout


def test_containers_do_not_run_as_root() -> None:
    assert docker("run", "--rm", "--entrypoint", "id", images.INGEST, "-u").stdout.strip() == "1000"


def test_steps_by_hand_write_files_of_the_caller(tmp_path: Path) -> None:
    tiny_phantoms(tmp_path)
    user = f"{os.getuid()}:{os.getgid()}"
    mounted = ("run", "--rm", "--network", "none", "--user", user, "-v", f"{tmp_path}:/work")
    ingest = docker(
        *mounted, images.INGEST, "ingest", "--manifest", "phantoms/manifest.csv", "--storage", "storage", "--output-folder", "ingest"
    )
    assert ingest.returncode == 0, ingest.stderr
    preprocess = docker(
        *mounted, images.PREPROCESS, "preprocess", "--videos", "ingest/videos", "--storage", "storage", "--output-folder", "preprocess"
    )
    assert preprocess.returncode == 0, preprocess.stderr
    index = tmp_path / "preprocess" / "dataset" / "index.json"
    assert json.loads(index.read_text())["splits"]["test"]["num_videos"] == 3
    assert index.stat().st_uid == os.getuid()


def test_the_whole_pipeline_runs_in_containers(tmp_path: Path) -> None:
    manifest = tiny_phantoms(tmp_path)
    options = ["--epochs", "1", "--pruning-epochs", "1", "--num-bootstrap", "20", "--min-macro-f1", "0", "--max-p-value", "1"]
    command = [
        sys.executable,
        "-m",
        "pipelines.cli",
        "run",
        "--runner",
        "docker",
        "--manifest",
        manifest,
        "--storage",
        tmp_path / "storage",
    ]
    result = subprocess.run([*map(str, command), *options], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert (tmp_path / "storage" / "models" / "champion.json").exists()
