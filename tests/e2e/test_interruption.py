"""Preprocess that is killed in the middle and started again gives what an undisturbed run gives."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.phantom_set import tiny_phantoms

pytestmark = pytest.mark.slow


def step(name: str, folder: Path, **flags: object) -> list[str]:
    options = [part for flag, value in flags.items() for part in (f"--{flag.replace('_', '-')}", str(value))]
    return [sys.executable, "-m", "components", name, "--output-folder", str(folder), *options]


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_killed_preprocess_leaves_nothing_under_a_final_name(tmp_path: Path) -> None:
    manifest = tiny_phantoms(tmp_path, patients_per_class=8)
    storage = tmp_path / "storage"
    subprocess.run(step("ingest", tmp_path / "ingest", manifest=manifest, storage=storage), check=True, capture_output=True)
    preprocess = {"videos": tmp_path / "ingest" / "videos", "storage": storage, "num_workers": 1}

    process = subprocess.Popen(step("preprocess", tmp_path / "killed", **preprocess), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(list((tmp_path / "killed").glob("dataset.partial-*/work-*/clips/*.tfrecord"))) < 5:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "dataset").exists()
    assert not (storage / "splits.json").exists()

    subprocess.run(step("preprocess", tmp_path / "killed", **preprocess), check=True, capture_output=True)
    after_kill, splits = content(tmp_path / "killed" / "dataset"), (storage / "splits.json").read_bytes()
    (storage / "splits.json").unlink()
    subprocess.run(step("preprocess", tmp_path / "undisturbed", **preprocess), check=True, capture_output=True)
    assert after_kill == content(tmp_path / "undisturbed" / "dataset")
    assert splits == (storage / "splits.json").read_bytes()
