"""How well findings are told, against experts and against a thumbnail."""

import dataclasses
import json
import re
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
from sklearn import metrics

from components.core.models.predictions import Graded
from components.core.records.findings import NOT_STATED
from components.core.statistics.thumbnails import thumbnail_of
from components.evaluate.evaluation import CHAMPION, DENSE, PRUNED, Evaluation
from components.evaluate.findings import forecast_findings, score_findings
from components.evaluate.report import render_report
from tests.evaluate.conftest import grades_of, make_clips, make_facts

LABELS = np.repeat([0, 1, 2], (7, 9, 14))


@pytest.fixture(scope="module")
def evaluation(make_evaluation: Callable[..., Evaluation]) -> Evaluation:
    return make_evaluation(findings=True)


def test_only_videos_that_state_a_finding_count(evaluation: Evaluation) -> None:
    b_lines, severity = (evaluation.findings[PRUNED][name] for name in ("b_lines", "severity"))
    videos = evaluation.models[PRUNED].videos
    stated = {name: grades[grades != NOT_STATED] for name, grades in grades_of(LABELS).items()}
    assert (list(evaluation.findings[PRUNED]), b_lines.num_videos, b_lines.videos_by_grade) == (
        ["b_lines", "severity"],
        24,
        {"no": int((stated["b_lines"] == 0).sum()), "yes": int((stated["b_lines"] == 1).sum())},
    )
    by_video = dict(zip(videos.video_ids, videos.findings["b_lines"].expected, strict=True))
    truth = {video_id: videos.findings["b_lines"].grades[row] for row, video_id in enumerate(videos.video_ids)}
    known = [video_id for video_id, grade in truth.items() if grade != NOT_STATED]
    assert b_lines.scores["auc"] == pytest.approx(metrics.roc_auc_score([truth[v] for v in known], [by_video[v] for v in known]))
    told = videos.findings["severity"]
    expected = scipy.stats.spearmanr(told.grades[told.is_stated], told.expected[told.is_stated]).statistic
    assert severity.scores["rank_correlation"] == pytest.approx(expected)
    assert severity.intervals["rank_correlation"].low < expected < severity.intervals["rank_correlation"].high


def test_each_grade_is_a_forecast_of_at_least_that_grade(evaluation: Evaluation) -> None:
    forecasts = evaluation.forecasts[PRUNED]
    told = evaluation.models[PRUNED].videos.findings["severity"]
    assert {name: list(of) for name, of in forecasts.items()} == {"b_lines": ["yes"], "severity": ["1", "2", "3"]}
    for grade in (1, 2, 3):
        found, is_so = forecasts["severity"][str(grade)], told.grades[told.is_stated] >= grade
        probability = told.probabilities[told.is_stated, grade - 1]
        assert (found.num, found.num_so) == (24, is_so.sum())
        assert found.auc.value == pytest.approx(metrics.roc_auc_score(is_so, probability))
        assert found.brier.value == pytest.approx(metrics.brier_score_loss(is_so, probability))


def test_the_page_draws_curve_and_calibration_with_unique_ids(evaluation: Evaluation) -> None:
    page = render_report(evaluation)
    assert "ROC curve of severity ≥ 2, " in page
    assert "Calibration of B-lines: " in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_what_all_test_videos_have_is_said_instead_of_drawn(evaluation: Evaluation) -> None:
    model = evaluation.models[PRUNED]
    alike = Graded(np.where(model.videos.findings["b_lines"].is_stated, 1, NOT_STATED), model.videos.findings["b_lines"].probabilities)
    videos = dataclasses.replace(model.videos, findings={**model.videos.findings, "b_lines": alike})
    forecasts = {**evaluation.forecasts, PRUNED: forecast_findings(videos, 50, seed=0)}
    page = render_report(dataclasses.replace(evaluation, forecasts=forecasts))
    assert "B-lines is not drawn: all test videos that state it are alike." in page
    assert "All of the test videos have it, so nothing can be told apart." in page
    assert "Calibration of B-lines: " not in page


def test_patients_are_told_in_json_metrics_summary_and_page(evaluation: Evaluation) -> None:
    covid = evaluation.patients[PRUNED]["covid"]
    assert covid.auc.value == pytest.approx(evaluation.models[PRUNED].group_scores.classes[0].auc)
    stored = json.loads(evaluation.to_json())["models"][PRUNED]["patients"]["covid"]
    assert stored["difference"]["value"] == pytest.approx(covid.auc.value - covid.thumbnail.value, abs=1e-5)
    assert evaluation.metrics()["pruned_covid_patient_auc"] == pytest.approx(covid.auc.value, abs=1e-6)
    assert f"covid per patient: auc {covid.auc.value:.2f} (95 %: " in evaluation.summary()
    assert "AUC per patient" in render_report(evaluation)


def test_a_thumbnail_that_shows_it_is_as_good_and_one_that_does_not_is_not() -> None:
    videos = make_clips(1, 1.4, LABELS, findings=True).by_video()
    facts = make_facts(videos)
    rng = np.random.default_rng(0)
    noise = {video.video_id: rng.normal(size=9) for video in facts}
    shown = {video.video_id: noise[video.video_id] + 9 * (video.findings.get("b_lines") == "yes") for video in facts}
    blind, seeing = (score_findings(videos, facts, thumbnails, 300, seed=0)["b_lines"] for thumbnails in (noise, shown))
    assert blind.thumbnail < 0.75
    assert blind.difference.low > 0
    assert seeing.thumbnail > 0.9
    assert seeing.difference.low <= 0


def test_a_thumbnail_is_the_mean_of_its_cells() -> None:
    clip = np.zeros((14, 224, 224, 3), np.uint8)
    clip[:7, :14, 14:28] = 100
    cells = thumbnail_of(clip)
    assert cells.shape == (256,)
    assert {number: value for number, value in enumerate(cells) if value} == {1: 50}


def test_json_metrics_summary_and_page_say_it(evaluation: Evaluation) -> None:
    models = json.loads(evaluation.to_json())["models"]
    auc = evaluation.findings[PRUNED]["b_lines"].scores["auc"]
    assert models[PRUNED]["findings"]["b_lines"]["scores"]["auc"] == pytest.approx(auc, abs=1e-6)
    assert models[CHAMPION]["findings"] == {}
    assert evaluation.metrics()["pruned_b_lines_auc"] == pytest.approx(auc, abs=1e-6)
    assert f"b_lines: auc {auc:.2f} (95 %: " in evaluation.summary()
    page = render_report(evaluation)
    assert "B-lines" in page
    assert "The train videos state no findings" not in page


def test_a_dataset_without_findings_says_so(make_evaluation: Callable[..., Evaluation]) -> None:
    evaluation = make_evaluation()
    assert evaluation.findings[DENSE] == {}
    assert "The train videos state no findings" in render_report(evaluation)
    assert not any("severity" in name for name in evaluation.metrics())
