"""What `lus run` shows: a line a step. All that kfp and the steps print goes to a log.

A step says its last word itself, on a line of its own, so that what is shown of it stands in one place: `result: 38 stored, 2 missing`, or
`error: ` and the sentence. What it logs as a warning is shown beneath its line; of many, their number.
"""

import contextlib
import re
import sys
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TextIO, cast

from rich.console import Console as Screen
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from pipelines.engines.progress import FAILED, SUCCEEDED, duration

LOG_NAME = "log.txt"
# With the six steps of training and the summary of the run, what is shown stays below 40 lines.
MAX_WARNINGS = 3

_COLOUR = re.compile(r"\x1b\[\d+m")
_STARTED = re.compile(r"[\d:.]+ - INFO - Executing task '(.+)'")
_ENDED = re.compile(r"[\d:.]+ - \w+ - Task '(.+)' finished with status (\w+)")
_LOGGED = re.compile(r"\[KFP Executor \S+ \S+ (\w+)\]: (.*)")
# Of kfp's own lines, those that look as if they were the step's.
_FRAME = ("Looking for component", "Loading KFP component", "Got executor_input", "Wrote executor output file", "Found image")
_RESULT, _ERROR = "result: ", "error: "
_NO_KFP = "No module named 'kfp"


class Console:
    """A text stream that kfp prints to: puts all of it into a log, and shows the steps on a screen.

    While a step runs and a person looks, its last line is shown with the time that it has taken.

    Attributes:
        last_error: what the step that ran last said after `error: `, or an empty string.
    """

    def __init__(self, screen: Screen, log: TextIO, steps: Collection[str], verbose: bool) -> None:
        """Shows nothing yet.

        Args:
            screen: where the steps are shown.
            log: where everything goes.
            steps: the names of those that are shown.
            verbose: show everything on the screen as well.
        """
        self._screen, self._log, self._verbose = screen, log, verbose
        self._steps, self._width = steps, max(map(len, steps))
        self._pending = ""
        self._step, self._started_s, self._result = "", 0.0, ""
        self._warnings: list[str] = []
        self.last_error = self._last_line = ""
        self.live = Progress(
            SpinnerColumn("line"),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[news]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
            console=screen,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            expand=True,
            disable=verbose or not screen.is_terminal,
        )

    def write(self, text: str) -> int:
        """Takes text in any portions and works on whole lines."""
        *lines, self._pending = (self._pending + text).split("\n")
        for line in lines:
            self._take(_COLOUR.sub("", line))
        return len(text)

    def flush(self) -> None:
        """Does nothing: lines are passed on at once."""

    def show(self, line: str, crop: bool = False) -> None:
        """Shows a line; `crop` cuts it to the width of a terminal."""
        if crop and self._screen.is_terminal:
            self._screen.print(Text(line), no_wrap=True, overflow="ellipsis")
        else:
            self._screen.print(Text(line), soft_wrap=True)

    def last_words(self) -> str:
        """Returns what is known of how the step that ran last went wrong."""
        return self.last_error or f"{f'its last words are {self._last_line!r}; ' if self._last_line else ''}see the log."

    def end(self) -> None:
        """Takes a last line that does not end in a newline; a step that still runs has failed."""
        if self._pending:
            self.write("\n")
        if self._step:
            self._end_step(FAILED)

    def _take(self, line: str) -> None:
        with contextlib.suppress(OSError):  # a full disk is the step's to tell
            self._log.write(line + "\n")
        if self._verbose:
            self.show(line)
        if (started := _STARTED.fullmatch(line)) and started[1] in self._steps:
            self._start_step(started[1])
        elif self._step and (ended := _ENDED.fullmatch(line)):
            self._end_step(SUCCEEDED if ended[2] == "SUCCESS" else FAILED)
        elif self._step and line.strip():
            self._hear(line.strip())

    def _start_step(self, name: str) -> None:
        self._step, self._started_s, self._result, self._warnings = name, time.monotonic(), "", []
        self.last_error = self._last_line = ""
        self.live.add_task(name, news="")

    def _hear(self, line: str) -> None:
        """Keeps what the step says that is shown."""
        logged = _LOGGED.fullmatch(line)
        level, text = (logged[1], logged[2]) if logged else ("", line)
        if text.startswith(_FRAME):
            return
        self._last_line = text
        if text.startswith(_RESULT):
            self._result = text.removeprefix(_RESULT)
        elif text.startswith(_ERROR):
            self.last_error = text.removeprefix(_ERROR)
        elif _NO_KFP in text:
            self.last_error = "its image has no kfp; build the images with `make images`"
        elif level == "WARNING":
            self._warnings.append(text)
        elif level == "INFO":
            self.live.update(self.live.task_ids[-1], news=text)

    def _end_step(self, state: str) -> None:
        self.live.remove_task(self.live.task_ids[-1])
        took = duration(time.monotonic() - self._started_s)
        self.show(f"{self._step:<{self._width}}  {state:<9}  {took:>8}  {self._result}".rstrip())
        few = self._warnings if len(self._warnings) <= MAX_WARNINGS else self._warnings[: MAX_WARNINGS - 1]
        for text in few:
            self.show(f"  warning: {text}", crop=True)
        if len(few) < len(self._warnings):
            self.show(f"  and {len(self._warnings) - len(few)} more warnings, which are in the log")
        self._step = ""


@contextlib.contextmanager
def step_output(log_path: Path, steps: Collection[str], verbose: bool) -> Iterator[Console]:
    """Sends what is written to stdout and stderr through a console, which shows it on stdout; says first where the log is.

    Args:
        log_path: file to write.
        steps: the names of those that are shown.
        verbose: show everything.

    Raises:
        OSError: the log cannot be written.
    """
    log = log_path.open("w", buffering=1, encoding="utf-8", errors="backslashreplace")
    console = Console(Screen(file=sys.stdout, force_terminal=sys.stdout.isatty(), highlight=False), log, steps, verbose)
    console.show(f"log: {log_path}")
    stream = cast(TextIO, console)
    try:
        with console.live, contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
            yield console
    finally:
        console.end()
        with contextlib.suppress(OSError):
            log.close()
