"""What the pages tell the reader to type: shell blocks parse, and the commands of the project are understood; nothing is run.

In a block a command is written out, with all that it requires. In a sentence it may be its name and the option that is meant.
"""

import importlib
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from components.__main__ import main as steps
from pipelines.commands.main import main as lus
from pipelines.compile import PIPELINES
from tests.docs.pages import ROOT, blocks, code_spans

IMAGE = re.compile(r"lung-ultrasound-pipeline/\w+:[\w.-]+")
OPERATOR = re.compile(r"[();<>|&]+")
PARAMETERS = {key for name, module in PIPELINES.items() for key in getattr(importlib.import_module(module), name).component_spec.inputs}
SHELL_BLOCKS = list(blocks("sh"))


class NotUnderstoodError(Exception):
    """A command that would not do what a page says."""


@pytest.fixture(autouse=True)
def _files_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader's files are not here; their names are taken as they stand."""
    monkeypatch.setattr(click.Path, "convert", lambda self, value, param, ctx: value)


def commands(text: str) -> Iterator[list[str]]:
    """Yields the simple commands of a shell text, as words, without the variables that are set before them."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in (*lexer, ";"):
            if not OPERATOR.fullmatch(word):
                words += [word] if words or not re.fullmatch(r"\w+=.*", word) else []
            elif words:
                yield words
                words = []


def understand_all(text: str) -> None:
    for words in commands(text):
        understand(words)


def understand(words: list[str]) -> None:
    """Parses a command if it is one of the project's.

    Raises:
        click.ClickException: click does not understand it.
        NotUnderstoodError: there is no such target, variable, file or parameter of a pipeline.
    """
    image = next((number for number, word in enumerate(words) if IMAGE.fullmatch(word)), None)
    if words[0] == "lus":
        parse(lus, words[1:])
    elif words[:3] == ["python", "-m", "components"]:
        parse(steps, words[3:])
    elif words[0] == "python":
        files = [words[1]]
        if words[1] == "-m":
            module = words[2].replace(".", "/")
            files = [f"{module}.py", f"{module}/__main__.py"]
        if not any((ROOT / file).exists() for file in files):
            raise NotUnderstoodError(f"there is no {files[0]}")
    elif words[0] == "step" and len(words) > 1:
        parse(steps, words[2:])
    elif image is not None and "--entrypoint" not in words and words[image + 1 :]:
        parse(steps, words[image + 1 :])
    elif words[0] == "make":
        make(words[1:])


def parse(command: click.Command, words: list[str]) -> None:
    context = None
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        inner = command.get_command(click.Context(command), words[0])
        if inner is None:
            raise NotUnderstoodError(f"there is no command {words[0]!r}")
        command, words = inner, words[1:]
    try:
        context = command.make_context(command.name, list(words))
    except click.exceptions.Exit:
        return
    given = {word.partition("=")[0] for word in context.params.get("parameters", context.params.get("parameter", ()))}
    if given - PARAMETERS:
        raise NotUnderstoodError(f"no pipeline has the parameter {(given - PARAMETERS).pop()!r}")


def make(words: list[str]) -> None:
    text = (ROOT / "Makefile").read_text()
    for name in (word.partition("=")[0] for word in words if "=" in word):
        if not re.search(rf"^{name} :?\??=|\$\({name}\)", text, re.MULTILINE):
            raise NotUnderstoodError(f"the Makefile has no variable {name}")
    if subprocess.run(["make", "--dry-run", *words], cwd=ROOT, capture_output=True, check=False).returncode:
        raise NotUnderstoodError(f"make does not take {' '.join(words)}")


@pytest.mark.parametrize("text", [text for text, _ in SHELL_BLOCKS], ids=[where for _, where in SHELL_BLOCKS])
def test_a_shell_block_parses_and_its_commands_are_understood(text: str) -> None:
    result = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    understand_all(text)


def test_commands_and_options_in_sentences_exist() -> None:
    seen = 0
    for span, page in code_spans():
        if re.match(r"(lus|make|python -m components|python) ", span):
            seen += 1
            try:
                understand_all(span)
            except (click.MissingParameter, click.exceptions.NoArgsIsHelpError):
                pass
            except (click.ClickException, NotUnderstoodError) as error:
                pytest.fail(f"{page}: `{span}`: {error}")
    assert seen > 20


@pytest.mark.parametrize(
    "line",
    [
        "lus runn --manifest videos.csv --storage my-storage",
        "lus runs lst",
        "lus run --manifest videos.csv",
        "lus run --manifest videos.csv --storage my-storage --backbones small",
        "lus run --manifest videos.csv --storage my-storage --epochs few",
        "lus predict scan.mp4 --storage s > out.jsonl | lus drift OLD",
        "lus submit training.yaml --wait -p manifests=videos.csv",
        "python -m components trane --help",
        "python -m components ingest --manifest videos.csv --output-folder outputs",
        "python benchmarks/shortcut.py",
        "python -m benchmarks.promotions",
        "step train train --data outputs/preprocess/dataset",
        "docker run --rm --user $(id -u) lung-ultrasound-pipeline/predict:0.1.0 predict --videoes scan.mp4",
        "NAME=value make demos",
        "make images REPOSITORY=registry.example.org",
    ],
)
def test_a_command_that_would_fail_is_told(line: str) -> None:
    with pytest.raises((click.ClickException, NotUnderstoodError)):
        understand_all(line)


def test_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    understand(["lus", "compile", "-o", "training.yaml"])
    assert list(tmp_path.iterdir()) == []
