"""Who may import whom (the rooms of the project), read from the source, and seen in fresh interpreters where laziness matters."""

import ast
import graphlib
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

# The rooms, each with those that it may enter beside itself. What is not named here is no room, and fails the test.
CORE = {
    "errors": set(),
    "images": set(),
    "pages": set(),
    "films": set(),
    "parameters": {"errors"},
    "files": {"errors"},
    "process": {"errors", "files"},
    "storage": {"errors", "files"},
    "records": {"errors", "files", "storage"},
    "video": {"errors", "parameters", "files", "storage", "records"},
    "beam": {"errors", "files", "storage"},
    "models": {"errors", "files", "storage", "records"},
    "registry": {"errors", "storage", "models"},
    "statistics": {"errors", "records", "models"},
}
PIPELINES = {
    "": set(),  # the DAGs, and the table of resources
    "engines": {""},
    "commands": {"", "engines"},
}
# Modules of models that describe a model without loading it.
LAZY = {"classifier", "exports"}
# What a room may use beside numpy and the like.
MADE_WITH = {"video": {"cv2"}, "models": {"tensorflow", "tf_keras"}, "beam": {"apache_beam"}}


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


@pytest.mark.parametrize("path", sorted((ROOT / "components" / "core").rglob("*.py")), ids=str)
def test_a_room_of_core_knows_only_those_below_it(path: Path) -> None:
    room = path.relative_to(ROOT / "components" / "core").parts[0].removesuffix(".py")
    if room == "__init__":
        return
    steps = {f"components.{step}" for step in step_names()}
    above = {f"components.core.{other}" for other in set(CORE) - CORE[room] - {room}}
    assert offences(path, {"kfp", "pipelines"} | steps | above | HEAVY - MADE_WITH.get(room, set())) == []


@pytest.mark.parametrize("rooms", [CORE, PIPELINES], ids=["core", "pipelines"])
def test_no_two_rooms_enter_each_other(rooms: dict[str, set[str]]) -> None:
    graphlib.TopologicalSorter(rooms).prepare()  # raises CycleError


@pytest.mark.parametrize("room", [ROOT / "components", ROOT / "pipelines"], ids=lambda path: path.name)
def test_no_modules_import_each_other_in_a_circle(room: Path) -> None:
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in room.rglob("*.py")}
    graph = {name: {_module(found, modules) for found, at_top in imported(path) if at_top} - {""} for name, path in modules.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError


def _module(name: str, modules: dict[str, Path]) -> str:
    """Returns the module that an import means: what is imported, or what it is taken from."""
    candidates = (name, f"{name}.__init__", name.rpartition(".")[0], f"{name.rpartition('.')[0]}.__init__")
    return next((candidate for candidate in candidates if candidate in modules), "")


@pytest.mark.parametrize("step", step_names())
def test_the_logic_of_a_step_knows_neither_kfp_nor_another_step(step: str) -> None:
    others = {f"components.{other}" for other in step_names() if other != step} - MADE_OF.get(step, set())
    # On a cluster, kfp.dsl cannot make components of functions: whose logic reads an interface fails there alone.
    others |= {f"components.{other}.component" for other in step_names()}
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


@pytest.mark.parametrize("path", sorted((ROOT / "pipelines").rglob("*.py")), ids=str)
def test_pipelines_know_interfaces_and_core_only(path: Path) -> None:
    logic = {
        f"components.{step}.{module.stem}"
        for step in step_names()
        for module in (ROOT / "components" / step).glob("*.py")
        if module.stem not in ("component", "__init__")
    }
    assert offences(path, HEAVY | logic) == []


@pytest.mark.parametrize("path", sorted((ROOT / "pipelines").rglob("*.py")), ids=str)
def test_a_room_of_pipelines_knows_only_those_below_it(path: Path) -> None:
    """`python -m pipelines` is the one door to the commands."""
    inside = path.relative_to(ROOT / "pipelines").parts
    room = inside[0] if len(inside) > 1 else ""
    above = {f"pipelines.{other}" for other in set(PIPELINES) - PIPELINES[room] - {room, ""}}
    assert path.name == "__main__.py" or offences(path, above) == []


def loaded_after(statement: str) -> set[str]:
    code = f"import sys, json; {statement}; print(json.dumps(sorted(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return set(json.loads(output.splitlines()[-1]))


def test_importing_the_pipelines_loads_nothing_heavy() -> None:
    assert loaded_after("import pipelines.commands.main, pipelines.compile, pipelines.training, pipelines.engines.local") & HEAVY == set()


def test_importing_core_loads_neither_kfp_nor_anything_heavy() -> None:
    light = [room for room in CORE if room not in MADE_WITH]
    paths = [path for room in light for path in (ROOT / "components" / "core").glob(f"{room}*") for path in (path, *path.rglob("*.py"))]
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths if path.suffix == ".py"}
    statement = "; ".join(f"import {name}" for name in sorted(names | {f"components.core.models.{name}" for name in LAZY}))
    assert loaded_after(statement) & (HEAVY | {"kfp"}) == set()


def test_beam_workers_do_without_tensorflow() -> None:
    assert loaded_after("import components.preprocess.beam_pipeline") & {"tensorflow", "tf_keras", "kfp"} == set()
