import io
from pathlib import Path

import pytest

from pipelines.engines.console import Console, step_output

STEP = """\
    [KFP Executor 2026-11-22 18:34:10,821 INFO]: Looking for component `ingest` in --component_module_path `x`
    [KFP Executor 2026-11-22 18:34:10,822 INFO]: Got executor_input:
    {
        "inputs": {
            "parameterValues": {}
        }
    }
    [KFP Executor 2026-11-22 18:34:11,438 INFO]: 10 of 72 videos
    [KFP Executor 2026-11-22 18:34:11,439 WARNING]: a: missing: file not found

    error: class covid has no video
\x1b[96mdone\x1b[0m
"""
SHOWN = """\
    10 of 72 videos
    warning: a: missing: file not found
    error: class covid has no video
done
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("portion", [1, 7, 10_000])
def test_the_words_of_a_step_are_shown_without_the_frame(portion: int) -> None:
    stream = io.StringIO()
    console = Console(stream)
    for start in range(0, len(STEP), portion):
        console.write(STEP[start : start + portion])
    assert stream.getvalue() == SHOWN
    assert console.last_error == "class covid has no video"


def test_an_input_that_does_not_end_as_expected_hides_nothing_after_it() -> None:
    stream = io.StringIO()
    Console(stream).write(STEP.replace("\n    }\n", "\n}\n"))
    assert stream.getvalue() == SHOWN


def test_a_log_file_shows_a_line_at_once(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        Console(log).write("epoch 1\nepo")
        assert (tmp_path / "log").read_text() == "epoch 1\n"


def test_a_last_line_without_an_end_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with step_output() as console:
        print("error: out of paper", end="")
    assert capsys.readouterr().out == "error: out of paper\n"
    assert console.last_error == "out of paper"


def test_a_terminal_keeps_its_colours() -> None:
    stream = Terminal()
    Console(stream).write("\x1b[96mdone\x1b[0m\n")
    assert stream.getvalue() == "\x1b[96mdone\x1b[0m\n"


def test_both_streams_are_redirected_and_given_back(capsys: pytest.CaptureFixture[str]) -> None:
    import sys

    with step_output():
        print("Streamed logs:")
        print("shown")
        print("\x1b[91mred\x1b[0m", file=sys.stderr)
    print("Streamed logs:")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("shown\nStreamed logs:\n", "red\n")
