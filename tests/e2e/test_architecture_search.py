"""The architecture search as a user runs it: `lus search` on the dataset of an earlier run."""

import contextlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from components.core.parameters import CHOICES
from pipelines.commands.main import main as lus
from tests.clip_datasets import write_toy_dataset


def in_a_terminal(command: list[str]) -> tuple[int, list[str]]:
    """Returns the exit code of a command, and the lines that stand on the terminal in the end."""
    terminal, end = pty.openpty()
    with subprocess.Popen(command, stdout=end, stderr=end) as process, open(terminal, "rb", buffering=0) as stream:
        os.close(end)
        written = b""
        with contextlib.suppress(OSError):  # how Linux says that nobody has the other end any more
            while portion := stream.read(1 << 16):
                written += portion
    assert b"\x1b[2K" in written, "what runs was shown, and is taken away"
    text = written.decode().replace("\r\n", "\n").replace("\x1b[?25h", "")
    return process.returncode, [line.rsplit("\x1b[2K", 1)[-1].rstrip() for line in text.rstrip("\n").split("\n")]


@pytest.mark.slow
def test_every_architecture_is_trained_and_stands_in_the_table(tmp_path: Path) -> None:
    dataset = write_toy_dataset(tmp_path / "dataset", {"train": 2, "validation": 1})
    command = [sys.executable, "-m", "pipelines", "search", "--dataset-uri", str(dataset), "--storage", str(tmp_path / "storage")]
    options = ["--backbone", "small", "--epochs", "1", "--num-bootstrap", "20"]
    code, screen = in_a_terminal([*command, *options])
    assert code == 0, screen
    runs = tmp_path / "storage" / "runs"
    (table,) = runs.glob("*/architectures.md")
    assert table.read_text() in "\n".join(screen)
    assert len(screen) <= 40
    steps = [line.split() for line in screen if "SUCCEEDED" in line]
    assert sorted(words[0] for words in steps[:3]) == ["train", "train-2", "train-3"]
    assert steps[3][0] == "compare"
    assert sorted(words[words.index("s") + 1].rstrip(",") for words in steps[:3]) == sorted(CHOICES["architecture"])
    assert not [line for line in screen if "KFP" in line or "\x1b" in line]
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
