"""Reading videos in a process of its own, so that one on which the decoder crashes, hangs or fills the memory is lost alone.

A GuardedReader has one child process, which it starts anew when a video ends it. The child imports what reading needs and nothing of its
parent: it is a fresh interpreter, not a fork. Parent and child speak over a socket, one video at a time:

    parent → child    (function, its arguments)
    child → parent    what the function returns, or the PipelineError that it raises
"""

import contextlib
import importlib
import os
import resource
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, TypeVar

from components.core.errors import DataError, PipelineError

# Of processor time for one video: a hundred times what an hour of 1080p video needs when its first clips are read. Of time: that and the
# longest waits.
CPU_LIMIT_S = 900
TIME_LIMIT_S = 3600
# The largest frames (containers.MAX_FRAME_PIXELS) of 4 clips, and what a decoder holds beside them, take half of it.
MEMORY_LIMIT_BYTES = 2 << 30
READY = "ready"
CLIP_READER = "components.core.video.clip_reader"

_ROOT = Path(__file__).parents[3]
# One thread: videos are read side by side by processes.
_SETTINGS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

Result = TypeVar("Result")


class GuardedReader:
    """Runs functions that read videos in a child process; not to be shared between threads."""

    def __init__(
        self,
        module: str = CLIP_READER,
        cpu_limit_s: float = CPU_LIMIT_S,
        time_limit_s: float = TIME_LIMIT_S,
        memory_limit_bytes: int = MEMORY_LIMIT_BYTES,
    ) -> None:
        """Prepares a child; it starts with the first call.

        Args:
            module: what the child imports before its memory is limited and its time counted.
            cpu_limit_s: processor time of a call.
            time_limit_s: time of a call.
            memory_limit_bytes: what the child may hold.
        """
        self._module = module
        self._limits = (cpu_limit_s, time_limit_s, memory_limit_bytes)
        self._child: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    def __enter__(self) -> "GuardedReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Returns what the function returns.

        Args:
            function: one at the top level of a module that the child can import.
            arguments: what can be pickled.

        Raises:
            DataError: the child died of this call, or used more time or memory than it may.
            PipelineError: what the function raised.
        """
        # One that was killed between two videos, as when the machine's memory is short, says nothing about the next one.
        if self._child and self._child.poll() is not None:
            self._reap()
        connection = self._connection or self._start()
        try:
            connection.send((function, arguments))
            answer = connection.recv()
        except (EOFError, ConnectionError):
            raise DataError(self._reason_of_death()) from None
        if isinstance(answer, BaseException):
            raise answer
        return answer  # type: ignore[no-any-return]

    def close(self) -> None:
        """Ends the child."""
        if self._child:
            self._child.kill()
            self._reap()

    def _start(self) -> Connection:
        ours, theirs = Pipe()
        path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        command = [sys.executable, "-m", __name__, str(theirs.fileno()), self._module, *map(str, self._limits)]
        # A session of its own: Ctrl-C at a terminal is for the parent, whose end the child sees.
        self._child = subprocess.Popen(
            command,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env={**os.environ, **_SETTINGS, "PYTHONPATH": path},
            start_new_session=True,
        )
        self._connection = ours
        theirs.close()
        try:
            ours.recv()
        except EOFError:
            raise RuntimeError(f"the process that reads videos does not start, exit code {self._reap()}") from None
        return ours

    def _reap(self) -> int:
        assert self._child
        assert self._connection
        self._connection.close()
        code = self._child.wait()
        self._child = self._connection = None
        return code

    def _reason_of_death(self) -> str:
        cpu_limit_s, time_limit_s, _ = self._limits
        code = self._reap()
        if code == -signal.SIGPROF:
            return f"reading it takes more than {cpu_limit_s:g} s of processor time"
        if code == -signal.SIGALRM:
            return f"reading it takes more than {time_limit_s:g} s"
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"the decoder crashed on it ({how})"


def _serve(connection: Connection, module: str, cpu_limit_s: float, time_limit_s: float, memory_limit_bytes: int) -> None:
    """Answers calls until the parent is gone."""
    importlib.import_module(module)
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (memory_limit_bytes, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    connection.send(READY)
    while True:
        try:
            function, arguments = connection.recv()
        except EOFError:
            return
        # Their default action ends a process even when it is stuck in the decoder's C code.
        signal.setitimer(signal.ITIMER_PROF, cpu_limit_s)
        signal.setitimer(signal.ITIMER_REAL, time_limit_s)
        answer = _answer(function, arguments)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        connection.send(answer)


def _answer(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    try:
        return function(*arguments)
    except PipelineError as error:
        return error
    except MemoryError:
        return DataError("reading it takes more memory than it may")
    except Exception as error:
        traceback.print_exc()
        return DataError(f"reading it failed: {type(error).__name__}: {error}")


if __name__ == "__main__":
    with contextlib.suppress(ConnectionError):
        _serve(Connection(int(sys.argv[1])), sys.argv[2], float(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
