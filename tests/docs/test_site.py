"""The site as `make docs` builds it: every link and anchor is right, it needs no network, and every command is in the reference."""

import html
import logging
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort

from components.__main__ import main as steps
from pipelines.commands.main import main as lus
from tests.docs.pages import ROOT


def build_site(root: Path, destination: Path) -> Path:
    build(load_config(str(root / "mkdocs.yml"), site_dir=str(destination), strict=True))
    return destination


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_site(ROOT, tmp_path_factory.mktemp("site"))


def options(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            yield from parameter.opts
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            if inner := command.get_command(context, name):
                yield name
                yield from options(inner)


@pytest.mark.parametrize(("page", "command"), [("lus", lus), ("steps", steps)])
def test_the_reference_has_every_command_and_option(site: Path, page: str, command: click.Command) -> None:
    text = html.unescape(re.sub(r"<[^>]+>", " ", (site / "reference" / f"{page}.html").read_text(encoding="utf-8")))
    words = set(re.findall(r"[\w-]+", text))
    expected = set(options(command))
    assert len(expected) > 30
    assert expected - words == set()


def test_no_page_fetches_anything(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        fetched = re.findall(r"<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=\"?([^\" >]+)", page.read_text(encoding="utf-8"))
        assert [address for address in fetched if re.match(r"(https?:)?//", address)] == []


def test_a_wrong_link_or_anchor_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = tmp_path / "source"
    shutil.copytree(ROOT / "docs", source / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "mkdocs.yml"):
        shutil.copy(ROOT / name, source)
    wrong = {
        "README.md": "[a](docs/colect.md)",
        "CONTRIBUTING.md": "[b](CHANGE.md)",
        "docs/develop.md": "[c](cluster.md#resorces) ![d](images/none.png)",
    }
    for name, text in wrong.items():
        with (source / name).open("a") as page:
            page.write(f"\n{text}\n")
    with caplog.at_level(logging.WARNING, logger="mkdocs"), pytest.raises(Abort, match="4 warnings"):
        build_site(source, tmp_path / "site")
    assert all(target in caplog.text for target in ("colect.md", "CHANGE.md", "#resorces", "images/none.png"))


def test_the_readme_is_short_and_says_first_what_it_is_not_for() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 180
    assert any("Research and education only" in line for line in lines[:10])
