"""The lock files of the images agree with each other and with the Dockerfile."""

import re
from pathlib import Path

import pytest

DOCKER = Path(__file__).parents[2] / "docker"
# Has an environment of its own, in the image `dicom`.
APART = "tensorflow-io"


def locked(name: str) -> dict[str, str]:
    """Returns the version of each package of a lock file."""
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)==([^ ;]+)", (DOCKER / "locks" / f"{name}.txt").read_text(), re.MULTILINE))


LOCKS = sorted(path.stem for path in (DOCKER / "locks").glob("*.txt") if path.stem not in ("dev", APART))


@pytest.mark.parametrize("name", LOCKS)
def test_an_image_has_the_versions_that_the_tests_run_with(name: str) -> None:
    tested = locked("dev")
    assert locked(name)
    assert {package: version for package, version in locked(name).items() if tested.get(package, version) != version} == {}


@pytest.mark.parametrize("name", [*LOCKS, APART])
def test_every_package_has_a_hash(name: str) -> None:
    text = (DOCKER / "locks" / f"{name}.txt").read_text()
    for package in re.split(r"\n(?=[a-z0-9])", text.strip()):
        assert "--hash=sha256:" in package, package


def test_the_cuda_image_is_the_train_image_with_cuda() -> None:
    plain, cuda = locked("train"), locked("train-cuda")
    assert {package: cuda.get(package) for package in plain} == plain
    added = set(cuda) - set(plain)
    assert {"nvidia-cudnn-cu12", "nvidia-cublas-cu12", "nvidia-cuda-runtime-cu12"} <= added
    assert all(package.startswith("nvidia-") for package in added)


def test_the_program_that_starts_beams_workers_is_of_the_locked_beam() -> None:
    (version,) = re.findall(r"^ARG BEAM_SDK=apache/beam_python3\.11_sdk:(.+)$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    assert version == locked("preprocess")["apache-beam"]
