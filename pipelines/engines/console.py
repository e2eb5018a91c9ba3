"""What `lus run` shows: the words of the steps, without the frame that kfp puts around them."""

import contextlib
import re
import sys
from collections.abc import Iterator
from typing import TextIO, cast

_COLOUR = re.compile(r"\x1b\[\d+m")
_LOG_PREFIX = re.compile(r"\[KFP Executor \S+ \S+ (\w+)\]: ")
# kfp prints the whole input of every step; it is also in the folder of the run.
_INPUT_STARTS = "Got executor_input:"
_INPUT_ENDS = "    }"
_FRAME = ("Looking for component", "Loading KFP component", "Wrote executor output file", "Streamed logs:")
_ERROR = "error: "
_NO_KFP = "No module named 'kfp"


class Console:
    """A text stream before another one: leaves kfp's frame out, and remembers the last error that a step ended with.

    Attributes:
        last_error: text of the last line that began with `error: `.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._pending = ""
        self._in_input = False
        self.last_error = ""

    def write(self, text: str) -> int:
        """Takes text in any portions and passes on whole lines."""
        *lines, self._pending = (self._pending + text).split("\n")
        for line in lines:
            self._show(line if self._stream.isatty() else _COLOUR.sub("", line))
        return len(text)

    def flush(self) -> None:
        """Flushes what was passed on."""
        self._stream.flush()

    def end(self) -> None:
        """Passes on a last line that does not end in a newline."""
        if self._pending:
            self.write("\n")

    def isatty(self) -> bool:
        """Tells whether a person watches."""
        return self._stream.isatty()

    def _show(self, line: str) -> None:
        if self._in_input and not _LOG_PREFIX.search(line):
            self._in_input = line != _INPUT_ENDS
            return
        self._in_input = line.endswith(_INPUT_STARTS)
        if not self._in_input and line.strip() and not any(words in line for words in _FRAME):
            if line.strip().startswith(_ERROR):
                self.last_error = line.strip().removeprefix(_ERROR)
            elif _NO_KFP in line:
                self.last_error = "its image has no kfp; build the images with `make images`"
            self._stream.write(_LOG_PREFIX.sub(_level, line) + "\n")
            self._stream.flush()


def _level(prefix: re.Match[str]) -> str:
    return "" if prefix[1] == "INFO" else f"{prefix[1].lower()}: "


@contextlib.contextmanager
def step_output() -> Iterator[Console]:
    """Sends what is written to stdout and stderr through consoles; gives the one that the steps' output goes to."""
    console, errors = Console(sys.stdout), Console(sys.stderr)
    try:
        with contextlib.redirect_stdout(cast(TextIO, console)), contextlib.redirect_stderr(cast(TextIO, errors)):
            yield console
    finally:
        console.end()
        errors.end()
