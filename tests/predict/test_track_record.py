"""What an evaluation beside a model tells of it, whole, in part, or not at all."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.predict.track_record import ABSTAIN_BELOW, Score, TrackRecord

MODEL = {
    "abstention": {"threshold": 0.42},
    "video": {"macro_f1": 0.38},
    "video_macro_f1_interval": {"low": 0.23, "high": 0.5},
    "findings": {
        "severity": {
            **{"num_videos": 60, "num_groups": 10, "scores": {"kappa": 0.1, "rank_correlation": -0.3}},
            "intervals": {"kappa": None, "rank_correlation": None},
        },
        "a_lines": {
            **{"num_videos": 66, "num_groups": 11, "scores": {"auc": 0.84, "brier": 0.2}},
            "intervals": {"auc": {"low": 0.73, "high": 0.94}, "brier": None},
        },
        "b_lines": {"num_videos": 2, "num_groups": 1, "scores": {"auc": None}, "intervals": {"auc": None}},
    },
}
EVALUATION = {
    "models": {"pruned": MODEL},
    "data_flow": {"splits": {"train": {"videos_by_class": {"covid": 96, "normal": 24}, "groups": 21}}},
    "test_set": {"sources": {"blues": {}}, "total": {"videos": 66, "groups": 11}},
}


def read(folder: Path, evaluation: Any) -> TrackRecord:
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    return TrackRecord.read(folder)


def test_the_main_score_of_each_subject_is_read(tmp_path: Path) -> None:
    record = read(tmp_path, EVALUATION)
    assert (record.abstain_below, record.num_train_videos, record.num_train_groups) == (0.42, {"covid": 96, "normal": 24}, 21)
    assert record.sources == ("blues",)
    assert record.scores == (
        Score("class", "macro-F1", 0.38, (0.23, 0.5), 66, 11),
        Score("A-lines", "AUC", 0.84, (0.73, 0.94), 66, 11),
        Score("severity", "rank correlation", -0.3, None, 60, 10),
    )


def test_patients_are_scored_by_the_rule_that_predict_tells_them_by(tmp_path: Path) -> None:
    interval = {"low": 0.68, "high": 0.94}
    rule = {
        "covid": {"auc": {"value": 0.82, "interval": interval}, "num": 12},
        "normal": {"auc": {"value": None, "interval": None}, "num": 12},
    }
    record = read(tmp_path, {**EVALUATION, "patients_by_rule": rule})
    assert record.scores[1] == Score("covid, per patient", "AUC", 0.82, (0.68, 0.94), 66, 12)
    assert len(record.scores) == 4
    assert len(read(tmp_path, {**EVALUATION, "patients_by_rule": None}).scores) == 3


@pytest.mark.parametrize("broken", [{"data_flow": {}}, {"test_set": None}, {"data_flow": {"splits": {"train": []}}}])
def test_an_evaluation_of_another_form_still_has_its_threshold(tmp_path: Path, broken: dict[str, Any]) -> None:
    assert read(tmp_path, {**EVALUATION, **broken}) == TrackRecord(0.42)


@pytest.mark.parametrize("evaluation", [{}, [], {"models": {"pruned": {"abstention": None}}}])
def test_without_an_evaluation_nothing_is_known(tmp_path: Path, evaluation: Any) -> None:
    assert read(tmp_path, evaluation) == TrackRecord(ABSTAIN_BELOW)
    assert TrackRecord.read(tmp_path / "absent") == TrackRecord()
