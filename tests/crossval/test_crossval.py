"""Who learns from whom, and what is said about it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import f1_score

from components.core.errors import DataError, UsageError
from components.core.records.shards import ClipSource
from components.crossval.crossval import MAJORITY, THUMBNAIL, cross_validate, divide
from components.crossval.scores import CrossValidation, Videos, score_of
from tests.clip_datasets import write_toy_dataset
from tests.networks import training_options

SOURCES = [
    ClipSource(f"video-{number}", "covid", f"group-{number // 2}", "ab"[number // 7], "train", 1, fold=number // 2 % 3)
    for number in range(12)
]


@pytest.mark.parametrize("divide_by", ["fold", "source"])
def test_every_video_is_tested_once_by_what_has_not_seen_its_group(divide_by: str) -> None:
    divisions = list(divide(SOURCES, divide_by))
    assert sorted(video.video_id for division in divisions for video in division.tested) == sorted(video.video_id for video in SOURCES)
    for division in divisions:
        train, held_out, tested = ({video.group for video in part} for part in (division.train, division.held_out, division.tested))
        assert all((train, held_out, tested))
        assert len(train | held_out | tested) == len(train) + len(held_out) + len(tested)


def test_the_next_fold_chooses_the_epoch() -> None:
    folds = [
        ({video.fold for video in division.tested}, {video.fold for video in division.held_out}) for division in divide(SOURCES, "fold")
    ]
    assert folds == [({0}, {1}), ({1}, {2}), ({2}, {0})]


def test_a_fold_that_lacks_a_class_does_not_choose_the_epoch() -> None:
    videos = [
        ClipSource(f"{name}-{fold}", name, f"{name}-{fold}", "a", "train", 1, fold) for name in ("covid", "normal") for fold in range(4)
    ]
    without = [video for video in videos if video.video_id != "covid-1"]
    chosen = {division.name: {video.fold for video in division.held_out} for division in divide(without, "fold")}
    assert chosen == {"fold 0": {2}, "fold 1": {2}, "fold 2": {3}, "fold 3": {0}}
    with pytest.raises(DataError, match="with fold 0 set aside, no fold can choose the epoch"):
        list(divide([video for video in without if video.video_id != "covid-3"], "fold"))


def test_a_dataset_without_folds_is_refused() -> None:
    with pytest.raises(DataError, match="has no folds; run preprocess again"):
        list(divide([ClipSource("video", "covid", "group", "a", "train", 1)], "fold"))


def test_scores_are_those_of_scikit_learn_and_the_interval_holds_them() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 20)
    videos = Videos(np.arange(60).astype(str), labels, np.repeat(np.arange(30), 2).astype(str), np.tile(["a", "b"], 30))
    predicted = np.where(rng.random((2, 60)) < 0.7, labels, rng.integers(3, size=(2, 60)))
    score = score_of(videos, predicted, num_bootstrap=300, seed=0)
    expected = [f1_score(labels, row, average="macro") for row in predicted]
    assert score.repeats == pytest.approx(expected)
    assert score.pooled == pytest.approx(np.mean(expected))
    parts = [f1_score(labels[rows], row[rows], average="macro") for row in predicted for rows in (videos.parts == "a", videos.parts == "b")]
    assert (score.part_mean, score.part_deviation) == pytest.approx((np.mean(parts), np.std(parts)))
    assert score.low is not None
    assert score.high is not None
    assert score.low < score.pooled < score.high
    assert 0.1 < score.high - score.low < 0.4


def cross_validation(parts: list[str], labels: list[int]) -> CrossValidation:
    """Two classes, every second video answered wrongly."""
    ids = np.arange(len(parts)).astype(str)
    videos = Videos(ids, np.array(labels), ids, np.array(parts))
    predicted = np.where(np.arange(len(parts)) % 2, 1 - videos.labels, videos.labels)[None]
    scores = {"model": score_of(videos, predicted, num_bootstrap=0, seed=0)}
    return CrossValidation("model", "source", ["covid", "normal"], {}, "", videos, np.eye(2)[predicted], scores)


def test_sources_of_one_class_are_left_out_of_the_mean_per_source_and_named() -> None:
    """Both classes of `a` have an F1 of one half; of `b` and `c`, with one class, half of the videos right would be 2/3."""
    found = cross_validation(["a"] * 4 + ["b"] * 2 + ["c"] * 2, [0, 0, 1, 1, 0, 0, 1, 1])
    assert (found.scores["model"].part_mean, found.scores["model"].part_deviation) == (0.5, 0.0)
    assert "The mean per source leaves out 2 of 3, whose videos are all of one class: b, c." in found.markdown()
    assert json.loads(found.to_json())["parts_of_one_class"] == ["b", "c"]


def test_without_a_source_of_several_classes_there_is_no_mean_per_source() -> None:
    found = cross_validation(["a", "a", "b", "b"], [0, 0, 1, 1])
    assert found.markdown().splitlines()[-1].endswith("| undefined |")
    assert "part_macro_f1" not in found.metrics()


def test_where_every_source_has_several_classes_nothing_is_left_out() -> None:
    assert "leaves out" not in cross_validation(["a", "a", "b", "b"], [0, 1, 0, 1]).markdown()


def test_a_gpu_that_is_required_and_absent_is_told_before_work_starts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="require_gpu is true, but TensorFlow finds no GPU here"):
        cross_validate(tmp_path / "absent", training_options(require_gpu=True))


@pytest.mark.slow
def test_toy_clips_are_cross_validated(tmp_path: Path) -> None:
    dataset, outputs = write_toy_dataset(tmp_path / "dataset", {"train": 3, "validation": 3}, findings=True), tmp_path / "outputs"
    options = [
        "--backbone",
        "small",
        "--epochs",
        "2",
        "--batch-size",
        "3",
        "--architecture",
        "cnn_lstm",
        "--num-bootstrap",
        "50",
        "--num-trials",
        "1",
    ]
    command = [sys.executable, "-m", "pipelines", "crossval", "--dataset", str(dataset), "--output-folder", str(outputs), *options]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert re.findall(r"repeat 1 of 1, (.*): \d of 6 videos right", run.stderr) == ["fold 0 (1 of 3)", "fold 1 (2 of 3)", "fold 2 (3 of 3)"]
    assert run.stderr.count("trial 1/1: learning rate 0.001") == 3, "each turn searches among its own videos, as train does"
    table = (outputs / "table").read_text()
    assert table in run.stdout
    assert [line.split(" | ")[0] for line in table.splitlines()[4:7]] == [f"| {name}" for name in ("cnn_lstm, small", MAJORITY, THUMBNAIL)]
    fields = json.loads((outputs / "scores").read_text())
    assert np.sum([video["probabilities"] for video in fields["videos"]], axis=2) == pytest.approx(np.ones((18, 1)), abs=1e-5)
    assert [video["fold"] for video in fields["videos"]] == [video["video_id"][-1] for video in fields["videos"]]
    # Classes are equally frequent in every fold, so always answering one of them is right for a third: (2 × ⅓ / (1 + ⅓)) / 3.
    assert fields["scores"][MAJORITY]["pooled"] == pytest.approx(1 / 6)
    # Of the videos with the digits 0 and 2 everything is stated.
    assert {name: score["num_videos"] for name, score in fields["findings"].items()} == {"a_lines": 12, "b_lines": 12, "severity": 12}
    by_id = {video["video_id"]: video for video in fields["videos"]}
    assert by_id["train-normal-0"]["stated"] == {"a_lines": "yes", "b_lines": "no", "severity": "0"}
    assert by_id["train-normal-1"]["stated"] == {}
    assert np.shape(by_id["train-normal-1"]["told"]["severity"]) == (1, 3)
    severity = fields["findings"]["severity"]
    expected = [np.sum(video["told"]["severity"]) for video in fields["videos"] if video["stated"]]
    assert severity["scores"]["rank_correlation"] == pytest.approx(
        scipy.stats.spearmanr([int(video["stated"]["severity"]) for video in fields["videos"] if video["stated"]], expected).statistic
    )
    assert severity["thumbnail"] > 0.9, "toy clips of a class are alike"
    assert table.splitlines()[10].startswith("| A-lines | auc | 12 | ")
