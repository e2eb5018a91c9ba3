"""The terminals of docs/terminal.md as far as seconds tell; those of runs are compared where such runs are: tests/e2e, docker, cluster."""

import subprocess
import sys
from pathlib import Path

from tests.docs.pages import ROOT
from tests.docs.sessions import session, shape

SHOWN = session("make demo").splitlines()
COMMANDS = [line for line in SHOWN if line.startswith(".venv/bin")]


def test_the_demo_runs_what_the_page_shows() -> None:
    command = ["make", "--dry-run", "--no-print-directory", "demo"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-2:] == COMMANDS


def test_phantoms_are_drawn_as_the_page_shows(tmp_path: Path) -> None:
    options = ("--destination", tmp_path / "phantoms", "--output-folder", tmp_path / "step", "--patients-per-class", "3")
    command = [sys.executable, "-m", "components", "phantoms", *map(str, options)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert shape(result.stderr + result.stdout) == shape("\n".join([*SHOWN[1:2], *SHOWN[8 : SHOWN.index(COMMANDS[1])]]))
