"""What a process of this project needs around it: names and text in UTF-8, a folder for what libraries keep, and an end in one sentence."""

import atexit
import contextlib
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from typing import NoReturn

from components.core.errors import DiskError, PipelineError
from components.core.files import disk_faults

_UTF8_MODE = "PYTHONUTF8"


def prepare_process() -> None:
    """Makes the environment of this process and its children fit; a command calls this before it looks at its arguments.

    Under a locale other than UTF-8 the process starts anew in Python's UTF-8 mode (PEP 540): the libraries that open files take names in
    UTF-8, whatever the locale says. What is printed never fails on a name. Where there is no home folder, because HOME is not set and
    the user has no entry in the table of users, one that is deleted at the end takes what libraries keep there.
    """
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get(_UTF8_MODE) != "1":
        os.environ[_UTF8_MODE] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if not os.path.isabs(os.path.expanduser("~")):
        os.environ["HOME"] = tempfile.mkdtemp(prefix="lus-home-")
        atexit.register(shutil.rmtree, os.environ["HOME"], ignore_errors=True)


@contextlib.contextmanager
def exit_with_message() -> Iterator[None]:
    """Ends the process with one line on stderr and the error's exit code when a PipelineError escapes.

    What a full or read-only disk of this machine made of any other place in the program is told in the same way. Any other exception is a
    defect of the program and keeps its traceback.

    Raises:
        SystemExit: with the exit code of the PipelineError.
    """
    try:
        yield
    except PipelineError as error:
        _end(error)
    except Exception as error:
        sentence = disk_faults.sentence_about(error)
        if not sentence:
            raise
        _end(DiskError(sentence))


def _end(error: PipelineError) -> NoReturn:
    with contextlib.suppress(OSError):  # stderr may be on the full disk
        print(f"error: {error}", file=sys.stderr, flush=True)
    raise SystemExit(error.exit_code) from None
