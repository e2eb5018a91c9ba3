"""Bad usage of `lus` and of `python -m components`: one clear sentence, the right exit code, and no work started."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from components.__main__ import main as steps
from components.core.records.clips import CLASS_NAMES
from pipelines.commands.main import main as lus
from tests.videos import numbered_frames, write_video


def manifest_of(folder: Path, groups_per_class: int = 3, uri: str = "videos/{}.avi") -> Path:
    lines = [f"{name}-{n},{uri.format(f'{name}-{n}')},{name},{name}-{n}" for name in CLASS_NAMES for n in range(groups_per_class)]
    path = folder / "manifest.csv"
    path.write_text("\n".join(["video_id,uri,label,group", *lines]) + "\n")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(lus, ["run", *map(str, arguments)])


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--frames-per-second", 0), 2, "frames_per_second must be at least 0.1"),
        (("--sparsity", 1.2), 2, "sparsity must be at least 0 and less than 1, got 1.2"),
        (("--epochs", "many"), 2, "is not a valid integer"),
        (("--runner", "spark"), 2, "'spark' is not one of"),
        (("--manifest", "absent.csv"), 2, "manifest 'absent.csv' does not exist"),
        (("--drop-in", "absent"), 2, "--drop-in 'absent' does not exist"),
        (("--weights", "absent.h5"), 2, "--weights 'absent.h5' does not exist"),
        (("--storage", "ftp://host"), 2, "unsupported scheme"),
        (("--storage", "/dev/null/storage"), 1, "cannot write to storage '/dev/null/storage'"),
    ],
)
def test_a_wrong_value_stops_before_any_step(tmp_path: Path, options: tuple[object, ...], code: int, message: str) -> None:
    result = run("--manifest", manifest_of(tmp_path), "--storage", tmp_path / "storage", *options)
    assert result.exit_code == code
    assert message in result.output.replace("\n", " ")
    assert not list(tmp_path.glob("storage/*"))


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--sources", "Butterflies"), 2, "error: sources: no video of the manifest has 'butterflies'; use values from any, Born"),
        (("--licences", "open", "--sources", "Papers"), 1, "error: class covid has videos of 1 group(s)"),
    ],
)
def test_a_selection_that_cannot_train_stops_before_any_step(tmp_path: Path, options: tuple[str, ...], code: int, message: str) -> None:
    result = run("--manifest", "catalog", "--storage", tmp_path / "storage", *options)
    assert result.exit_code == code
    assert result.stderr.startswith(message)
    assert not list(tmp_path.glob("storage/*"))


def test_too_few_groups_stop_before_any_step(tmp_path: Path) -> None:
    result = run("--manifest", manifest_of(tmp_path, groups_per_class=2), "--storage", tmp_path / "storage")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: class covid has videos of 2 group(s)")
    assert not list(tmp_path.glob("storage/*"))


def test_a_path_that_no_pipeline_can_carry_stops_before_any_step(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xfcller"))
    folder.mkdir()
    result = run("--manifest", manifest_of(folder), "--storage", tmp_path / "storage")
    assert result.exit_code == 2
    assert "M\\udcfcller/manifest.csv' is not UTF-8, as the parameters of a pipeline must be; give it" in result.stderr
    assert not list(tmp_path.glob("storage/*"))


def test_a_failing_step_is_named_with_its_own_words(tmp_path: Path) -> None:
    write_video(tmp_path / "videos" / "covid-0.avi", numbered_frames(20))
    command = [sys.executable, "-m", "pipelines", "run", "--manifest", manifest_of(tmp_path), "--storage", tmp_path / "storage"]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert result.returncode == 1
    (error,) = result.stderr.splitlines()
    assert error.startswith("error: the run failed in step 'preprocess': class covid has videos of 1 group(s)")
    assert "Traceback" not in result.stdout + result.stderr
    log, *shown = result.stdout.splitlines()
    assert [line.split()[:2] for line in shown if not line.startswith(" ")] == [["ingest", "SUCCEEDED"], ["preprocess", "FAILED"]]
    assert "  1 stored, 8 missing; 1 files are new" in shown[0]
    assert all(re.fullmatch(r"  warning: \w+-\d: missing: file not found", line) for line in shown[1:3])
    assert shown[3] == "  and 6 more warnings, which are in the log"
    logged = Path(log.removeprefix("log: ")).read_text()
    assert "[KFP Executor" in logged
    assert "covid-1: missing: file not found" in logged


def test_verbose_shows_what_the_log_has(tmp_path: Path) -> None:
    options = ["--manifest", manifest_of(tmp_path), "--storage", tmp_path / "storage", "--verbose"]
    result = subprocess.run(
        list(map(str, [sys.executable, "-m", "pipelines", "run", *options])), capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    (error,) = result.stderr.splitlines()
    assert error.startswith("error: the run failed in step 'ingest': none of the 9 videos could be stored")
    lines = result.stdout.splitlines()
    logged = Path(lines[0].removeprefix("log: ")).read_text().splitlines()
    assert any("Got executor_input:" in line for line in logged)
    assert set(logged) < set(lines)
    assert any(line.startswith("ingest ") and " FAILED " in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("ingest", "--manifest", "absent.csv", "--storage", "s"), 2, "error: manifest 'absent.csv' does not exist"),
        (("ingest", "--storage", "s"), 2, "Missing option '--manifest'"),
        (("prune", "--dataset", ".", "--dense-model", ".", "--sparsity", "2"), 2, "error: sparsity must be at least 0"),
        (("preprocess", "--videos", "absent", "--storage", "s"), 2, "'absent' does not exist"),
        (("frobnicate",), 2, "No such command 'frobnicate'"),
    ],
)
def test_a_step_by_hand_refuses_bad_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(steps, list(arguments))
    assert result.exit_code == code
    assert message in result.output


@pytest.mark.parametrize("output", ["training.json", "/dev/null/training.yaml"])
def test_compile_refuses_a_file_that_it_cannot_write(output: str) -> None:
    result = CliRunner().invoke(lus, ["compile", "-o", output])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
