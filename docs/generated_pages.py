"""Pages of the site that nobody writes twice: a hook of mkdocs makes them when the site is built.

index.md, contributing.md, changelog.md    README.md, CONTRIBUTING.md and CHANGELOG.md
LICENSE                                    the file
reference/lus.md, reference/steps.md       the commands, with the words of their --help
"""

import html
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from components.__main__ import main as steps
from pipelines.commands.main import main as lus

ROOT = Path(__file__).parents[1]
MOVED = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
REFERENCE = {"reference/lus.md": ("lus", lus), "reference/steps.md": ("python -m components", steps)}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages."""
    for name, page in MOVED.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / name)))
    files.append(File.generated(config, "LICENSE", abs_src_path=str(ROOT / "LICENSE")))
    for page, (name, command) in REFERENCE.items():
        files.append(File.generated(config, page, content="\n\n".join(_sections(click.Context(command, info_name=name)))))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Gives links between the root folder and docs/ the form that they have on the site."""
    markdown = markdown.replace("](docs/", "](")
    for name, page in MOVED.items():
        markdown = markdown.replace(f"](../{name}", f"]({name}").replace(f"]({name}", f"]({page}")
    return markdown


def _sections(context: click.Context) -> Iterator[str]:
    """Yields the Markdown of a command, and of those below it."""
    command, names = context.command, _names(context)
    yield f"{'#' * len(names)} {' '.join(names[1:]) or names[0]}"
    yield from _paragraphs(command.help or "")
    yield f"```text\n{' '.join((*names, *command.collect_usage_pieces(context)))}\n```"
    if command.epilog:
        title, _, example = _as_written(command.epilog).partition("\n")
        yield f"{title}\n\n```sh\n{textwrap.dedent(example)}\n```"
    records = [parameter.get_help_record(context) for parameter in command.params if isinstance(parameter, click.Option)]
    if rows := [f"| `{record[0]}` | {_escaped(record[1])} |" for record in records if record]:
        yield "\n".join(("| option | meaning |", "|---|---|", *rows))
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            if (inner := command.get_command(context, name)) and not inner.hidden:
                yield from _sections(click.Context(inner, info_name=name, parent=context))


def _names(context: click.Context) -> list[str]:
    return [*(_names(context.parent) if context.parent else ()), str(context.info_name)]


def _paragraphs(text: str) -> Iterator[str]:
    """Yields the paragraphs of a help text; one that click does not wrap is a line and a list below it."""
    for paragraph in filter(None, inspect.cleandoc(text).split("\n\n")):
        lines = _escaped(_as_written(paragraph)).splitlines()
        yield "\n".join(f"- {line.strip()}" if line.startswith(" ") else line for line in lines).replace("\n- ", "\n\n- ", 1)


def _as_written(text: str) -> str:
    """Returns text without the mark that keeps click from wrapping it."""
    return inspect.cleandoc(text).removeprefix("\b\n")


def _escaped(text: str) -> str:
    """Returns text that Markdown shows as it is, but for `code`."""
    return html.escape(text, quote=False).replace("*", "\\*").replace("|", "\\|")
