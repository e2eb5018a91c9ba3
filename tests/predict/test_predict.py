"""Predictions of phantom videos by a model whose weights are set by hand."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from kfp import dsl

from components.core import storage
from components.core.beam import beam_options
from components.core.errors import DataError, UsageError
from components.core.models.dataset import read_clips
from components.core.models.reference import Reference
from components.core.records import clips
from components.core.registry.champion import moved_to, set_champion
from components.core.registry.versions import model_sha256, publish_version
from components.ingest.ingest import ingest_videos
from components.predict.inputs import VideoTask, list_videos
from components.preprocess.component import preprocess
from pipelines.commands.main import main
from tests.predict.conftest import CLASS_NAMES, SAMPLING

pytestmark = pytest.mark.slow


def predict(tasks: list[VideoTask], model: str, folder: Path, storage_uri: str = "", **options: Any) -> list[dict[str, Any]]:
    from components.predict.prediction import predict_videos

    predict_videos(tasks, model, storage_uri, *(folder / name for name in ("predictions", "strips", "patients", "page")), **options)
    return [json.loads(line) for line in (folder / "predictions").read_text().splitlines()]


@pytest.fixture(scope="module")
def predicted(phantoms: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], Path]:
    """The lines for all phantoms, and the folder of their strips."""
    folder = tmp_path_factory.mktemp("predicted")
    return predict(list_videos([str(phantoms)]), str(model), folder, draw_strips=True), folder / "strips"


@pytest.fixture(scope="module")
def dataset(phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same videos as a clip dataset."""
    folder = tmp_path_factory.mktemp("dataset")
    preprocess.python_func(
        videos=ingest_videos(str(phantoms), str(folder / "storage")).videos_uri,
        storage=str(folder / "storage"),
        dataset=dsl.Dataset(uri=str(folder / "dataset")),
        dataset_report=dsl.HTML(uri=str(folder / "dataset_report")),
        metrics=dsl.Metrics(),
        num_shards=1,
        num_workers=1,
        **SAMPLING,
    )
    return folder / "dataset"


def test_a_video_is_compared_with_those_that_the_model_learnt_from(
    phantoms: Path, save_model: Callable[..., Path], dataset: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    centre, coefficients = rng.random(6), rng.normal(size=(6, 3))
    directions = np.eye(6)[:1]
    reference = Reference(centre, directions, np.array([4.0]), np.array(0.25), np.array(0.5), coefficients, np.array([0.1, 0.2, 0.3]))
    model = str(save_model(reference=reference))
    lines = {line["video_id"]: line for line in predict(list_videos([str(phantoms)]), model, tmp_path)}
    looks: dict[str, list[Any]] = {}
    for split in clips.SPLITS:
        for record in read_clips(dataset, split).as_numpy_iterator():
            cells = (record["clip"] / 255).reshape(2, 7, 4, 56, 4, 56, 3).mean(axis=(1, 3, 5)).reshape(2, 16, 3)
            look = np.concatenate([cells.mean(axis=1), cells.std(axis=1)], axis=1).mean(axis=0)
            looks.setdefault(record["video_id"].decode(), []).append(look)
    for video_id, of_clips in looks.items():
        look = np.mean(of_clips, axis=0)
        distance = np.sqrt((look - centre)[0] ** 2 / 4 + ((look - centre)[1:] ** 2).sum() / 0.25)
        assert lines[video_id]["strangeness"] == pytest.approx(distance / 0.5, abs=1e-4)
        assert list(lines[video_id]["patient_scores"].values()) == pytest.approx(look @ coefficients + [0.1, 0.2, 0.3], abs=1e-4)
    assert (lines["corrupt"]["strangeness"], lines["corrupt"]["patient_scores"]) == (None, None)
    with_beam = predict(list_videos([str(phantoms)]), model, tmp_path, beam_options="--runner=DirectRunner")
    assert with_beam == list(lines.values())


def test_a_video_gets_what_the_model_says_of_its_clips_in_the_dataset(
    predicted: tuple[list[dict[str, Any]], Path], dataset: Path, model: Path
) -> None:
    from components.core.models.classifier import load_classifier
    from components.core.models.dataset import read_clips

    classifier, _ = load_classifier(model)
    expected: dict[str, list[Any]] = {}
    for split in clips.SPLITS:
        for record in read_clips(dataset, split).as_numpy_iterator():
            expected.setdefault(record["video_id"].decode(), []).append(classifier.predict_on_batch(record["clip"][None])[0])
    lines = {line["video_id"]: line for line in predicted[0] if not line["reason"]}
    assert lines.keys() == expected.keys()
    for video_id, rows in expected.items():
        found = [[clip["probabilities"][name] for name in CLASS_NAMES] for clip in lines[video_id]["clips"]]
        np.testing.assert_allclose(found, rows, atol=2e-6)
        np.testing.assert_allclose(list(lines[video_id]["probabilities"].values()), np.mean(rows, axis=0), atol=2e-6)
    assert len({line["most_probable"] for line in lines.values()}) > 1, "the model tells videos apart"


def test_a_line_says_all_that_a_reader_needs(predicted: tuple[list[dict[str, Any]], Path], model: Path) -> None:
    line = predicted[0][0]
    assert line["model_sha256"] == model_sha256(model)
    assert line["model_version"] is None
    assert line["sector"] in ("convex", "linear")
    assert sum(line["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert line["most_probable"] == max(line["probabilities"], key=line["probabilities"].__getitem__)
    assert line["clips"][0]["start_s"] == 0
    assert line["clips"][0]["end_s"] == pytest.approx(1.3, abs=0.06)


def test_a_video_that_cannot_be_decoded_has_a_reason_and_stops_nothing(predicted: tuple[list[dict[str, Any]], Path]) -> None:
    lines, strips = predicted
    assert [line["video_id"] for line in lines if line["reason"]] == ["corrupt"]
    corrupt = lines[-1]
    assert (corrupt["reason"], corrupt["probabilities"], corrupt["abstained"], corrupt["clips"]) == (
        "a video that cannot be opened: video/mp4, cut short or damaged (Invalid data found when processing input)",
        None,
        None,
        [],
    )
    assert len(list(strips.iterdir())) == len(lines) - 1


def test_a_strip_shows_every_frame_of_every_clip(predicted: tuple[list[dict[str, Any]], Path]) -> None:
    lines, strips = predicted
    path = sorted(strips.iterdir())[0]
    assert path.name == f"00000-{lines[0]['video_id']}.png"
    height, width = cv2.imread(str(path)).shape[:2]
    assert width == clips.CLIP_FRAMES * 112
    assert height == len(lines[0]["clips"]) * (112 + 20 + 6)


def test_beam_gives_the_same_lines(phantoms: Path, model: Path, predicted: tuple[list[dict[str, Any]], Path], tmp_path: Path) -> None:
    options = {"beam_options": "--direct_num_workers=1", "draw_strips": True, "draw_pictures": True}
    lines = predict(list_videos([str(phantoms)]), str(model), tmp_path, **options)
    page = (tmp_path / "page").read_text()
    assert "The workers of a Beam runner make none" in page
    assert "<img" not in page
    assert all(line["video_id"] in page for line in lines)
    for line, direct in zip(lines, predicted[0], strict=True):
        assert _without_probabilities(line) == _without_probabilities(direct)
        for found, expected in zip([line, *line["clips"]], [direct, *direct["clips"]], strict=True):
            assert found["probabilities"] == (expected["probabilities"] and pytest.approx(expected["probabilities"], abs=2e-6))
    assert len(list((tmp_path / "strips").iterdir())) == len(lines) - 1


def test_what_workers_elsewhere_write_comes_back_through_the_storage(
    phantoms: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beam_options, "_RUNNERS_HERE", ())
    tasks, options = list_videos([str(phantoms)])[:2], {"beam_options": "--direct_num_workers=1", "draw_strips": True}
    with pytest.raises(UsageError, match="pass files through the storage, and none is given; give --storage"):
        predict(tasks, str(model), tmp_path, **options)
    (tmp_path / "predictions").write_text("of an earlier run")
    seen = []
    monkeypatch.setattr(storage, "delete_folder", lambda uri: seen.extend(content(uri)))
    lines = predict(tasks, str(model), tmp_path, str(tmp_path / "storage"), **options)
    assert [line["video_id"] for line in lines] == [task.video_id for task in tasks]
    strips = sorted(path.name for path in (tmp_path / "strips").iterdir())
    assert len(strips) == 2
    assert sorted(seen) == sorted(["predictions.jsonl", *(f"strips/{name}" for name in strips)]), "deleted at the end"


def content(uri: str) -> list[str]:
    return [path.relative_to(uri).as_posix() for path in Path(uri).rglob("*") if path.is_file()]


def test_a_video_of_many_clips_is_asked_for_in_batches(
    phantoms: Path, model: Path, predicted: tuple[list[dict[str, Any]], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.predict import prediction

    sizes = []

    def counted(classifier: Any, batch: Any, *arguments: Any) -> Any:
        sizes.append(len(batch))
        return classify(classifier, batch, *arguments)

    classify = prediction.classify
    monkeypatch.setattr(prediction, "classify", counted)
    monkeypatch.setattr(prediction, "MAX_BATCH_CLIPS", 1)
    (line,) = predict(list_videos([str(phantoms)])[:1], str(model), tmp_path)
    assert sizes == [1] * len(line["clips"])
    for found, expected in zip(line["clips"], predicted[0][0]["clips"], strict=True):
        assert found["probabilities"] == pytest.approx(expected["probabilities"], abs=2e-6)


def test_what_fails_elsewhere_is_not_told_as_an_output_that_cannot_be_written(
    phantoms: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.predict import prediction

    def fail(*_: Any) -> Any:
        raise OSError("out of processes")

    monkeypatch.setattr(prediction, "read_video", fail)
    with pytest.raises(OSError, match="out of processes"):
        predict(list_videos([str(phantoms)])[:1], str(model), tmp_path)


def _without_probabilities(line: dict[str, Any]) -> dict[str, Any]:
    return {**line, "probabilities": None, "clips": [{**clip, "probabilities": None} for clip in line["clips"]]}


@pytest.fixture
def registry(model: Path, tmp_path: Path) -> tuple[str, str]:
    """A storage whose champion has an evaluation that chose a threshold, and its version."""
    evaluation = {"models": {"pruned": {"abstention": {"threshold": 0.9999}}}}
    (tmp_path / "evaluation").write_text(json.dumps(evaluation))
    (tmp_path / "report").write_text("")
    root = str(tmp_path / "storage")
    version = publish_version(root, model, tmp_path / "evaluation", tmp_path / "report", datetime(2026, 1, 2, tzinfo=UTC))
    set_champion(root, moved_to(version, model_sha256(model), 0.5, "first", None))
    return root, version


@pytest.mark.parametrize("name", ["champion", "version"])
def test_the_champion_abstains_below_the_threshold_of_its_evaluation(
    phantoms: Path, registry: tuple[str, str], tmp_path: Path, name: str, predicted: tuple[list[dict[str, Any]], Path]
) -> None:
    root, version = registry
    lines = predict(list_videos([str(phantoms)])[:4], version if name == "version" else name, tmp_path, root)
    assert {line["model_version"] for line in lines} == {version}
    assert {line["abstain_below"] for line in lines} == {0.9999}
    assert [line["abstained"] for line in lines] == [max(line["probabilities"].values()) < 0.9999 for line in lines]
    assert {line["abstain_below"] for line in predicted[0]} == {0.5}


def test_findings_are_told_beside_the_classes(
    phantoms: Path, save_model: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import tensorflow as tf

    from components.core.models.classifier import load_classifier
    from components.core.models.dataset import decode_frames
    from components.predict import prediction

    folder = save_model(findings=True)
    listed = list_videos([str(phantoms)])
    tasks = [listed[0], dataclasses.replace(listed[-1], position=1)]
    (tmp_path / "one").mkdir()
    with caplog.at_level("INFO"):
        told, corrupt = predict(tasks, str(folder), tmp_path / "one")
    with prediction.GuardedReader() as reader:
        read = prediction.read_video(tasks[0], prediction.Sampling.of(SAMPLING), reader)
    answer = load_classifier(folder)[0].predict(np.stack([decode_frames(tf.constant(jpegs)) for jpegs in read.clips]), verbose=0)
    for number, clip in enumerate(told["clips"]):
        assert clip["findings"]["a_lines"] == {"probability": pytest.approx(answer["a_lines"][number, 0], abs=2e-6)}
        assert clip["findings"]["severity"] == {"expected": pytest.approx(answer["severity"][number].sum(), abs=2e-6)}
    assert told["findings"]["b_lines"] == {"probability": pytest.approx(answer["b_lines"].mean(), abs=2e-6)}
    assert (corrupt["findings"], corrupt["clips"]) == (None, [])
    assert f"A-lines {answer['a_lines'].mean():.2f}, B-lines {answer['b_lines'].mean():.2f}, severity " in caplog.text
    (tmp_path / "beam").mkdir()
    with_beam, _ = predict(tasks, str(folder), tmp_path / "beam", beam_options="--direct_num_workers=1")
    assert with_beam["findings"]["severity"]["expected"] == pytest.approx(told["findings"]["severity"]["expected"], abs=1e-5)


def test_a_model_that_cannot_be_used_is_one_sentence(
    phantoms: Path, save_model: Callable[..., Path], registry: tuple[str, str], tmp_path: Path
) -> None:
    tasks, (root, version) = list_videos([str(phantoms)])[:1], registry
    with pytest.raises(DataError, match="does not give 3 probabilities, all finite"):
        predict(tasks, str(save_model(float("nan"))), tmp_path)
    with pytest.raises(
        DataError, match=r"^the model .* does not give 3 probabilities, all finite, for each clip; .* \(lus champion list\)\.$"
    ):
        predict(tasks, str(save_model(float("nan"))), tmp_path, beam_options="--direct_num_workers=1")
    with pytest.raises(DataError, match="does not say how its clips were sampled"):
        predict(tasks, str(save_model(parameters={})), tmp_path)
    with pytest.raises(UsageError, match="give --storage"):
        predict(tasks, "champion", tmp_path)
    with pytest.raises(UsageError, match="there is no storage"):
        predict(tasks, "champion", tmp_path, str(tmp_path / "mistyped"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="there is no champion"):
        predict(tasks, "champion", tmp_path, str(tmp_path / "empty"))
    with pytest.raises(UsageError, match="there is no version '20200101T000000Z-00000000'"):
        predict(tasks, "20200101T000000Z-00000000", tmp_path, root)
    with pytest.raises(UsageError, match="there is no model in"):
        predict(tasks, str(tmp_path / "absent"), tmp_path)
    with pytest.raises(UsageError, match="name no runner"):
        predict(tasks, version, tmp_path, root, beam_options="--runner=NoSuchRunner")
    shutil.rmtree(Path(root) / "models" / version)
    with pytest.raises(DataError, match="is not there"):
        predict(tasks, "champion", tmp_path, root)
    assert not (tmp_path / "predictions").exists()


def test_lus_predict_prints_or_writes_the_lines(phantoms: Path, registry: tuple[str, str], tmp_path: Path) -> None:
    video = Path(list_videos([str(phantoms)])[0].uri)
    spaced = tmp_path / "a video.x" / f"it's one{video.suffix}"
    spaced.parent.mkdir()
    shutil.copyfile(video, spaced)
    printed = CliRunner().invoke(main, ["predict", str(spaced), "--storage", registry[0]], catch_exceptions=False)
    assert printed.exit_code == 0, printed.output
    (line,) = printed.stdout.splitlines()
    assert json.loads(line)["uri"] == str(spaced)
    options = ["-o", str(tmp_path / "out.jsonl"), "--strips", str(tmp_path / "strips"), "--storage", registry[0]]
    assert CliRunner().invoke(main, ["predict", str(spaced), *options]).exit_code == 0
    assert (tmp_path / "out.jsonl").read_text() == printed.stdout
    assert len(list((tmp_path / "strips").iterdir())) == 1
