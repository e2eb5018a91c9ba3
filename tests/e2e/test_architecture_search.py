"""The architecture search as a user runs it: `lus search` on the dataset of an earlier run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from components.core.parameters import CHOICES
from pipelines.commands.main import main as lus
from tests.clip_datasets import write_toy_dataset


@pytest.mark.slow
def test_every_architecture_is_trained_and_stands_in_the_table(tmp_path: Path) -> None:
    dataset = write_toy_dataset(tmp_path / "dataset", {"train": 2, "validation": 1})
    command = [sys.executable, "-m", "pipelines", "search", "--dataset-uri", str(dataset), "--storage", str(tmp_path / "storage")]
    options = ["--backbone", "small", "--epochs", "1", "--num-bootstrap", "20"]
    result = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    runs = tmp_path / "storage" / "runs"
    (table,) = runs.glob("*/architectures.md")
    assert table.read_text() in result.stdout
    for architecture in CHOICES["architecture"]:
        assert f"\n| {architecture} | " in table.read_text()
    trained = [json.loads(path.read_text())["parameters"] for path in runs.glob("*/train*/model/metadata.json")]
    assert {parameters["architecture"] for parameters in trained} == set(CHOICES["architecture"])
    assert list((tmp_path / "storage" / "checkpoints").iterdir()) == [], "they were kept there until each training had ended"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--dataset-uri", "absent"), "error: --dataset-uri 'absent' is no clip dataset on this machine"),
        (("--dataset-uri", ".", "--epochs", "0"), "error: epochs must be at least 1"),
    ],
)
def test_bad_usage_stops_before_any_step(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    result = CliRunner().invoke(lus, ["search", "--pipeline-root", str(tmp_path / "runs"), *options])
    assert result.exit_code == 2
    assert result.stderr.startswith(message)
    assert not (tmp_path / "runs").exists()
