"""What is shown of a run, given what kfp prints: tests/e2e/test_training_run.py does it with a real one."""

import contextlib
import io
import sys
from pathlib import Path

import pytest
from rich.console import Console as Screen

from pipelines.engines.console import Console, step_output

STEPS = ("ingest", "preprocess")
INGEST = """\
18:34:09.100 - INFO - Executing task \x1b[96m'ingest'\x1b[0m
18:34:09.101 - INFO - Streamed logs:

    [KFP Executor 2026-11-22 18:34:10,821 INFO]: Looking for component `ingest` in --component_module_path `x`
    [KFP Executor 2026-11-22 18:34:10,822 INFO]: Got executor_input:
    {
        "inputs": {
            "parameterValues": {}
        }
    }
    [KFP Executor 2026-11-22 18:34:11,438 INFO]: 10 of 72 videos
    [KFP Executor 2026-11-22 18:34:11,439 WARNING]: a: missing: file not found
    [KFP Executor 2026-11-22 18:34:12,100 INFO]: result: 71 stored, 1 missing
    [KFP Executor 2026-11-22 18:34:12,200 INFO]: Wrote executor output file to x.

18:34:12.300 - INFO - Task \x1b[96m'ingest'\x1b[0m finished with status \x1b[92mSUCCESS\x1b[0m
18:34:12.301 - INFO - Task \x1b[96m'ingest'\x1b[0m outputs:
    videos: Dataset( name='videos',
                     uri='/somewhere/videos',
                     metadata={} )
--------------------------------------------------------------------------------
"""
PREPROCESS = """\
18:34:13.100 - INFO - Executing task \x1b[96m'preprocess'\x1b[0m
    Traceback (most recent call last):
    KeyError: 'x'
18:34:14.100 - ERROR - Task \x1b[96m'preprocess'\x1b[0m finished with status \x1b[91mFAILURE\x1b[0m
"""
SHOWN = """\
ingest      SUCCEEDED       0 s  71 stored, 1 missing
  warning: a: missing: file not found
"""


def console_on(screen: io.StringIO, log: io.StringIO | None = None, verbose: bool = False, terminal: bool = False) -> Console:
    return Console(Screen(file=screen, force_terminal=terminal, width=60, color_system=None), log or io.StringIO(), STEPS, verbose)


@pytest.mark.parametrize("portion", [1, 7, 10_000])
def test_a_step_is_a_line_and_everything_is_in_the_log(portion: int) -> None:
    screen, log = io.StringIO(), io.StringIO()
    console = console_on(screen, log)
    for start in range(0, len(INGEST), portion):
        console.write(INGEST[start : start + portion])
    assert screen.getvalue() == SHOWN
    assert log.getvalue() == INGEST.replace("\x1b[96m", "").replace("\x1b[92m", "").replace("\x1b[0m", "")


def test_a_step_that_fails_says_why_and_otherwise_has_last_words() -> None:
    screen = io.StringIO()
    console = console_on(screen)
    console.write(INGEST + PREPROCESS)
    assert screen.getvalue() == SHOWN + "preprocess  FAILED          0 s\n"
    assert console.last_error == ""
    assert console.last_words() == "its last words are \"KeyError: 'x'\"; see the log."
    console.write(PREPROCESS.replace("Traceback (most recent call last):", "error: class covid has no video"))
    assert console.last_error == console.last_words() == "class covid has no video"


@pytest.mark.parametrize("number", [2, 3, 4, 400])
def test_many_warnings_are_counted(number: int) -> None:
    screen = io.StringIO()
    line = "    [KFP Executor 2026-11-22 18:34:11,439 WARNING]: a: missing: file not found\n"
    assert line in INGEST
    console_on(screen).write(INGEST.replace(line, "".join(line.replace("a:", f"a-{n}:") for n in range(number))))
    few = [f"  warning: a-{n}: missing: file not found" for n in range(number if number <= 3 else 2)]
    rest = [f"  and {number - 2} more warnings, which are in the log"] if number > 3 else []
    assert screen.getvalue().splitlines()[1:] == [*few, *rest]


def test_verbose_shows_what_is_logged_and_the_steps() -> None:
    screen, log = io.StringIO(), io.StringIO()
    console_on(screen, log, verbose=True).write(INGEST)
    lines = screen.getvalue().splitlines()
    assert [line for line in lines if line not in SHOWN.splitlines()] == log.getvalue().splitlines()
    assert "".join(f"{line}\n" for line in lines if line in SHOWN.splitlines()) == SHOWN


def test_a_terminal_shows_what_the_running_step_says_and_forgets_it() -> None:
    screen = io.StringIO()
    console = console_on(screen, terminal=True)
    before, after = INGEST.split("18:34:12.300")
    with console.live:
        console.write(before)
        console.live.refresh()
        assert "ingest" in screen.getvalue()
        assert "10 of 72 videos" in screen.getvalue()
        console.write("18:34:12.300" + after)
    last = [line.rsplit("\x1b[2K", 1)[-1].rstrip() for line in screen.getvalue().split("\n")]
    assert [line for line in last if "ingest" in line or "warning" in line] == SHOWN.splitlines()
    assert "10 of 72" not in "".join(last)


def test_a_log_that_cannot_be_written_does_not_end_the_run() -> None:
    class FullDisk(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    screen = io.StringIO()
    console_on(screen, FullDisk()).write(INGEST)
    assert screen.getvalue() == SHOWN


def test_both_streams_go_to_the_log_and_are_given_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log.txt"
    with step_output(path, STEPS, verbose=False):
        print("Streamed logs:")
        print("\x1b[91mred\x1b[0m", file=sys.stderr)
        assert path.read_text() == "Streamed logs:\nred\n", "who follows the log sees a line at once"
    print("as before")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == (f"log: {path}\nas before\n", "")


def test_a_run_that_is_broken_off_ends_its_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(KeyboardInterrupt), step_output(tmp_path / "log.txt", STEPS, verbose=False) as console:
        print("18:34:09.100 - INFO - Executing task 'ingest'")
        print("    error: out of paper", end="")
        raise KeyboardInterrupt
    assert capsys.readouterr().out.splitlines()[1:] == ["ingest      FAILED          0 s"]
    assert console.last_error == "out of paper"
