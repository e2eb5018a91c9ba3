"""A video's own failure, the outside world's and the caller's are not taken for each other (components.core.errors)."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
# These hold all three kinds.
BASES = {"PipelineError", "StorageError"}
# Who catches them without raising anything, and what becomes of the error there: it is the end of a process or the text of a message.
ENDS = {
    "components/core/process.py",
    "components/core/video/guarded_reader.py",  # the child process hands it to its parent, which raises it
    "components/notify/notify.py",
    "pipelines/engines/runs.py",
}


def handlers() -> Iterator[tuple[str, ast.ExceptHandler]]:
    for folder in ("components", "pipelines"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ExceptHandler) and node.type and BASES & {getattr(name, "id", "") for name in ast.walk(node.type)}:
                    yield path.relative_to(ROOT).as_posix(), node


def test_nobody_goes_on_after_an_error_of_any_kind() -> None:
    swallowing = [
        f"{path}:{handler.lineno}"
        for path, handler in handlers()
        if path not in ENDS and not any(isinstance(node, ast.Raise) for node in ast.walk(handler))
    ]
    assert swallowing == [], "name the errors that a video may have of its own: DataError, AbsentError"


def test_the_handlers_are_found() -> None:
    assert {path for path, _ in handlers()} >= ENDS
