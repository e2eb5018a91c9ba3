"""Who learns from whom, and what is said about it."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import f1_score, roc_auc_score

from components.core.errors import DataError, UsageError
from components.core.models.predictions import Graded, Predictions
from components.core.records.findings import SEVERITY
from components.core.records.shards import ClipSource
from components.crossval.crossval import cross_validate, divide
from components.crossval.scores import MAJORITY, THUMBNAIL, CrossValidation, Videos, score_of
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


def test_videos_are_dealt_at_random_whosever_they_are_and_equally_by_the_same_seed() -> None:
    sources = [
        ClipSource(f"{number:02}", ["covid", "normal"][number // 15], f"group-{number // 5}", "a", "train", 1, number // 5 % 3)
        for number in range(30)
    ]
    divisions, again, other = (list(divide(sources, "video", seed)) for seed in (1, 1, 2))
    assert divisions == again
    assert divisions != other
    assert sorted(video.video_id for division in divisions for video in division.tested) == [video.video_id for video in sources]
    groups = {video.video_id: video.group for video in sources}
    for division in divisions:
        assert [sum(video.class_name == name for video in division.tested) for name in ("covid", "normal")] == [5, 5]
        train, held_out, tested = ({video.video_id for video in part} for part in (division.train, division.held_out, division.tested))
        assert len(train | held_out | tested) == len(train) + len(held_out) + len(tested) == 30
        assert {groups[video_id] for video_id in tested} & {groups[video_id] for video_id in train}, "that is the leak"


def test_a_turn_without_findings_states_none_and_is_the_same_otherwise() -> None:
    videos = [ClipSource(f"{number}", "covid", f"{number}", "a", "train", 1, number % 3, severity=str(number % 2)) for number in range(9)]
    division = next(divide(videos, "fold"))
    bare = division.without_findings()
    assert division.teaches(SEVERITY)
    assert not bare.teaches(SEVERITY)
    assert [video.video_id for video in bare.train] == [video.video_id for video in division.train]
    assert not any(video.severity for part in (bare.train, bare.held_out, bare.tested) for video in part)


def said(labels: np.ndarray, probabilities: np.ndarray, groups: np.ndarray | None = None) -> Predictions:
    ids = np.array([f"{number:03}" for number in range(len(labels))])
    return Predictions(labels, probabilities, ids, ids if groups is None else groups, ids)


def test_scores_are_those_of_scikit_learn_and_the_interval_holds_them() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 20)
    groups, parts = np.repeat(np.arange(30), 2).astype(str), np.tile(["a", "b"], 30)
    predicted = np.where(rng.random((2, 60)) < 0.7, labels, rng.integers(3, size=(2, 60)))
    told = [said(labels, np.eye(3)[row], groups) for row in predicted]
    score = score_of(told, Videos(told[0].video_ids, labels, groups, parts), num_bootstrap=300, seed=0)
    expected = [f1_score(labels, row, average="macro") for row in predicted]
    assert score.repeats == pytest.approx(expected)
    assert score.pooled == pytest.approx(np.mean(expected))
    by_part = [f1_score(labels[rows], row[rows], average="macro") for row in predicted for rows in (parts == "a", parts == "b")]
    assert (score.part_mean, score.part_deviation) == pytest.approx((np.mean(by_part), np.std(by_part)))
    assert score.low is not None
    assert score.high is not None
    assert score.low < score.pooled < score.high
    assert 0.1 < score.high - score.low < 0.4


def cross_validation(parts: list[str], labels: list[int], divide_by: str = "source", **changed: Any) -> CrossValidation:
    """Two classes, every second video answered wrongly by the network; the baselines always say the first class."""
    truth = np.array(labels)
    network = said(truth, np.eye(2)[np.where(np.arange(len(parts)) % 2, 1 - truth, truth)], changed.pop("groups", None))
    never = dataclasses.replace(network, probabilities=np.tile([1.0, 0.0], (len(parts), 1)))
    fields = {
        "told": {"model": [network], MAJORITY: [never], THUMBNAIL: [never]},
        "parts": dict(zip(network.video_ids.tolist(), parts, strict=True)),
        "by_thumbnail": {},
        "by_rule": None,
        "untaught": {},
        "divide_by": divide_by,
        "class_names": ["covid", "normal"],
        "parameters": {},
        "dataset_fingerprint": "",
        "num_bootstrap": 0,
        "seed": 0,
    }
    return CrossValidation.of(**{**fields, **changed})


def test_sources_of_one_class_are_left_out_of_the_mean_per_source_and_named() -> None:
    """Both classes of `a` have an F1 of one half; of `b` and `c`, with one class, half of the videos right would be 2/3."""
    found = cross_validation(["a"] * 4 + ["b"] * 2 + ["c"] * 2, [0, 0, 1, 1, 0, 0, 1, 1])
    assert (found.scores["model"].part_mean, found.scores["model"].part_deviation) == (0.5, 0.0)
    assert "The mean per source leaves out 2 of 3, whose videos are all of one class: b, c." in found.markdown()
    assert json.loads(found.to_json())["parts_of_one_class"] == ["b", "c"]


def test_without_a_source_of_several_classes_there_is_no_mean_per_source() -> None:
    found = cross_validation(["a", "a", "b", "b"], [0, 0, 1, 1])
    assert "| model | 0.50 | undefined | undefined | – |" in found.markdown().splitlines()
    assert "part_macro_f1" not in found.metrics()


def test_where_every_source_has_several_classes_nothing_is_left_out() -> None:
    assert "leaves out" not in cross_validation(["a", "a", "b", "b"], [0, 1, 0, 1]).markdown()


def test_figures_of_videos_dealt_at_random_are_called_inflated() -> None:
    groups = np.array(["a", "a", "b", "b"])
    leaky, honest = (
        cross_validation(parts, [0, 0, 1, 1], "video", groups=groups) for parts in (["0", "1", "0", "1"], ["0", "0", "1", "1"])
    )
    assert leaky.markdown().startswith("**THESE FIGURES ARE INFLATED. Videos were dealt at random, so that 2 of 2 groups (patients)")
    assert all(name.startswith("leaky_") for name in leaky.metrics())
    assert json.loads(leaky.to_json())["is_leaky"]
    assert "INFLATED" not in honest.markdown(), "no patient is on two sides"
    assert not any(name.startswith("leaky_") for name in honest.metrics())
    assert not cross_validation(["a", "b", "a", "b"], [0, 0, 1, 1], "source", groups=groups).is_leaky, "a group of two sources is left out"


def drawn_cross_validation(skill: float, num_patients: int = 40, **changed: Any) -> CrossValidation:
    """Patients of three videos, each of one class, and a network that is so much better than a thumbnail."""
    rng = np.random.default_rng(0)
    labels, groups = np.repeat(np.arange(num_patients) % 2, 3), np.repeat(np.arange(num_patients), 3).astype(str)

    def told(strength: float) -> Predictions:
        covid = 1 / (1 + np.exp(strength * (2 * labels - 1) + rng.normal(size=len(labels))))
        return said(labels, np.stack([covid, 1 - covid], axis=1), groups)

    network, thumbnail = told(skill), told(0.1)
    folds = np.char.mod("%d", np.arange(len(labels)) // 3 % 4).tolist()
    answers = {"model": [network], MAJORITY: [thumbnail], THUMBNAIL: [thumbnail]}
    return cross_validation(folds, labels.tolist(), **{"told": answers, "num_bootstrap": 300, "divide_by": "fold", **changed})


def test_only_a_difference_whose_interval_leaves_zero_out_is_called_better() -> None:
    better, alike = drawn_cross_validation(1.5), drawn_cross_validation(0.1)
    assert better.differences[THUMBNAIL].interval.low > 0
    assert f"“model” is better than “{THUMBNAIL}” by {better.differences[THUMBNAIL].value:.2f} (95 % interval" in better.markdown()
    assert f"By macro-F1 per video: neither “model” nor “{THUMBNAIL}” is shown to be better" in alike.markdown()


def test_a_training_without_findings_is_compared_and_is_no_baseline() -> None:
    told = drawn_cross_validation(1.5).told
    found = drawn_cross_validation(1.5, told={"model": told["model"], "model, without findings": told[THUMBNAIL], **told})
    metrics = found.metrics()
    assert metrics["macro_f1_above_model,_without_findings"] == metrics["macro_f1_above_thumbnail"] > 0
    assert sum(name.startswith("baseline_") for name in metrics) == 2
    assert "“model” is better than “model, without findings” by " in found.markdown()


def test_patients_are_told_beside_the_thumbnail() -> None:
    found = drawn_cross_validation(1.5)
    network, thumbnail = (found.told[title][0].probabilities[:, 0].reshape(40, 3).mean(axis=1) for title in ("model", THUMBNAIL))
    aucs = [roc_auc_score(np.arange(40) % 2 == 0, values) for values in (network, thumbnail)]
    covid = found.patients["covid"]
    assert (covid.auc.value, covid.thumbnail.value) == pytest.approx(aucs)
    assert f"| covid | network | 20 of 40 | {aucs[0]:.2f} (" in found.markdown()
    assert json.loads(found.to_json())["patients"]["covid"]["difference"]["value"] == pytest.approx(aucs[0] - aucs[1])
    assert found.metrics()["covid_patient_auc"] == pytest.approx(aucs[0], abs=1e-6)


def test_the_rule_for_patients_stands_beside_the_mean_of_the_videos() -> None:
    found = drawn_cross_validation(0.1)
    (network,) = found.told["model"]
    right = dataclasses.replace(network, probabilities=np.eye(2)[network.labels])
    found = drawn_cross_validation(0.1, by_rule=right)
    assert (found.patients_by_rule["covid"].auc.value, found.metrics()["covid_patient_auc_by_rule"]) == (1, 1)
    assert "| covid | rule | 20 of 40 | 1.00 (1.00–1.00) |" in found.markdown().replace(" to ", "–")
    assert found.patients["covid"].auc.value < 0.8


def test_a_finding_that_only_one_source_states_is_not_scored_there() -> None:
    labels = np.array([0, 0, 1, 1] * 3)
    graded = Graded(np.array([0, 1, 0, 1] * 2 + [-1] * 4), np.tile([[0.2], [0.9]], (6, 1)))
    network = dataclasses.replace(said(labels, np.eye(2)[labels]), findings={"b_lines": graded})
    told = {"model": [network], MAJORITY: [network], THUMBNAIL: [network]}
    common = {"told": told, "by_thumbnail": {"b_lines": np.zeros(12)}}
    parts = ["Hospital"] * 4 + ["Clinic"] * 4 + ["Atlas"] * 4
    some = cross_validation(parts, labels.tolist(), untaught={"b_lines": ("Hospital",)}, **common)
    assert (some.findings["b_lines"].num_videos, some.findings["b_lines"].scores["auc"]) == (4, 1.0)
    assert "Not scored in source Hospital, since the videos to learn from do not state several grades: B-lines." in some.markdown()
    none = cross_validation(parts, labels.tolist(), untaught={"b_lines": ("Hospital", "Clinic")}, **common)
    assert none.findings == {}
    assert "| Hospital | 4 | 4 | 2 | 2 | 100 % | 100 % | 100 % |" in none.markdown()


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
    # Of the videos of folds 0 and 2 everything is stated; with 2 set aside 0 chooses the epoch, and nothing can be learnt from 1.
    assert {name: score["num_videos"] for name, score in fields["findings"].items()} == {"a_lines": 6, "b_lines": 6, "severity": 6}
    assert fields["untaught"] == {name: ["2"] for name in fields["findings"]}
    by_id = {video["video_id"]: video for video in fields["videos"]}
    assert by_id["train-normal-0"]["stated"] == {"a_lines": "yes", "b_lines": "no", "severity": "0"}
    assert by_id["train-normal-1"]["stated"] == {}
    assert np.shape(by_id["train-normal-1"]["told"]["severity"]) == (1, 3)
    severity = fields["findings"]["severity"]
    scored = [video for video in fields["videos"] if video["fold"] == "0"]
    expected = [np.sum(video["told"]["severity"]) for video in scored]
    assert severity["scores"]["rank_correlation"] == pytest.approx(
        scipy.stats.spearmanr([int(video["stated"]["severity"]) for video in scored], expected).statistic
    )
    assert severity["thumbnail"] > 0.9, "toy clips of a class are alike"
    assert any(line.startswith("| A-lines | auc | 6 | ") for line in table.splitlines())
    assert "| covid | network | 6 of 18 | " in table


@pytest.mark.slow
def test_without_findings_is_trained_on_the_same_parts_and_compared(tmp_path: Path) -> None:
    dataset = write_toy_dataset(tmp_path / "dataset", {"train": 3, "validation": 3}, findings=True)
    options = training_options(architecture="cnn_lstm", epochs=1, batch_size=3)
    found = cross_validate(dataset, options, divide_by="video", num_bootstrap=50, without_findings=True)
    names = list(found.told)
    assert names == ["cnn_lstm, small", "cnn_lstm, small, without findings", MAJORITY, THUMBNAIL]
    with_findings, without = (found.told[name][0] for name in names[:2])
    assert np.abs(with_findings.probabilities - without.probabilities).max() > 1e-4, "findings are learnt in one of them only"
    expected = f1_score(with_findings.labels, with_findings.predicted, average="macro") - f1_score(
        without.labels, without.predicted, average="macro"
    )
    assert found.differences[names[1]].value == pytest.approx(expected)
    assert not found.is_leaky, "every toy video is a patient of its own"
    assert f"| {names[1]} | " in found.markdown()


def test_without_findings_needs_some(tmp_path: Path) -> None:
    dataset = write_toy_dataset(tmp_path / "dataset", {"train": 1})
    with pytest.raises(DataError, match="states no findings, so there is nothing to train without"):
        cross_validate(dataset, training_options(), without_findings=True)
