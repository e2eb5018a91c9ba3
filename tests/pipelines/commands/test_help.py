"""The help of every command of `lus` and of `python -m components`: it fits a terminal, and ends with an example that can be typed."""

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from components.__main__ import main as steps
from pipelines.commands.main import main as lus


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Yields a command and all below it, each with what is typed to call it."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child
            yield from commands(child, f"{path} {name}")


COMMANDS = dict([*commands(lus, "lus"), *commands(steps, "python -m components")])


@pytest.mark.parametrize("path", COMMANDS)
def test_help_fits_80_columns(path: str) -> None:
    text = COMMANDS[path].get_help(click.Context(COMMANDS[path], info_name=path, terminal_width=80))
    assert [line for line in text.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("path", COMMANDS)
def test_help_ends_with_an_example_that_click_takes(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    context = click.Context(COMMANDS[path], info_name=path, terminal_width=80)
    found = re.search(r"\n  Example:\n((?:    .+\n?)+)\Z", COMMANDS[path].get_help(context))
    assert found
    typed = shlex.split(found[1].replace("\\\n", " "))
    assert typed[: len(path.split())] == path.split()
    program = "lus" if path.startswith("lus") else "python -m components"
    command, rest = COMMANDS[program], typed[len(program.split()) :]
    while isinstance(command, click.Group):
        name, command, rest = command.resolve_command(click.Context(command), rest)
        assert command, name
    for parameter in command.params:
        if isinstance(parameter.type, click.Path):
            monkeypatch.setattr(parameter.type, "exists", False)  # the files of the example are not here
    command.make_context("example", rest)


@pytest.mark.parametrize("name", ["storage", "dataset", "seed", "output_folder", "output", "pipeline_root"])
def test_an_option_is_called_the_same_everywhere(name: str) -> None:
    options = [
        option for command in COMMANDS.values() for option in command.params if option.name == name and option.param_type_name == "option"
    ]
    assert options
    assert len({tuple(option.opts) for option in options}) == 1
