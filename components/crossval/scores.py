"""What a cross-validation found: scores over videos and over patients, and how they compare with trivial baselines. No TensorFlow."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from components.core.models.predictions import Bools, Floats, Graded, Predictions
from components.core.pages import template
from components.core.records.findings import FINDINGS, NOT_STATED
from components.core.statistics.agreement import Agreement, agreement
from components.core.statistics.bootstrap import (
    Estimate,
    Interval,
    macro_f1_over_groups,
    percentile_interval,
    sample_and_replicates,
    weighted_metrics,
)
from components.core.statistics.comparisons import PatientScore, macro_f1_difference, patient_scores, verdict

THUMBNAIL = "thumbnail and change, logistic regression"
MAJORITY = "always the most frequent class"
# How the parts are called that are set aside in turn, by what the videos are divided by.
PART_NAMES = {"fold": "fold", "source": "source", "video": "fold of videos"}


@dataclasses.dataclass(frozen=True, eq=False)
class Videos:
    """The videos of a dataset.

    Attributes:
        ids: [n]
        labels: [n]
        groups: [n]
        parts: [n], the fold or source with which each was set aside.
    """

    ids: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    parts: np.ndarray

    @property
    def num_groups(self) -> int:
        """Number of different groups."""
        return len(np.unique(self.groups))

    @property
    def num_divided_groups(self) -> int:
        """Number of groups with videos in several parts."""
        pairs = np.unique(np.stack([self.groups, self.parts]), axis=1)
        return int((np.unique(pairs[0], return_counts=True)[1] > 1).sum())

    def parts_with(self, one_class: bool) -> list[str]:
        """Returns the parts whose videos are all of one class, or the others.

        In the former nothing can be mistaken for that class, so that their macro-F1 tells little.
        """
        names = np.unique(self.parts)
        return [str(name) for name in names if (len(np.unique(self.labels[self.parts == name])) == 1) == one_class]


@dataclasses.dataclass(frozen=True)
class Score:
    """Macro-F1 over videos.

    Attributes:
        pooled: over all videos at once, mean of the repeats.
        repeats: the same of each repeat.
        low, high: 95 % percentile interval of `pooled`, from a bootstrap over groups; None without one.
        part_mean, part_deviation: over the repeats and the parts with several classes, each part by itself, over the classes that it has;
            None without such a part.
    """

    pooled: float
    repeats: tuple[float, ...]
    low: float | None
    high: float | None
    part_mean: float | None
    part_deviation: float | None


def score_of(told: Sequence[Predictions], videos: Videos, num_bootstrap: int, seed: int) -> Score:
    """Scores what is said of the videos.

    Args:
        told: in each repeat.
        videos: the same ones, with their parts.
        num_bootstrap: replicates behind the interval; one draws as many groups as there are, with replacement, and takes all their videos.
        seed: of the replicates; a replicate that lacks a class is left out.
    """
    weights = sample_and_replicates(videos.groups, num_bootstrap, seed)
    macro_f1 = np.stack([weighted_metrics(of_repeat, weights).overall["macro_f1"] for of_repeat in told])
    members = [videos.parts == part for part in videos.parts_with(one_class=False)]
    parts = [macro_f1_over_groups(of_repeat.where(rows), 0, seed)[0] for of_repeat in told for rows in members]
    interval = percentile_interval(macro_f1[:, 1:].mean(axis=0))
    low, high = (interval.low, interval.high) if interval else (None, None)
    part_mean, part_deviation = (float(np.mean(parts)), float(np.std(parts))) if parts else (None, None)
    return Score(float(macro_f1[:, 0].mean()), tuple(macro_f1[:, 0].tolist()), low, high, part_mean, part_deviation)


def _ends(interval: Interval | None) -> str:
    return f"{_two(interval.low)} to {_two(interval.high)}" if interval else "undefined"


def _two(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"


@dataclasses.dataclass(frozen=True)
class PartScore:
    """A part by itself: its videos, their groups, how many are of each class, and how many each classifier has right, by its title."""

    name: str
    num: int
    num_groups: int
    videos_by_class: dict[str, int]
    num_right: dict[str, float]


@dataclasses.dataclass(frozen=True, eq=False)
class CrossValidation:
    """Everything that was found.

    Attributes:
        divide_by: fold, source or video.
        class_names: in the order of the labels.
        parameters: of the training.
        dataset_fingerprint: of the dataset.
        videos: which were tested.
        told: what each classifier says of them in each repeat, by its title; the network's first, then what it is compared with.
        scores: by title.
        differences: by title, of the others: the macro-F1 of the network less theirs.
        patients: by class, the network beside the thumbnail.
        patients_by_rule: likewise the rule for patients (core.models.reference); empty where the backbone learns in each turn.
        findings: by name, what the network tells of them.
        untaught: by finding, the parts of which it is not scored, since what is learnt from states too little of it.
    """

    divide_by: str
    class_names: list[str]
    parameters: dict[str, Any]
    dataset_fingerprint: str
    videos: Videos
    told: dict[str, list[Predictions]]
    scores: dict[str, Score]
    differences: dict[str, Estimate]
    patients: dict[str, PatientScore]
    patients_by_rule: dict[str, PatientScore]
    findings: dict[str, Agreement]
    untaught: dict[str, tuple[str, ...]]

    @classmethod
    def of(
        cls,
        told: dict[str, list[Predictions]],
        parts: Mapping[str, str],
        by_thumbnail: Mapping[str, Floats],
        by_rule: Predictions | None,
        untaught: dict[str, tuple[str, ...]],
        divide_by: str,
        class_names: list[str],
        parameters: dict[str, Any],
        dataset_fingerprint: str,
        num_bootstrap: int,
        seed: int,
    ) -> "CrossValidation":
        """Scores what was told.

        Args:
            told: as above, each sorted by video id.
            parts: the fold or source with which each video was set aside, by its id.
            by_thumbnail: of each finding, by its name, what a thumbnail makes expect, [n].
            by_rule: what the rule for patients says of the patient of each video, if there is a rule.
            untaught: as above.
            divide_by: as above.
            class_names: as above.
            parameters: as above.
            dataset_fingerprint: as above.
            num_bootstrap: replicates behind the intervals.
            seed: of the replicates.
        """
        (title, (first, *_)), *_ = told.items()
        videos = Videos(first.video_ids, first.labels, first.groups, np.array([parts[video_id] for video_id in first.video_ids]))
        findings = {}
        for finding in (finding for finding in FINDINGS if finding.name in by_thumbnail):
            is_taught = ~np.isin(videos.parts, untaught[finding.name])
            repeats = [_only(repeat.findings[finding.name], is_taught) for repeat in told[title]]
            if repeats[0].is_stated.any():
                expected = by_thumbnail[finding.name]
                findings[finding.name] = agreement(finding, repeats, expected, videos.groups, num_bootstrap, seed)
        return cls(
            divide_by=divide_by,
            class_names=class_names,
            parameters=parameters,
            dataset_fingerprint=dataset_fingerprint,
            videos=videos,
            told=told,
            scores={name: score_of(repeats, videos, num_bootstrap, seed) for name, repeats in told.items()},
            differences={
                name: macro_f1_difference(told[title], repeats, num_bootstrap, seed) for name, repeats in told.items() if name != title
            },
            patients=patient_scores(told[title], told[THUMBNAIL][0], class_names, num_bootstrap, seed),
            patients_by_rule=patient_scores([by_rule], told[THUMBNAIL][0], class_names, num_bootstrap, seed) if by_rule else {},
            findings=findings,
            untaught={name: of_finding for name, of_finding in untaught.items() if of_finding},
        )

    @property
    def title(self) -> str:
        """Of the network."""
        return next(iter(self.told))

    @property
    def is_leaky(self) -> bool:
        """Whether groups were both learnt from and tested, so that every score is inflated."""
        return self.divide_by == "video" and self.videos.num_divided_groups > 0

    def parts(self) -> list[PartScore]:
        """Returns each part by itself; of several repeats, the mean number that is right."""
        return [self._part(name) for name in np.unique(self.videos.parts).tolist()]

    def _part(self, name: str) -> PartScore:
        rows = self.videos.parts == name
        counts = np.bincount(self.videos.labels[rows], minlength=len(self.class_names))
        return PartScore(
            name=name,
            num=int(rows.sum()),
            num_groups=len(np.unique(self.videos.groups[rows])),
            videos_by_class=dict(zip(self.class_names, counts.tolist(), strict=True)),
            num_right={
                title: float(np.mean([of_repeat.is_right[rows].sum() for of_repeat in repeats])) for title, repeats in self.told.items()
            },
        )

    def verdicts(self) -> list[str]:
        """Returns who is better, in sentences, where that is not trivial."""
        return [
            "By macro-F1 per video: " + verdict(f"“{self.title}”", f"“{name}”", of)
            for name, of in self.differences.items()
            if name != MAJORITY
        ]

    def to_json(self) -> str:
        """Returns all of it as JSON."""
        fields = {
            "class_names": self.class_names,
            "dataset_fingerprint": self.dataset_fingerprint,
            "divide_by": self.divide_by,
            "is_leaky": self.is_leaky,
            "parts_of_one_class": self.videos.parts_with(one_class=True),
            "parts": [dataclasses.asdict(part) for part in self.parts()],
            "parameters": self.parameters,
            "scores": {title: dataclasses.asdict(score) for title, score in self.scores.items()},
            "differences": {title: dataclasses.asdict(difference) for title, difference in self.differences.items()},
            "patients": {name: dataclasses.asdict(score) for name, score in self.patients.items()},
            "patients_by_rule": {name: dataclasses.asdict(score) for name, score in self.patients_by_rule.items()},
            "findings": {name: dataclasses.asdict(found) for name, found in self.findings.items()},
            "untaught": self.untaught,
            "videos": [self._video(row) for row in range(len(self.videos.ids))],
        }
        return json.dumps(fields, indent=2, ensure_ascii=False) + "\n"

    def _video(self, row: int) -> dict[str, Any]:
        """Returns what is known and told of a video, the probabilities of the network in each repeat."""
        repeats = self.told[self.title]
        fields = {
            "video_id": str(self.videos.ids[row]),
            "group": str(self.videos.groups[row]),
            PART_NAMES[self.divide_by].replace(" ", "_"): str(self.videos.parts[row]),
            "true": self.class_names[self.videos.labels[row]],
            "probabilities": _rounded(of_repeat.probabilities[row] for of_repeat in repeats),
            "compared_with": {
                title: _rounded(of_repeat.probabilities[row] for of_repeat in others)
                for title, others in self.told.items()
                if title != self.title
            },
        }
        if not repeats[0].findings:
            return fields
        grades = {name: int(graded.grades[row]) for name, graded in repeats[0].findings.items()}
        stated = {of.name: of.grades[grades[of.name]] for of in FINDINGS if grades.get(of.name, NOT_STATED) != NOT_STATED}
        told = {name: _rounded(of_repeat.findings[name].probabilities[row] for of_repeat in repeats) for name in grades}
        return {**fields, "stated": stated, "told": told}

    def markdown(self) -> str:
        """Returns the tables."""
        return template("components.crossval", "scores.md", two=_two, ends=_ends).render(
            found=self,
            part_name=PART_NAMES[self.divide_by],
            num_parts=len(np.unique(self.videos.parts)),
            num_repeats=len(self.told[self.title]),
            titles={finding.name: finding.title for finding in FINDINGS},
            left_out=self.videos.parts_with(one_class=True),
            majority=MAJORITY,
            thumbnail=THUMBNAIL,
        )

    def metrics(self) -> dict[str, float]:
        """Returns the numbers for the Kubeflow UI; inflated ones are called leaky."""
        score, difference = self.scores[self.title], self.differences[THUMBNAIL]
        numbers = {"macro_f1": score.pooled, "macro_f1_low": score.low, "macro_f1_high": score.high, "part_macro_f1": score.part_mean}
        numbers |= {"macro_f1_above_thumbnail": difference.value}
        numbers |= {f"{name}_patient_auc": of.auc.value for name, of in self.patients.items()}
        numbers |= {f"{name}_patient_auc_by_rule": of.auc.value for name, of in self.patients_by_rule.items()}
        numbers |= {f"{name}_{found.main}": found.scores[found.main] for name, found in self.findings.items()}
        numbers |= {f"baseline_{title}": other.pooled for title, other in self.scores.items() if title != self.title}
        prefix = "leaky_" if self.is_leaky else ""
        return {prefix + name.replace(" ", "_"): round(value, 6) for name, value in numbers.items() if value is not None}


def _only(graded: Graded, chosen: Bools) -> Graded:
    """Returns what is said of a finding, stated of the chosen videos only."""
    return Graded(np.where(chosen, graded.grades, NOT_STATED), graded.probabilities)


def _rounded(rows: Iterable[Floats]) -> list[list[float]]:
    return [np.round(row, 6).tolist() for row in rows]
