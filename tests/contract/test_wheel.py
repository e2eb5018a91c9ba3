"""What is installed: the rooms of the project, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    )
    for name in filter(None, tracked.stdout.decode().split("\0")):
        if (ROOT / name).exists():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_every_module_and_template_is_in_the_wheel(names: set[str]) -> None:
    expected = {
        path.relative_to(ROOT).as_posix()
        for room in ("components", "pipelines")
        for pattern in ("*.py", "*.html", "*.css", "*.csv", "*.md")
        for path in (ROOT / room).rglob(pattern)
    }
    assert expected <= names


def test_nothing_else_is_in_the_wheel(names: set[str]) -> None:
    rooms = {name.split("/")[0] for name in names}
    assert {room for room in rooms if not room.endswith(".dist-info")} == {"components", "pipelines"}
    assert not [name for name in names if name.endswith((".mp4", ".gif", ".tfrecord", ".keras"))]
