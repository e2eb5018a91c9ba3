import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from components.evaluate.evaluation import Evaluation

MakeEvaluation = Callable[..., Evaluation]


def refuse_constant(name: str) -> None:
    raise AssertionError(f"{name} in JSON")


def test_the_json_has_every_number_and_no_nan(make_evaluation: MakeEvaluation) -> None:
    evaluation = make_evaluation()
    fields = json.loads(evaluation.to_json(), parse_constant=refuse_constant)

    pruned = evaluation.models["pruned"]
    stored = fields["models"]["pruned"]
    assert stored["video"]["macro_f1"] == pytest.approx(pruned.video_scores.macro_f1, abs=1e-6)
    assert stored["clip"]["num"] == 90
    assert stored["video_macro_f1_interval"]["low"] == pytest.approx(pruned.interval.low, abs=1e-6)  # type: ignore[union-attr]
    assert set(stored["video"]["classes"]) == {"covid", "pneumonia", "normal"}
    assert len(stored["videos"]) == 30
    assert sum(stored["videos"][0]["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert fields["comparison"]["champion_macro_f1"] == pytest.approx(evaluation.models["champion"].video_scores.macro_f1, abs=1e-6)
    assert fields["test_set"]["classes"]["covid"] == {"videos": 7, "groups": 5, "clips": 21}
    assert fields["bootstrap"] == {"confidence": 0.95, "num_bootstrap": 300, "seed": 0, "unit": "group"}


def test_equal_evaluations_give_equal_sorted_json(make_evaluation: MakeEvaluation) -> None:
    def sorted_throughout(value: Any) -> bool:
        if isinstance(value, dict):
            return list(value) == sorted(value) and all(map(sorted_throughout, value.values()))
        return not isinstance(value, list) or all(map(sorted_throughout, value))

    text = make_evaluation().to_json()
    assert text == make_evaluation().to_json()
    assert sorted_throughout(json.loads(text))


def test_metrics_have_flat_names_and_finite_values(make_evaluation: MakeEvaluation) -> None:
    metrics = make_evaluation().metrics()
    assert next(iter(metrics)) == "pruned_video_macro_f1"
    assert {"dense_video_macro_f1", "champion_video_macro_f1", "pruned_clip_macro_f1", "baseline_video_macro_f1"} <= set(metrics)
    assert metrics["pruned_video_macro_f1_low"] <= metrics["pruned_video_macro_f1"] <= metrics["pruned_video_macro_f1_high"]
    # Always normal, 14 of 30 videos: F1 = 2 · 14 / (14 + 30) for it, 0 for the others.
    assert metrics["baseline_video_macro_f1"] == pytest.approx(28 / 44 / 3, abs=1e-6)
    assert all(type(value) in (int, float) and math.isfinite(value) for value in metrics.values())


def test_an_absent_class_is_null_in_json_absent_in_metrics_and_said(make_evaluation: MakeEvaluation) -> None:
    evaluation = make_evaluation(counts=(0, 12, 18))
    covid = json.loads(evaluation.to_json())["models"]["pruned"]["video"]["classes"]["covid"]
    assert covid.pop("support") == 0
    assert covid.pop("intervals") == {}
    assert set(covid.values()) == {None}
    assert "pruned_video_macro_auc" not in evaluation.metrics()
    assert evaluation.roc_of_pruned() is None
    assert any("No test video is of class covid" in note for note in evaluation.notes)


def test_the_roc_curve_for_the_ui_is_covid_against_the_rest(make_evaluation: MakeEvaluation) -> None:
    evaluation = make_evaluation()
    roc = evaluation.roc_of_pruned()
    assert roc is not None
    false_positive_rates, true_positive_rates, thresholds = roc
    area = sum(
        (right - left) * (high + low) / 2
        for left, right, low, high in zip(
            false_positive_rates, false_positive_rates[1:], true_positive_rates, true_positive_rates[1:], strict=False
        )
    )
    assert area == pytest.approx(evaluation.models["pruned"].video_scores.classes[0].auc)
    assert all(0 <= threshold <= 1 for threshold in thresholds)


def test_a_score_too_good_to_be_true_is_flagged_on_real_data_only(make_evaluation: MakeEvaluation) -> None:
    real = make_evaluation(skill=9, with_champion=False).notes
    assert sum("leak" in note for note in real) == 2, "for the pruned and for the dense model"
    phantom = make_evaluation(skill=9, source="phantom", with_champion=False).notes
    assert not any("leak" in note for note in phantom)
    assert any("toy data" in note for note in phantom)


def test_a_model_that_does_not_beat_the_baseline_is_named(make_evaluation: MakeEvaluation) -> None:
    notes = make_evaluation(skill=-3).notes
    assert any("always gives the most frequent class does as well as the pruned model or better" in note for note in notes)


def test_a_thumbnail_that_tells_a_class_as_well_is_named(make_evaluation: MakeEvaluation) -> None:
    blind, seeing = make_evaluation(skill=-3), make_evaluation(skill=9, with_champion=False)
    assert sum("A thumbnail tells covid per patient as well as the pruned model or better (AUC " in note for note in blind.notes) == 1
    assert not any("thumbnail" in note for note in seeing.notes)


def test_the_summary_shows_every_model_beside_the_baseline(make_evaluation: MakeEvaluation) -> None:
    lines = make_evaluation().summary().splitlines()
    assert lines[0] == "test split: 30 videos of 20 groups, 90 clips"
    assert [line.split()[0] for line in lines[1:6]] == ["model", "pruned", "dense", "champion", "always"]
    assert lines[5].startswith("always normal  0.212")


def test_patients_are_told_by_the_rule_too_where_the_model_has_a_reference(make_evaluation: MakeEvaluation) -> None:
    without, evaluation = make_evaluation(), make_evaluation(num_strange=2)
    covid = evaluation.patients["rule"]["covid"]
    assert json.loads(evaluation.to_json())["patients_by_rule"]["covid"]["auc"]["value"] == pytest.approx(covid.auc.value, abs=1e-6)
    assert evaluation.metrics()["rule_covid_patient_auc"] == pytest.approx(covid.auc.value, abs=1e-6)
    assert f"covid per patient by the rule: auc {covid.auc.value:.2f} (95 %" in evaluation.summary()
    assert json.loads(without.to_json())["patients_by_rule"] is None
    assert "rule" not in without.summary()


def test_patients_told_too_well_to_be_true_are_named_on_real_data_only(make_evaluation: MakeEvaluation) -> None:
    told = "per patient with an AUC of"
    real = [note for note in make_evaluation(skill=9, with_champion=False, num_strange=0).notes if told in note]
    assert any(note.startswith("That the pruned model tells covid") for note in real)
    assert not any(told in note for note in make_evaluation(skill=9, source="phantom", num_strange=0).notes)
    assert not any(told in note for note in make_evaluation(skill=0.3, with_champion=False).notes)


def test_more_strange_test_videos_than_chance_gives_are_named(make_evaluation: MakeEvaluation) -> None:
    assert any(note.startswith("9 of 30 test videos are unlike the train videos") for note in make_evaluation(num_strange=9).notes)
    assert not any("unlike" in note for note in make_evaluation(num_strange=3).notes)
    assert json.loads(make_evaluation(num_strange=3).to_json())["num_strange"] == 3
