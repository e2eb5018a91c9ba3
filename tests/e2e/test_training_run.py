"""The whole pipeline on tiny phantoms, as a user runs it: `lus run` with kfp's SubprocessRunner."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from components.core.models.classifier import load_classifier
from components.core.records.shards import DatasetIndex
from components.core.registry.champion import read_champion
from components.core.registry.versions import version_uri
from tests.docs.sessions import session, shape, shape_without_warnings
from tests.phantom_set import tiny_phantoms

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


def lus_run(manifest: Path, storage: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipelines", "run", "--manifest", str(manifest), "--storage", str(storage), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished run: its storage, and what it printed."""
    folder = tmp_path_factory.mktemp("e2e")
    manifest = tiny_phantoms(folder)
    (folder / "phantoms" / "videos" / "corrupt.mp4").write_bytes(b"\x00\x00\x00\x18ftypmp42" + bytes(100))
    with manifest.open("a", encoding="utf-8") as file:
        file.write("corrupt,videos/corrupt.mp4,normal,corrupt,convex,phantom,CC0-1.0\n")
        file.write("absent,videos/absent.mp4,normal,absent,convex,phantom,CC0-1.0\n")
    # A threshold of 0 and a p-value of 1 promote whatever one epoch on nine videos gives.
    options = ("--backbone", "small", "--epochs", "1", "--pruning-epochs", "1", "--num-bootstrap", "20", "--num-shards", "1")
    options = (*options, "--min-macro-f1", "0", "--max-p-value", "1")
    result = lus_run(manifest, folder / "storage", *options)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder / "storage", result.stdout


def outputs(storage: Path, step: str) -> Path:
    (folder,) = (storage / "runs").glob(f"*/{step}")
    return folder


def test_every_video_is_accounted_for(run: tuple[Path, str]) -> None:
    lines = (outputs(run[0], "preprocess") / "dataset" / "videos.jsonl").read_text().splitlines()
    videos = {fields["video_id"]: fields for fields in map(json.loads, lines)}
    assert len(videos) == 11
    assert videos["corrupt"]["reason"].startswith("rejected at ingest: a video that cannot be opened: video/mp4, cut short or damaged")
    assert videos["absent"]["reason"] == "missing at ingest: file not found"
    assert {name for name, fields in videos.items() if not fields["num_clips"]} == {"corrupt", "absent"}


def test_the_champion_is_the_pruned_model_trained_on_this_dataset(run: tuple[Path, str]) -> None:
    storage, printed = run
    champion = read_champion(str(storage))
    assert champion is not None
    folder = Path(version_uri(str(storage), champion.version))
    model, metadata = load_classifier(folder)
    assert metadata.kind == "pruned"
    assert metadata.dataset_fingerprint == DatasetIndex.read(outputs(storage, "preprocess") / "dataset").fingerprint
    assert model.input_shape[1:] == (14, 224, 224, 3)
    assert {"model.keras", "metadata.json", "evaluation.json", "report.html"} <= {path.name for path in folder.iterdir()}
    assert str(folder) in printed


def test_scores_are_printed_beside_the_baseline(run: tuple[Path, str]) -> None:
    storage, printed = run
    evaluation = json.loads((outputs(storage, "evaluate") / "evaluation").read_text())
    assert f"{evaluation['models']['pruned']['video']['macro_f1']:.3f}" in printed
    assert f"majority-class baseline  {evaluation['baseline']['macro_f1']:.3f}" in printed
    assert evaluation["test_set"]["total"]["videos"] == 3


def test_reports_are_files_that_a_browser_takes_for_html(run: tuple[Path, str]) -> None:
    for name, output in (("report.html", "evaluate/report"), ("dataset_report.html", "preprocess/dataset_report")):
        (path,) = (run[0] / "runs").glob(f"*/{name}")
        assert str(path) in run[1]
        assert path.resolve().suffix == ".html", "browsers go by the name that a link points to"
        assert path.read_bytes() == (path.parent / output).read_bytes()


def test_the_log_is_readable(run: tuple[Path, str]) -> None:
    printed = run[1]
    assert "\x1b" not in printed
    assert "executor_input" not in printed


def test_a_step_is_a_line_with_its_result_and_all_fits_a_screen(run: tuple[Path, str]) -> None:
    log, *lines = run[1].splitlines()
    assert len(lines) < 40
    results = [re.fullmatch(r"(\w+) +SUCCEEDED +(?:\d+ min )?\d+ s  (.+)", line) for line in lines[: lines.index("")]]
    steps = {found[1]: found[2] for found in results if found}
    assert list(steps) == ["ingest", "preprocess", "train", "prune", "evaluate", "promote"]
    assert steps["ingest"] == "9 stored, 1 missing, 1 rejected; 9 files are new"
    index = DatasetIndex.read(outputs(run[0], "preprocess") / "dataset")
    assert f"validation {index.splits['validation'].num_clips}/3, " in steps["preprocess"]
    evaluation = json.loads((outputs(run[0], "evaluate") / "evaluation").read_text())
    assert f"macro-F1 {evaluation['models']['pruned']['video']['macro_f1']:.3f}" in steps["evaluate"]
    assert "promoted as" in steps["promote"]
    warnings = [line for line, found in zip(lines, results, strict=False) if not found]
    assert sorted(line.split(":")[1] for line in warnings) == [" absent", " corrupt"], "each once"
    path = Path(log.removeprefix("log: "))
    assert path.parent == outputs(run[0], "ingest").parent
    assert "executor_input" in path.read_text()


def test_the_documentation_shows_what_is_printed(run: tuple[Path, str]) -> None:
    assert shape(session("lus run")) == shape(run[1])
    _, of_the_run = session("make demo").split("lus run", 1)
    assert shape(of_the_run)[1:] == shape_without_warnings(run[1])


def test_the_documentation_shows_what_predict_prints(run: tuple[Path, str], tmp_path: Path) -> None:
    for name in ("scan.mp4", "folder-of-scans/left.gif"):
        (video,) = run[0].parent.glob(f"phantoms/videos/phantom-0-normal-*{Path(name).suffix}")
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(video, tmp_path / name)
    (tmp_path / "folder-of-scans" / "right.mp4").write_bytes((tmp_path / "scan.mp4").read_bytes()[:3000])
    command = [sys.executable, "-m", "pipelines", "predict", "scan.mp4", "folder-of-scans", "--storage", str(run[0])]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert len(result.stdout.splitlines()) == 3
    shown, printed = (re.sub(r": (covid|pneumonia|normal) .*", ": VERDICT", text) for text in (session("lus predict"), result.stderr))
    assert shape(shown) == shape(printed)


def test_nothing_half_written_is_left(run: tuple[Path, str]) -> None:
    assert not [path for path in run[0].rglob("*") if ".partial-" in path.name or path.name.startswith("decoded-")]
