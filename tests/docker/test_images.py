"""What is in the images."""

import json
import subprocess

import pytest

from components.command_line import load_step, step_names
from components.core import images
from tests.docker.conftest import ROOT, docker

pytestmark = pytest.mark.docker
IMAGES = (images.INGEST, images.PREPROCESS, images.TRAIN, images.PREDICT, images.DICOM)
BASE = "python:3.11-slim-bookworm"
# Above the base image, uncompressed.
MAX_MEGABYTES = {images.INGEST: 280, images.PREPROCESS: 950, images.TRAIN: 2500}


def inspected(image: str) -> dict[str, object]:
    return json.loads(docker("image", "inspect", image).stdout)[0]


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_explains_itself(image: str) -> None:
    shown = docker("run", "--rm", image).stdout
    assert [step for step in step_names() if step not in shown] == []


@pytest.mark.parametrize("step", step_names())
def test_every_step_shows_its_help_in_its_image(step: str) -> None:
    image = load_step(step).component_spec.implementation.container.image
    result = docker("run", "--rm", "--network", "none", "--read-only", image, step, "--help")
    assert result.returncode == 0, result.stderr
    assert "--output-folder" in result.stdout


@pytest.mark.parametrize("image", IMAGES)
def test_the_packages_of_an_image_fit_together(image: str) -> None:
    result = docker("run", "--rm", "--entrypoint", "pip", image, "check")
    assert result.returncode == 0, result.stdout


def test_the_packages_of_tensorflow_io_fit_together() -> None:
    result = docker("run", "--rm", "--entrypoint", "/opt/tensorflow-io/bin/pip", images.DICOM, "check")
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_says_what_it_is_and_does_not_run_as_root(image: str) -> None:
    config = inspected(image)["Config"]
    revision = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert labels["revision"] == revision
    assert labels["version"] == images.DEFAULT_TAG
    assert labels["licenses"] == "Apache-2.0"
    assert f"LUS_REVISION={revision}" in config["Env"]
    assert config["User"] == "1000:1000"


@pytest.mark.parametrize("image", MAX_MEGABYTES)
def test_an_image_holds_just_what_its_steps_need(image: str) -> None:
    assert (inspected(image)["Size"] - inspected(BASE)["Size"]) / 1e6 <= MAX_MEGABYTES[image]


@pytest.mark.parametrize("image", IMAGES)
def test_no_build_tools_and_no_caches_are_left(image: str) -> None:
    search = "command -v gcc make; ls -A /tmp /root/.cache /var/lib/apt/lists 2>/dev/null | grep -v ':$' | grep ."
    assert docker("run", "--rm", "--user", "0", "--entrypoint", "sh", image, "-c", search).stdout == ""
