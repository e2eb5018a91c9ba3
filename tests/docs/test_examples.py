"""The examples on the pages: tables and files are read by what reads them in earnest; paths, variables and imports exist."""

import ast
import importlib
import json
import re
from pathlib import Path

import pytest

from components.core.records.manifest import read_manifest
from components.import_dicom.labels import read_labels
from pipelines.engines.cost import read_prices
from pipelines.resource_file import read_table
from pipelines.resources import KUBEFLOW
from tests.docs.pages import PAGES, ROOT, block, blocks, code_spans

FOLDERS = "components|pipelines|docker|tests|benchmarks|docs"
VARIABLE = re.compile(r"\b(?:LUS|KF)_[A-Z_]+\b")


@pytest.mark.parametrize("page", ["README.md", "docs/collect.md"])
def test_the_manifest_is_one(tmp_path: Path, page: str) -> None:
    path = tmp_path / "videos.csv"
    path.write_text(block("csv", page, "video_id"))
    first, second = read_manifest(str(path))
    assert (first.video_id, first.uri, first.class_name, first.group) == ("a-1", str(tmp_path / "videos/a-1.mp4"), "covid", "patient-7")
    assert (second.class_name, second.license) == ("normal", "CC BY-NC 4.0")


def test_the_labels_of_dicom_files_are_some(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(block("csv", "docs/dicom.md", "path,"))
    assert read_labels(str(path))


def test_the_resources_are_some(tmp_path: Path) -> None:
    path = tmp_path / "resources.yaml"
    path.write_text(block("yaml", "docs/cluster.md", "# resources"))
    table = read_table(KUBEFLOW, str(path))
    assert (table["train"].gpus, table["train"].memory, table["train"].spot) == (2, "24Gi", False)
    assert all(resources.image_pull_secrets == ("registry",) for resources in table.values())


def test_the_prices_are_some(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(block("yaml", "docs/cluster.md", "# prices"))
    assert read_prices(str(path)).gpu == {"nvidia.com/gpu": 0.70}


def test_no_example_is_left_out() -> None:
    """A block in another language needs a test of its own."""
    read = {"csv": 3, "yaml": 2, "json": 1, "python": 1}
    assert {language: len(list(blocks(language))) for language in read} == read
    languages = re.findall(r"^```(\w*)\n", "\n".join(page.read_text(encoding="utf-8") for page in PAGES), re.MULTILINE)
    assert set(filter(None, languages)) <= {"sh", "text", *read}


def test_json_is_json() -> None:
    for text, _ in blocks("json"):
        assert json.loads(text)


def test_what_python_imports_is_there() -> None:
    for text, where in blocks("python"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and node.module:
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names), where


def test_files_that_are_named_are_there() -> None:
    named = {(span, page) for span, page in code_spans() if re.fullmatch(rf"({FOLDERS})/[\w./-]*", span)}
    assert len(named) > 10
    assert sorted((span, page) for span, page in named if not (ROOT / span).exists()) == []


def test_variables_that_are_named_are_read_somewhere() -> None:
    sources = [path for folder in ("components", "pipelines", "tests") for path in (ROOT / folder).rglob("*.py") if path != Path(__file__)]
    read = {name for path in sources for name in VARIABLE.findall(path.read_text(encoding="utf-8"))}
    named = {name for page in PAGES for name in VARIABLE.findall(page.read_text(encoding="utf-8"))}
    assert len(named) > 5
    assert named - read == set()
