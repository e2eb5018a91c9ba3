"""What a process of this project needs around it: names and text in UTF-8, and a folder for what libraries keep."""

import atexit
import io
import os
import shutil
import sys
import tempfile

_UTF8_MODE = "PYTHONUTF8"


def prepare_process() -> None:
    """Makes the environment of this process and its children fit; a command calls this before it looks at its arguments.

    Under a locale other than UTF-8 the process starts anew in Python's UTF-8 mode (PEP 540): the libraries that open files take names in
    UTF-8, whatever the locale says. What is printed never fails on a name. Where there is no home folder, because HOME is not set and
    the user has no entry in the table of users, one that is deleted at the end takes what libraries keep there.
    """
    if not _names_are_utf8() and os.environ.get(_UTF8_MODE) != "1":
        os.environ[_UTF8_MODE] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if not os.path.isabs(os.path.expanduser("~")):
        os.environ["HOME"] = tempfile.mkdtemp(prefix="lus-home-")
        atexit.register(shutil.rmtree, os.environ["HOME"], ignore_errors=True)


def _names_are_utf8() -> bool:
    return sys.getfilesystemencoding().lower().replace("-", "") == "utf8"
