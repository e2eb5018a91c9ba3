"""Each step meets a full disk: one sentence, exit code 1, nothing left; with room it succeeds, started in the same way."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clip_datasets import write_toy_dataset
from tests.comparisons import convincing_comparison
from tests.dicoms import dicom, moving_frames, write
from tests.disks import Disk
from tests.phantom_set import tiny_phantoms

ROOT = Path(__file__).parents[2]
MakeDisk = Callable[..., Disk]
# Of a disk that is large enough for every output here.
DISK_BYTES = 24 << 20
FULL = "is full: free some room and start again."
SAMPLING = {"sampling": "window", "frames_per_second": 10.0, "max_clips_per_video": 1}


def step(name: str, folder: Path, **flags: object) -> list[str]:
    options = [part for flag, value in flags.items() for part in (f"--{flag.replace('_', '-')}", str(value))]
    return [sys.executable, "-m", "components", name, "--output-folder", str(folder), *options]


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, "LUS_PSEUDONYM_KEY": "a key that nobody guesses", **environment}
    return subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True)


def check(disk: Disk, command: list[str], left_bytes: int) -> None:
    """Runs a command with so much room, in which it must fail, and with all room."""
    before = disk.files()
    disk.fill(left_bytes)
    failed = run(command)
    assert failed.returncode == 1, failed.stderr
    assert "Traceback" not in failed.stderr
    errors = [line for line in failed.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, failed.stderr
    assert errors[0].startswith(f"error: the disk that holds '{disk.path}")
    assert errors[0].endswith(FULL)
    assert ": missing:" not in failed.stderr
    assert disk.files() == before
    disk.free()
    done = run(command)
    assert done.returncode == 0, done.stderr


def check_temporary(disk: Disk, command: list[str], output: Path) -> None:
    """Runs a command whose temporary files have no room."""
    disk.fill(left_bytes=20_000)
    failed = run(command, TMPDIR=str(disk.path))
    assert failed.returncode == 1, failed.stderr
    assert failed.stderr.splitlines()[-1] == f"error: the disk that holds '{disk.path}' {FULL}"
    assert not list(output.iterdir())
    disk.free()


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_phantoms(tmp_path_factory.mktemp("phantoms"))


@pytest.fixture(scope="module")
def videos(manifest: Path) -> dict[str, object]:
    """What preprocess needs of ingest."""
    folder = manifest.parent / "ingested"
    run(step("ingest", folder, manifest=manifest, storage=folder / "storage")).check_returncode()
    return {"videos": folder / "videos", "storage": folder / "storage"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_dataset(tmp_path_factory.mktemp("data") / "dataset", {"train": 2, "validation": 1, "test": 1})


@pytest.mark.parametrize("left_bytes", [0, 200_000])
def test_ingest(make_disk: MakeDisk, manifest: Path, tmp_path: Path, left_bytes: int) -> None:
    disk = make_disk(DISK_BYTES)
    check(disk, step("ingest", tmp_path, manifest=manifest, storage=disk.path / "storage"), left_bytes)


def test_the_lists_of_ingest(make_disk: MakeDisk, manifest: Path, tmp_path: Path) -> None:
    disk = make_disk(DISK_BYTES)
    check(disk, step("ingest", disk.path / "out", manifest=manifest, storage=tmp_path), left_bytes=4096)


@pytest.mark.slow
@pytest.mark.parametrize("left_bytes", [0, 1_500_000, 3_700_000])
def test_preprocess(make_disk: MakeDisk, videos: dict[str, object], left_bytes: int) -> None:
    """It fails while it decodes, or while it writes the shards, which need as much again."""
    disk = make_disk(DISK_BYTES)
    check(disk, step("preprocess", disk.path / "out", num_workers=2, **videos), left_bytes)


@pytest.mark.slow
def test_the_splits_of_preprocess(make_disk: MakeDisk, videos: dict[str, object], tmp_path: Path) -> None:
    disk = make_disk(DISK_BYTES)
    check(disk, step("preprocess", tmp_path, num_workers=2, **{**videos, "storage": disk.path / "storage"}), left_bytes=0)


@pytest.mark.parametrize("left_bytes", [0, 60_000, 300_000])
def test_import_dicom(make_disk: MakeDisk, tmp_path: Path, left_bytes: int) -> None:
    """It fails at the first video, within one, or at a later one."""
    frames = moving_frames(20, 240, 320)
    for number in range(3):
        write(dicom(frames[:, ::-1] if number % 2 else frames, PatientID=f"KH-{number}"), tmp_path / "source" / f"{number}.dcm")
    (tmp_path / "labels.csv").write_text("path,label\n.,normal\n")
    disk = make_disk(DISK_BYTES)
    inputs = {"source": tmp_path / "source", "labels": tmp_path / "labels.csv", "destination": disk.path / "imported"}
    check(disk, step("import_dicom", tmp_path / "out", **inputs), left_bytes)
    assert len(list((disk.path / "imported" / "videos").iterdir())) == 3


@pytest.mark.parametrize("command", ["export-frames", "export-npy"])
def test_exports_of_a_dataset(make_disk: MakeDisk, dataset: Path, command: str) -> None:
    disk = make_disk(64 << 20)
    check(disk, [sys.executable, "-m", "pipelines", command, "--dataset", str(dataset), "-o", str(disk.path / "out")], left_bytes=1 << 20)


def test_promote(make_disk: MakeDisk, tmp_path: Path) -> None:
    content = bytes(1 << 20)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.keras").write_bytes(content)
    (tmp_path / "model" / "metadata.json").write_text("{}")
    (tmp_path / "report").write_text("<html>")
    # sha256sum of a MiB of zeros
    comparison = convincing_comparison("30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58", 0.9)
    (tmp_path / "evaluation").write_text(json.dumps({"comparison": comparison}))
    artifacts = {name: tmp_path / name for name in ("model", "evaluation", "report")}
    disk = make_disk(DISK_BYTES)
    check(disk, step("promote", tmp_path / "out", storage=disk.path / "storage", **artifacts), left_bytes=100_000)
    assert (disk.path / "storage" / "models" / "champion.json").exists()


@pytest.mark.slow
def test_train_prune_evaluate_compare_crossval_and_predict(make_disk: MakeDisk, dataset: Path, manifest: Path, tmp_path: Path) -> None:
    """Each goes on with what the one before has written when there was room."""
    disk = make_disk(DISK_BYTES)
    out = disk.path / "out"
    network = {"backbone": "small", "architecture": "cnn_lstm", "epochs": 1, "batch_size": 2}
    check(disk, step("train", out, dataset=dataset, **network), left_bytes=100_000)
    pruning = {"pruning_epochs": 1, "batch_size": 2}
    check(disk, step("prune", out, dataset=dataset, dense_model=out / "model", **pruning), left_bytes=600_000)
    models = {"dense_model": out / "model", "pruned_model": out / "pruned_model", "num_bootstrap": 20}
    check(disk, step("evaluate", out, dataset=dataset, storage=disk.path / "storage", **models), left_bytes=40_000)

    architectures = dict.fromkeys(("convlstm2d", "cnn_lstm", "cnn_gru"), out / "model")
    check(disk, step("compare", out, dataset=dataset, num_bootstrap=20, **architectures), left_bytes=0)
    folds = write_toy_dataset(tmp_path / "folds", {"train": 3, "validation": 3})
    check(disk, step("crossval", out, dataset=folds, num_bootstrap=20, **network), left_bytes=0)

    metadata = out / "pruned_model" / "metadata.json"
    metadata.write_text(json.dumps({**json.loads(metadata.read_text()), "dataset_parameters": SAMPLING}))
    predict = [sys.executable, "-m", "pipelines", "predict", str(manifest), "--model", str(out / "pruned_model")]
    check(disk, [*predict, "-o", str(disk.path / "predictions.jsonl")], left_bytes=0)


@pytest.mark.slow
def test_checkpoints_and_temporary_files_of_train(make_disk: MakeDisk, dataset: Path, tmp_path: Path) -> None:
    disk = make_disk(DISK_BYTES)
    network = {"dataset": dataset, "backbone": "small", "architecture": "cnn_lstm", "epochs": 1, "batch_size": 2}
    check(disk, step("train", tmp_path / "a", storage=disk.path / "storage", **network), left_bytes=50_000)
    check_temporary(disk, step("train", tmp_path / "b", storage=tmp_path / "storage", **network), tmp_path / "b")


@pytest.mark.slow
def test_temporary_files_of_prune(make_disk: MakeDisk, dataset: Path, tmp_path: Path) -> None:
    disk = make_disk(DISK_BYTES)
    network = {"dataset": dataset, "backbone": "small", "architecture": "cnn_lstm", "epochs": 1, "batch_size": 2}
    run(step("train", tmp_path / "train", **network)).check_returncode()
    dense = {"dataset": dataset, "dense_model": tmp_path / "train" / "model"}
    check_temporary(disk, step("prune", tmp_path / "prune", pruning_epochs=1, batch_size=2, **dense), tmp_path / "prune")


@pytest.mark.slow
def test_a_whole_run(make_disk: MakeDisk, manifest: Path) -> None:
    """The storage, the outputs and the temporary files share one disk, which is full from the start, or which a later step fills."""
    disk = make_disk(64 << 20)
    short = ("--backbone", "small", "--epochs", "1", "--pruning-epochs", "1", "--num-bootstrap", "20", "--num-shards", "1")
    command = [sys.executable, "-m", "pipelines", "run", "--manifest", str(manifest), "--storage", str(disk.path / "storage"), *short]
    for left_bytes in (0, 3_000_000):
        disk.fill(left_bytes)
        failed = run(command, TMPDIR=str(disk.path))
        assert failed.returncode == 1, failed.stderr
        assert "Traceback" not in failed.stdout + failed.stderr
        assert f"the disk that holds '{disk.path}" in failed.stderr.splitlines()[-1]
        assert failed.stderr.splitlines()[-1].endswith(FULL)
    disk.free()
    done = run(command, TMPDIR=str(disk.path))
    assert done.returncode == 0, done.stderr
