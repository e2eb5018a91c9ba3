"""What a process is started with: a locale other than UTF-8, no home folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PREPARED = "import os, pathlib, sys; from components.core.process import prepare_process; prepare_process()\n"


@pytest.fixture(scope="module")
def latin1(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a user whose locale is en_US.ISO-8859-1."""
    folder = tmp_path_factory.mktemp("locales")
    command = ["localedef", "-i", "en_US", "-f", "ISO-8859-1", str(folder / "en_US.ISO-8859-1")]
    if not shutil.which("localedef") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("this machine cannot make a locale in ISO-8859-1")
    return {"LC_ALL": "en_US.ISO-8859-1", "LOCPATH": str(folder)}


def run(code: str, *arguments: str | bytes, folder: Path, **environment: str) -> bytes:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ and name not in environment}
    variables = {**kept, "PYTHONPATH": str(ROOT), **{name: value for name, value in environment.items() if value}}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=variables, cwd=folder, stdout=subprocess.PIPE, check=True).stdout


@pytest.mark.parametrize("name", ["é.mp4".encode(), b"M\xfcller.mp4"])
@pytest.mark.parametrize("locale", ["latin1", "C", "UTF-8"])
def test_a_file_is_opened_and_called_alike_under_any_locale(
    tmp_path: Path, request: pytest.FixtureRequest, locale: str, name: bytes
) -> None:
    """Libraries that take names in UTF-8, as PyAV's and OpenCV's do, see the bytes that the system has."""
    environment = {
        "latin1": lambda: request.getfixturevalue("latin1"),
        "C": lambda: {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        "UTF-8": lambda: {"LC_ALL": "C.UTF-8"},
    }[locale]()
    (tmp_path / os.fsdecode(name)).write_text("content")
    code = PREPARED + "print(ascii(sys.argv[1]), open(sys.argv[1]).read(), sys.argv[1].encode('utf-8', 'surrogateescape'))"
    assert run(code, name, folder=tmp_path, **environment).decode().split(" ", 2) == [
        ascii(name.decode("utf-8", "surrogateescape")),
        "content",
        f"{name!r}\n",
    ]


def test_children_read_names_in_the_same_way(tmp_path: Path, latin1: dict[str, str]) -> None:
    code = PREPARED + "import subprocess; subprocess.run([sys.executable, '-c', 'import sys; print(ascii(sys.argv[1]))', 'é'])"
    assert run(code, folder=tmp_path, **latin1) == b"'\\xe9'\n"


@pytest.mark.parametrize("environment", [{"LC_ALL": "C.UTF-8"}, {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "ascii"}, {"PYTHONUTF8": "1"}])
def test_no_name_is_too_odd_to_be_printed(tmp_path: Path, environment: dict[str, str]) -> None:
    assert run(PREPARED + "print('M\\udcfcller')", folder=tmp_path, **environment) == b"M\\udcfcller\n"


def test_without_a_home_folder_what_libraries_keep_goes_away_with_the_process(tmp_path: Path) -> None:
    """The user has no entry in the table of users, as in a container that is run under a number."""
    if os.getuid():
        pytest.skip("only root can become another user")
    kept = "(pathlib.Path('~').expanduser() / '.keras').mkdir(); print(os.environ['HOME'])"
    # What is imported may be in a folder of root's alone.
    code = PREPARED.replace("; prepare", "; os.setuid(4242); prepare") + kept
    home = run(code, folder=tmp_path, HOME="").decode().strip()
    assert os.path.isabs(home)
    assert not Path(home).exists()
    assert os.listdir(tmp_path) == []


def test_a_home_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    assert run(PREPARED + "print(os.environ['HOME'])", folder=tmp_path, HOME=str(tmp_path)).decode().strip() == str(tmp_path)
