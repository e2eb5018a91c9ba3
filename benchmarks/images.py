"""How large the images are, how long a change of the code takes to build, and what a container costs a step.

    make images && python benchmarks/images.py [--repeats 5]

Sizes are uncompressed and without the base image. The rebuild changes one module and builds all images again. A step is `promote --help`,
as a process here and by `docker run`: the difference is what the container costs; both are taken in turns, and the medians are compared.

Measured on two cores under a load of about ten, three runs: ingest 270 MB, preprocess 936, train 2,475, predict 3,216, dicom 1,805; a
rebuild of all five images 7.8–12.9 s; a step 6.7 s in the development environment, which is far larger, and 2.9 s in a container.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from components.core import images

ROOT = Path(__file__).parents[1]
BASE = "python:3.11-slim-bookworm"
IMAGES = (images.INGEST, images.PREPROCESS, images.TRAIN, images.PREDICT, images.DICOM)
GOALS_MB = {images.INGEST: 280, images.PREPROCESS: 950, images.TRAIN: 2500}
STEP = ("promote", "--help")


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    print(f"{'image':<45}{'MB above its base':>20}{'goal':>8}")
    for image in IMAGES:
        print(f"{image:<45}{(num_bytes(image) - num_bytes(BASE)) / 1e6:>20,.0f}{GOALS_MB.get(image, '-'):>8}")
    print(f"\nrebuild of {len(IMAGES)} images after a change of the code: {rebuild_s():.1f} s (goal 10 for one)")
    here, contained = [], []
    for _ in range(repeats):
        here.append(duration_s(lambda: run([sys.executable, "-m", "components", *STEP])))
        contained.append(duration_s(lambda: run(["docker", "run", "--rm", images.INGEST, *STEP])))
    print(f"step here {statistics.median(here):.2f} s, in a container {statistics.median(contained):.2f} s", end="")
    print(f": {statistics.median(contained) - statistics.median(here):+.2f} s (goal 3), medians of {repeats}")


def num_bytes(image: str) -> int:
    """Returns the uncompressed size of an image."""
    return int(json.loads(run(["docker", "image", "inspect", image]))[0]["Size"])


def rebuild_s() -> float:
    """Returns how long all images take to build from a copy of the project in which one module has changed."""
    with tempfile.TemporaryDirectory(prefix="lus-images-") as folder:
        for name in ("components", "docker"):
            shutil.copytree(ROOT / name, Path(folder) / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / ".dockerignore", folder)
        with (Path(folder) / "components" / "core" / "errors.py").open("a") as module:
            module.write(f"\n# {time.time()}\n")
        targets = [image.split("/")[1].split(":")[0] for image in IMAGES]
        return duration_s(
            lambda: [run(["docker", "build", "--file", "docker/Dockerfile", "--target", name, "."], folder) for name in targets]
        )


def run(command: Sequence[str], folder: str | Path = ROOT) -> str:
    """Runs a command to its end; returns what it printed."""
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def duration_s(function: Callable[[], object]) -> float:
    """Returns how long a call takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
