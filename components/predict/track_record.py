"""What the evaluation beside a model tells of it: where it abstains, how well it did, and what it learnt from. All of it may be missing."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from components.core.records.findings import FINDINGS
from components.core.registry.versions import EVALUATION_NAME

# What is less probable is left to a human, unless the evaluation of the model has chosen a threshold on its validation videos.
ABSTAIN_BELOW = 0.5


@dataclasses.dataclass(frozen=True)
class Score:
    """How well a model told something in its test videos.

    Attributes:
        subject: the class, a class by the rule for patients, or the title of a finding.
        measure: macro-F1 of the classes, AUC, or the rank correlation of a finding with more than two grades.
        value: of the measure.
        interval: ends of its 95 % interval over patients, or None where there is none.
        num_videos: test videos.
        num_groups: the patients whom they are of.
    """

    subject: str
    measure: str
    value: float
    interval: tuple[float, float] | None
    num_videos: int
    num_groups: int


@dataclasses.dataclass(frozen=True)
class TrackRecord:
    """What is known of a model.

    Attributes:
        abstain_below: a video is answered from this probability of its most probable class on.
        num_train_videos: what it learnt from, by the name of the class; empty when that is not known.
        num_train_groups: the patients whom these are of.
        sources: collections that the test videos are from.
        scores: of the classes and the findings.
    """

    abstain_below: float = ABSTAIN_BELOW
    num_train_videos: dict[str, int] = dataclasses.field(default_factory=dict)
    num_train_groups: int = 0
    sources: tuple[str, ...] = ()
    scores: tuple[Score, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> "TrackRecord":
        """Reads the evaluation in the folder of a model, as far as there is one and it can be understood."""
        try:
            evaluation = json.loads((folder / EVALUATION_NAME).read_text(encoding="utf-8"))
            record = cls(float(evaluation["models"]["pruned"]["abstention"]["threshold"]))
        except (OSError, KeyError, TypeError, ValueError):
            return cls()
        try:
            train = evaluation["data_flow"]["splits"]["train"]
            patients = evaluation.get("patients_by_rule") or {}
            return dataclasses.replace(
                record,
                num_train_videos={str(name): int(count) for name, count in train["videos_by_class"].items()},
                num_train_groups=int(train["groups"]),
                sources=tuple(map(str, evaluation["test_set"]["sources"])),
                scores=tuple(_scores(evaluation["models"]["pruned"], patients, evaluation["test_set"]["total"])),
            )
        except (AttributeError, KeyError, TypeError, ValueError):
            return record


def _scores(model: Any, patients: Any, total: Any) -> list[Score]:
    of_classes = ("class", "macro-F1", model["video"]["macro_f1"], model["video_macro_f1_interval"], total["videos"], total["groups"])
    rows = [of_classes]
    for name, found in patients.items():
        rows.append((f"{name}, per patient", "AUC", found["auc"]["value"], found["auc"]["interval"], total["videos"], found["num"]))
    for finding in FINDINGS:
        if found := model["findings"].get(finding.name):
            name, measure = ("auc", "AUC") if finding.num_thresholds == 1 else ("rank_correlation", "rank correlation")
            rows.append((finding.title, measure, found["scores"][name], found["intervals"][name], found["num_videos"], found["num_groups"]))
    return [
        Score(subject, measure, float(value), interval and (float(interval["low"]), float(interval["high"])), int(videos), int(groups))
        for subject, measure, value, interval, videos, groups in rows
        if value is not None
    ]
