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
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True)


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


@pytest.mark.parametrize("command", ["export-frames", "export-npy"])
def test_exports_of_a_dataset(make_disk: MakeDisk, dataset: Path, command: str) -> None:
    disk = make_disk(64 << 20)
    check(disk, [sys.executable, "-m", "pipelines.cli", command, str(dataset), "-o", str(disk.path / "out")], left_bytes=1 << 20)


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
def test_train_prune_evaluate_and_predict(make_disk: MakeDisk, dataset: Path, manifest: Path) -> None:
    """Each goes on with what the one before has written when there was room."""
    disk = make_disk(DISK_BYTES)
    out = disk.path / "out"
    network = {"backbone": "small", "architecture": "cnn_lstm", "epochs": 1, "batch_size": 2}
    check(disk, step("train", out, dataset=dataset, **network), left_bytes=100_000)
    pruning = {"pruning_epochs": 1, "batch_size": 2}
    check(disk, step("prune", out, dataset=dataset, dense_model=out / "model", **pruning), left_bytes=600_000)
    models = {"dense_model": out / "model", "pruned_model": out / "pruned_model", "num_bootstrap": 20}
    check(disk, step("evaluate", out, dataset=dataset, storage=disk.path / "storage", **models), left_bytes=40_000)

    metadata = out / "pruned_model" / "metadata.json"
    metadata.write_text(json.dumps({**json.loads(metadata.read_text()), "dataset_parameters": SAMPLING}))
    predict = [sys.executable, "-m", "pipelines.cli", "predict", str(manifest), "--model", str(out / "pruned_model")]
    check(disk, [*predict, "-o", str(disk.path / "predictions.jsonl")], left_bytes=0)


@pytest.mark.slow
def test_checkpoints_and_temporary_files_of_train(make_disk: MakeDisk, dataset: Path, tmp_path: Path) -> None:
    disk = make_disk(DISK_BYTES)
    network = {"dataset": dataset, "backbone": "small", "architecture": "cnn_lstm", "epochs": 1, "batch_size": 2}
    check(disk, step("train", tmp_path / "a", storage=disk.path / "storage", **network), left_bytes=50_000)
    disk.fill(left_bytes=50_000)
    failed = run(step("train", tmp_path / "b", storage=tmp_path / "storage", **network), TMPDIR=str(disk.path))
    assert failed.returncode == 1, failed.stderr
    assert failed.stderr.splitlines()[-1] == f"error: the disk that holds '{disk.path}' {FULL}"
    assert not list((tmp_path / "b").iterdir())
