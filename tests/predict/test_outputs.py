"""Where predictions go: line by line, through links and into streams, and under names that are no text."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from components.core.errors import DataError
from components.predict import inputs
from pipelines.commands.main import main
from tests.disks import Disk

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def videos(phantoms: Path, tmp_path: Path) -> Path:
    """A folder with three videos."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for number, task in enumerate(inputs.list_videos([str(phantoms)])[:3]):
        shutil.copyfile(task.uri, folder / f"{number}.mp4")
    return folder


def predict(videos: Path, model: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["predict", str(videos), "--model", str(model), *options])


@pytest.fixture
def while_reading(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], None]], None]:
    """Does something before each video is read; gets its number."""
    from components.predict import prediction

    read = prediction.read_video

    def set_up(do: Callable[[int], None]) -> None:
        def read_then(task: Any, *arguments: Any) -> Any:
            do(task.position)
            return read(task, *arguments)

        monkeypatch.setattr(prediction, "read_video", read_then)

    return set_up


def test_each_line_is_on_the_disk_before_the_next_video_is_read(
    videos: Path, model: Path, tmp_path: Path, while_reading: Callable[..., None]
) -> None:
    seen = []
    while_reading(lambda _: seen.append([path.read_bytes().count(b"\n") for path in tmp_path.glob("out.jsonl.partial-*")]))
    result = predict(videos, model, "-o", str(tmp_path / "out.jsonl"))
    assert result.exit_code == 0, result.output
    assert seen == [[0], [1], [2]]
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 3
    assert not list(tmp_path.glob("*.partial-*"))


def test_what_was_done_before_a_failure_is_kept_and_told(
    videos: Path, model: Path, tmp_path: Path, while_reading: Callable[..., None]
) -> None:
    def fail(number: int) -> None:
        if number == 2:
            raise DataError("the machine is on fire.")

    while_reading(fail)
    result = predict(videos, model, "-o", str(tmp_path / "out.jsonl"))
    (partial,) = tmp_path.glob("out.jsonl.partial-*")
    assert result.exit_code == 1
    assert f"error: the machine is on fire; what was done before is kept in '{partial}'." in result.stderr
    assert [json.loads(line)["video_id"] for line in partial.read_text().splitlines()] == [str(videos / f"{n}.mp4") for n in (0, 1)]
    assert not (tmp_path / "out.jsonl").exists()


def test_a_link_is_written_through_and_stdout_gets_the_same_lines(videos: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("out.jsonl")
    assert predict(videos, model, "-o", str(tmp_path / "link")).exit_code == 0
    assert (tmp_path / "link").is_symlink()
    lines = (tmp_path / "out.jsonl").read_text()
    assert predict(videos, model, "-o", "/dev/stdout").stdout == lines
    assert predict(videos, model).stdout == lines


def test_a_pipe_gets_the_lines(videos: Path, model: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=subprocess.PIPE, text=True) as reader:
        assert predict(videos, model, "-o", str(tmp_path / "pipe")).exit_code == 0
        assert reader.stdout
        assert len(reader.stdout.read().splitlines()) == 3
    assert (tmp_path / "pipe").is_fifo()


def test_names_that_are_no_utf8_are_carried_through_under_another_locale(videos: Path, model: Path, tmp_path: Path) -> None:
    names = {"é.mp4".encode(), b"M\xfcller.mp4"}
    folder = os.fsencode(tmp_path) + b"/odd"
    os.mkdir(folder)
    for number, name in enumerate(sorted(names)):
        shutil.copyfile(os.fsencode(videos / f"{number}.mp4"), folder + b"/" + name)
    command = [sys.executable, "-m", "pipelines", "predict", *(folder + b"/" + name for name in sorted(names)), "--model", str(model)]
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]
    assert {os.path.basename(os.fsencode(line["uri"])) for line in lines} == names
    assert all(os.path.exists(os.fsencode(line["uri"])) for line in lines)
    assert [line["reason"] for line in lines if line["uri"].endswith("é.mp4")] == [""]
    assert done.stdout.isascii() or "é".encode() in done.stdout


def test_a_full_disk_under_the_strips_ends_the_step(videos: Path, model: Path, make_disk: Callable[..., Disk]) -> None:
    disk = make_disk(1 << 20)
    disk.fill()
    result = predict(videos, model, "--strips", str(disk.path / "strips"))
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith(f"error: the disk that holds '{disk.path}/strips' is full")
    assert disk.files() == []


@pytest.mark.parametrize("option", ["--patients", "--page"])
def test_a_file_that_cannot_be_written_is_told_before_any_video_is_read(videos: Path, model: Path, tmp_path: Path, option: str) -> None:
    (tmp_path / "file").write_text("")
    result = predict(videos, model, option, str(tmp_path / "file" / "written"), "-o", str(tmp_path / "out.jsonl"))
    assert result.exit_code == 1
    assert str(tmp_path / "file") in result.stderr.splitlines()[-1]
    assert "1 of 3" not in result.stderr
    assert not (tmp_path / "out.jsonl").exists()


def test_patients_of_a_manifest_are_told_together(phantoms: Path, model: Path, tmp_path: Path) -> None:
    """The nine videos are of nine patients; the one that cannot be decoded is a tenth."""
    result = predict(phantoms, model, "--patients", str(tmp_path / "patients.jsonl"), "-o", str(tmp_path / "out.jsonl"))
    assert result.exit_code == 0, result.output
    assert not list(tmp_path.glob("*page*")), "nobody asked for one"
    videos, patients = (
        [json.loads(line) for line in (tmp_path / name).read_text().splitlines()] for name in ("out.jsonl", "patients.jsonl")
    )
    assert [patient["videos"] for patient in patients] == [[video["video_id"]] for video in videos]
    assert [patient["patient"] for patient in patients] == [video["patient"] for video in videos]
    assert [patient["most_probable"] for patient in patients] == [video["most_probable"] for video in videos]
    assert (patients[-1]["num_predicted"], patients[-1]["probabilities"]) == (0, None)
