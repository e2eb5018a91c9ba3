"""Each step by plain `docker run`, as docs/docker.md has it; signals; mounts."""

import json
import os
import re
import subprocess
import time
import uuid
from pathlib import Path

import numpy as np
import pytest

from components.core import images
from components.core.video.decoding import open_video
from tests.dicoms import FORMS, PYDICOM_FILES, moving_frames, write
from tests.docker.conftest import ROOT, docker
from tests.phantom_set import tiny_phantoms

pytestmark = pytest.mark.docker
ME = f"{os.getuid()}:{os.getgid()}"


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the commands of docs/docker.md were run, without a network and with read-only file systems, and for one epoch."""
    folder = tmp_path_factory.mktemp("by-hand")
    tiny_phantoms(folder)
    (folder / "phantoms" / "manifest.csv").rename(folder / "phantoms" / "videos.csv")
    commands = re.search(r"```sh\n(step\(\).*?)```", (ROOT / "docs" / "docker.md").read_text(), re.DOTALL)[1]
    for text, replacement in (
        ("docker run --rm ", "docker run --rm --network none --read-only --tmpfs /tmp "),
        ("videos.csv", "phantoms/videos.csv"),
        ("step train train ", "step train train --backbone small --epochs 1 "),
        ("step train prune ", "step train prune --pruning-epochs 1 "),
        ("step train evaluate ", "step train evaluate --num-bootstrap 20 "),
    ):
        assert commands.count(text) == 1, text
        commands = commands.replace(text, replacement)
    result = subprocess.run(["bash", "-euc", commands], cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return folder


def test_the_steps_of_the_page_give_their_outputs(by_hand: Path) -> None:
    outputs = by_hand / "outputs"
    assert json.loads((outputs / "preprocess" / "dataset" / "index.json").read_text())["splits"]["test"]["num_videos"] == 3
    assert (outputs / "prune" / "pruned_model" / "model.keras").stat().st_size > 0
    assert json.loads((outputs / "evaluate" / "evaluation").read_text())["models"]
    assert "#" in (outputs / "promote" / "decision").read_text()


def test_files_belong_to_the_caller(by_hand: Path) -> None:
    assert {path.stat().st_uid for path in by_hand.rglob("*")} == {os.getuid()}


def test_sigterm_makes_a_training_save_its_state(by_hand: Path) -> None:
    name = f"lus-test-{uuid.uuid4().hex[:8]}"
    place = ("--user", ME, "--volume", f"{by_hand}:/work", "--name", name)
    step = (
        "train",
        "--dataset",
        "outputs/preprocess/dataset",
        "--storage",
        "storage",
        "--backbone",
        "small",
        "--epochs",
        "1000",
        "--patience",
        "1000",
        "--output-folder",
        "outputs/stopped",
    )
    docker("run", "--detach", *place, images.TRAIN, *step)
    try:
        deadline = time.monotonic() + 120
        while "epoch" not in (log := docker("logs", name)).stdout.lower() + log.stderr.lower():
            assert time.monotonic() < deadline, log
            time.sleep(0.5)
        started = time.monotonic()
        docker("stop", "--time", "60", name)
        assert time.monotonic() - started < 50, "the step had to be killed"
        assert docker("inspect", "--format", "{{.State.ExitCode}}", name).stdout.strip() == "75", "the exit code that asks for a retry"
        assert list((by_hand / "storage" / "checkpoints").glob("*.npz"))
        assert not (by_hand / "outputs" / "stopped" / "model").exists()
    finally:
        docker("rm", "--force", name)


def test_a_mount_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    result = docker(
        "run", "--rm", "--user", "54321", "--volume", f"{tmp_path}:/work", images.INGEST, "ingest", "--manifest", "m.csv", "--storage", "s"
    )
    assert result.returncode == 2
    assert "cannot create the output folder '/work/outputs/ingest' (Permission denied)" in result.stderr


def test_dicom_files_come_in_through_tensorflow_io_and_what_it_cannot_through_pydicom(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    frames = moving_frames()
    for form, (make, _, _) in FORMS.items():
        write(make(frames), tmp_path / "source" / f"{form}.dcm")
    (tmp_path / "source" / "zz-vendor.dcm").write_bytes((PYDICOM_FILES / "examples_ybr_color.dcm").read_bytes())
    (tmp_path / "labels.csv").write_text("path,label\n.,normal\n")
    (tmp_path / "key").write_text("a key that nobody guesses")
    options = ("--source", "source", "--labels", "labels.csv", "--destination", "out", "--key-file", "key", "--output-folder", "step")
    place = ("--network", "none", "--read-only", "--tmpfs", "/tmp", "--user", ME, "--volume", f"{tmp_path}:/work")
    result = docker("run", "--rm", *place, images.DICOM, "import_dicom", *options)
    assert result.returncode == 0, result.stdout + result.stderr
    metrics = json.loads((tmp_path / "step" / "executor_output.json").read_text())["artifacts"]["metrics"]["artifacts"][0]["metadata"]
    assert metrics["num_imported"] == len(FORMS) + 1
    # tensorflow-io reads neither JPEG 2000 nor palettes of 16 bits.
    assert (metrics["num_decoded_by_tensorflow_io"], metrics["num_decoded_by_pydicom"]) == (len(FORMS) - 1, 2)
    manifest = (tmp_path / "out" / "manifest.csv").read_text().splitlines()[1:]
    for (_, expected, tolerance), row in zip((FORMS[form] for form in sorted(FORMS)), manifest, strict=False):
        with open_video(tmp_path / "out" / row.split(",")[1]) as video:
            images_read = np.stack([frame.colours()[:, :, ::-1] for frame in video.frames()])
        assert np.abs(images_read.astype(int) - expected(frames)).mean() <= tolerance, row
