"""Who may import whom (the rooms of the project), read from the source, and seen in fresh interpreters where laziness matters."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.command_line import step_names

ROOT = Path(__file__).parents[2]
HEAVY = {"tensorflow", "tf_keras", "apache_beam", "cv2"}
# The one step that is made of another: it trains as train does, many times.
MADE_OF = {"crossval": {"components.train"}}
# Rooms of core that are made of TensorFlow or of Beam; only steps that need it import them.
BEAM_ROOMS = {"beam_options", "dask_runner"}
TENSORFLOW_ROOMS = {"dataset", "augmentation", "features", "fitting", "tensorflow_startup", "classifier", "exports", "model_files"}


def imported(path: Path) -> Iterator[tuple[str, bool]]:
    """Yields the modules that a file imports, and whether at its top level."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((f"{node.module}.{alias.name}", id(node) in top) for alias in node.names)


def offences(path: Path, forbidden: set[str], top_only: bool = False) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {module}"
        for module, at_top in imported(path)
        if (at_top or not top_only) and any(module == name or module.startswith(f"{name}.") for name in forbidden)
    ]


@pytest.mark.parametrize("path", sorted((ROOT / "components" / "core").glob("*.py")), ids=lambda path: path.stem)
def test_core_knows_neither_kfp_nor_a_step(path: Path) -> None:
    steps = {f"components.{step}" for step in step_names()}
    assert offences(path, {"kfp", "pipelines"} | steps) == []
    if path.stem not in TENSORFLOW_ROOMS:
        assert offences(path, HEAVY - ({"apache_beam"} if path.stem in BEAM_ROOMS else set())) == []


def test_reading_videos_needs_opencv_and_nothing_heavier() -> None:
    for path in (ROOT / "components" / "core" / "video").glob("*.py"):
        assert offences(path, {"kfp", "pipelines"} | {f"components.{step}" for step in step_names()} | HEAVY - {"cv2"}) == []


@pytest.mark.parametrize("step", step_names())
def test_the_logic_of_a_step_knows_neither_kfp_nor_another_step(step: str) -> None:
    others = {f"components.{other}" for other in step_names() if other != step} - MADE_OF.get(step, set())
    for path in (ROOT / "components" / step).rglob("*.py"):
        allowed_kfp = {"kfp"} if path.name != "component.py" else set()
        assert offences(path, allowed_kfp | {"pipelines"} | others) == []
        # Where kfp runs a step, kfp.dsl has no `component`: an interface cannot be imported there.
        assert offences(path, {f"components.{step}.component"}, top_only=True) == []


@pytest.mark.parametrize("step", step_names())
def test_an_interface_imports_its_logic_only_when_it_runs(step: str) -> None:
    path = ROOT / "components" / step / "component.py"
    modules = {module for module, at_top in imported(path) if at_top}
    assert modules == {"kfp.dsl", "components.core.images"}


@pytest.mark.parametrize("path", sorted((ROOT / "pipelines").glob("*.py")), ids=lambda path: path.stem)
def test_pipelines_know_interfaces_and_core_only(path: Path) -> None:
    logic = {
        f"components.{step}.{module.stem}"
        for step in step_names()
        for module in (ROOT / "components" / step).glob("*.py")
        if module.stem not in ("component", "__init__")
    }
    assert offences(path, HEAVY | logic) == []


def loaded_after(statement: str) -> set[str]:
    code = f"import sys, json; {statement}; print(json.dumps(sorted(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return set(json.loads(output.splitlines()[-1]))


def test_importing_the_pipelines_loads_nothing_heavy() -> None:
    assert loaded_after("import pipelines.cli, pipelines.compile, pipelines.training, pipelines.local") & HEAVY == set()


def test_importing_core_loads_neither_kfp_nor_anything_heavy() -> None:
    rooms = [
        path.stem
        for path in (ROOT / "components" / "core").glob("*.py")
        if path.stem not in TENSORFLOW_ROOMS - {"classifier", "exports"} | BEAM_ROOMS
    ]
    statement = "; ".join(f"import components.core.{room}" for room in rooms if room != "__init__")
    assert loaded_after(statement) & (HEAVY | {"kfp"}) == set()


def test_beam_workers_do_without_tensorflow() -> None:
    assert loaded_after("import components.preprocess.beam_pipeline") & {"tensorflow", "tf_keras", "kfp"} == set()
