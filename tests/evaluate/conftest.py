"""An evaluation made of plausible numbers: 30 videos of 22 groups, three classes, three models. No TensorFlow."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import pytest

from components.core.films import strip, thumbnail
from components.core.models.classifier import ClassifierMetadata
from components.core.models.predictions import Graded, Predictions
from components.core.records.findings import FINDINGS, NOT_STATED
from components.core.records.video_records import VideoSet
from components.core.registry.versions import Comparison
from components.core.statistics.comparisons import patient_scores
from components.evaluate.attention import Attention
from components.evaluate.baselines import fit_baselines
from components.evaluate.chests import severities_of_chests
from components.evaluate.data_flow import data_flow
from components.evaluate.evaluation import CHAMPION, DENSE, PRUNED, RULE, EvaluatedModel, Evaluation, Majority, TestSet
from components.evaluate.findings import forecast_findings, score_findings
from components.evaluate.illustrations import Film, Illustrations, Sample, choose_videos
from components.evaluate.metrics import score
from components.evaluate.notes import notes_on
from components.evaluate.operating_points import abstention, operating_points
from components.evaluate.slices import slice_scores
from components.evaluate.video_facts import VideoFacts

CLASS_NAMES = ["covid", "pneumonia", "normal"]
FINGERPRINT = "9f2c6d0e" * 8
ZONES = ("L1", "L2", "L3", "R1", "R2", "R3")
VERSION = "20261101T081500Z-0a1b2c3d"


def grades_of(labels: np.ndarray) -> dict[str, np.ndarray]:
    """What experts state of videos: B-lines and a severity that follow the class; nothing about every fifth video, nor of A-lines."""
    is_stated = np.arange(len(labels)) % 5 != 4
    grades = {"b_lines": (labels != 2).astype(int), "severity": 2 - labels + np.arange(len(labels)) % 2}
    return {name: np.where(is_stated, values, NOT_STATED) for name, values in grades.items()}


def make_findings(rng: np.random.Generator, labels: np.ndarray, videos: np.ndarray) -> dict[str, Graded]:
    """What a model that sees something tells of them."""
    found = {}
    for finding in FINDINGS[1:]:
        grades = grades_of(labels)[finding.name][videos]
        logits = 1.5 * (np.maximum(grades, 0)[:, None] - np.arange(finding.num_thresholds) - 0.5) + rng.normal(size=(len(videos), 1))
        found[finding.name] = Graded(grades, 1 / (1 + np.exp(-logits)))
    return found


def make_clips(seed: int, skill: float, labels: np.ndarray, source: str | None = None, findings: bool = False) -> Predictions:
    """Three clips a video; videos 3k and 3k + 1 are of one group."""
    rng = np.random.default_rng(seed)
    videos = np.repeat(np.arange(len(labels)), 3)
    logits = rng.normal(size=(len(labels), 3))[videos] + 0.4 * rng.normal(size=(len(videos), 3))
    logits[np.arange(len(videos)), labels[videos]] += skill
    exponentials = np.exp(logits)
    sources = np.array(["Butterfly", "GrepMed", "Papers", "The PocusAtlas"])[(labels + np.arange(len(labels)) // 9) % 4]
    return Predictions(
        labels=labels[videos],
        probabilities=exponentials / exponentials.sum(axis=1, keepdims=True),
        video_ids=np.array([f"{CLASS_NAMES[label]}-{number:02d}" for number, label in enumerate(labels)])[videos],
        groups=np.array([f"patient-{number - (number % 3 == 1)}" for number in range(len(labels))])[videos],
        sources=(sources if source is None else np.full(len(labels), source))[videos],
        findings=make_findings(rng, labels, videos) if findings else {},
    )


def make_model(name: str, clips: Predictions, fingerprint: str = FINGERPRINT, version: str = "") -> EvaluatedModel:
    videos = clips.by_video()
    validation = make_clips(7, 1.4, np.repeat([0, 1, 2], 6)).by_video()
    return EvaluatedModel(
        name=name,
        version=version,
        metadata=ClassifierMetadata(name, CLASS_NAMES, fingerprint, "4d5e6f" * 6, {}, {} if name == DENSE else {"sparsity": 0.8}),
        model_sha256=f"{len(name):x}" * 64,
        sizes={"bytes": 597_000, "gzip_bytes": 540_000 if name == DENSE else 182_000},
        clip_scores=score(clips, CLASS_NAMES, 300),
        video_scores=score(videos, CLASS_NAMES, 300),
        group_scores=score(videos.by_group(), CLASS_NAMES, 300),
        operating_points=operating_points(validation, videos, CLASS_NAMES, 300, seed=0),
        abstention=abstention(validation, videos, CLASS_NAMES, 300, seed=0),
        history={"epoch": [1.0, 2.0], "loss": [1.1, 0.9], "val_loss": [1.0, 1.0], "macro_f1": [0.3, 0.5], "val_macro_f1": [0.3, 0.4]},
        clips=clips,
        videos=videos,
    )


def make_facts(videos: Predictions, zones: bool = False) -> list[VideoFacts]:
    """The test videos, as many train and validation videos of other groups, and two that gave no clip; with zones, six videos a patient."""
    facts = []
    for split in ("train", "validation", "test"):
        for row, video_id in enumerate(videos.video_ids.tolist()):
            prefix = "" if split == "test" else f"{split}-"
            facts.append(
                VideoFacts(
                    video_id=prefix + video_id,
                    class_name=CLASS_NAMES[videos.labels[row]],
                    group=prefix + videos.groups[row],
                    source=str(videos.sources[row]),
                    license="CC BY-NC 4.0" if row % 3 else "CC BY 4.0",
                    split=split,
                    num_clips=3,
                    is_stored=True,
                    reason="",
                    sha256=f"{split}{row}",
                    near_duplicates=(),
                    descriptions={"probe": "convex" if row % 4 else "linear", "sex": "female" if row % 2 else "male"},
                    traits={"container": "mp4" if row % 5 else "gif", "frames per second": 20.0 + row % 3, "length in s": 1.0 + row % 9},
                    findings={
                        finding.name: finding.grades[grade]
                        for finding in FINDINGS[1:]
                        if (grade := grades_of(videos.labels)[finding.name][row]) != NOT_STATED
                    },
                    zone=ZONES[row % 6] if zones else "",
                    patient=f"{prefix}patient-{row // 6}" if zones else prefix + videos.groups[row],
                )
            )
    lost = dataclasses.replace(facts[0], split="", num_clips=0)
    facts += [
        dataclasses.replace(lost, video_id="lost", is_stored=False, reason="missing at ingest: 404"),
        dataclasses.replace(lost, video_id="short", reason="shorter than a clip"),
    ]
    return sorted(facts, key=lambda video: video.video_id)


def make_illustrations(videos: Predictions, facts: list[VideoFacts]) -> Illustrations:
    """Films and samples of noise."""
    rng = np.random.default_rng(0)
    chosen = choose_videos(videos, facts, CLASS_NAMES)
    answers = {answer.video_id: answer for answer in videos.answers(CLASS_NAMES)}

    def film(video_id: str) -> Film:
        image = strip(rng.integers(256, size=(14, 56, 56), dtype=np.uint8), [rng.random((14, 7, 7), np.float32)])
        return Film(answers[video_id], image)

    frame = thumbnail(rng.integers(256, size=(56, 56), dtype=np.uint8))
    by_id = {video.video_id: video for video in facts}
    samples = tuple(Sample(by_id[video_id], frame) for video_id in chosen.samples)
    return Illustrations(tuple(map(film, chosen.mistakes)), tuple(map(film, chosen.sure)), samples)


@pytest.fixture(scope="session")
def make_evaluation() -> Callable[..., Evaluation]:
    """A function that makes an evaluation, once for every set of arguments; `counts` are the test videos of each class."""

    @functools.cache
    def make(
        counts: tuple[int, int, int] = (7, 9, 14),
        source: str | None = None,
        skill: float = 1.4,
        with_champion: bool = True,
        findings: bool = False,
        zones: bool = False,
        num_strange: int | None = None,
    ) -> Evaluation:
        labels = np.repeat([0, 1, 2], counts)
        models = {
            PRUNED: make_model(PRUNED, make_clips(1, skill, labels, source, findings)),
            DENSE: make_model(DENSE, make_clips(2, skill, labels, source, findings)),
        }
        if with_champion:
            models[CHAMPION] = make_model(CHAMPION, make_clips(3, 1.0, labels, source), fingerprint="0" * 64, version=VERSION)
        test_set = TestSet.of(models[PRUNED].clips, CLASS_NAMES)
        videos = models[PRUNED].videos
        facts = make_facts(videos, zones)
        rng = np.random.default_rng(0)
        borders, thumbnails = ({video.video_id: rng.normal(size=4) for video in facts} for _ in range(2))
        baselines = fit_baselines(facts, borders, CLASS_NAMES, 100, seed=0)
        baseline = Majority.of(baselines)
        thumbnail_answers = make_clips(9, 0.3, labels, source).by_video()
        patients = {name: patient_scores([model.videos], thumbnail_answers, CLASS_NAMES, 300, seed=0) for name, model in models.items()}
        if num_strange is not None:  # the pruned model has a reference
            ruled = make_clips(4, 2.0, labels, source).by_video()
            patients[RULE] = patient_scores([ruled], thumbnail_answers, CLASS_NAMES, 300, seed=0)
        flow = data_flow(facts, CLASS_NAMES)
        return Evaluation(
            class_names=CLASS_NAMES,
            dataset_fingerprint=FINGERPRINT,
            listed_videos=VideoSet("beef", 24),
            code_revision="0123abcd" * 5,
            num_bootstrap=300,
            seed=0,
            test_set=test_set,
            baseline=baseline,
            baselines=baselines,
            slices=slice_scores(videos, facts, CLASS_NAMES, 100, seed=0),
            flow=flow,
            attention=Attention(12, 0.21, 0.27, 0.05, 0.07),
            illustrations=make_illustrations(videos, facts),
            models=models,
            findings={name: score_findings(model.videos, facts, thumbnails, 300, seed=0) for name, model in models.items()},
            forecasts={name: forecast_findings(model.videos, 300, seed=0) for name, model in models.items()},
            patients=patients,
            num_strange=num_strange,
            chests=severities_of_chests(videos, facts, 300, seed=0),
            comparison=Comparison(
                models[PRUNED].model_sha256,
                models[PRUNED].video_scores.macro_f1,
                challenger_interval=(0.5, 0.8),
                chance_p_value=0.0005,
                majority_macro_f1=baseline.macro_f1,
                champion_version=VERSION if with_champion else None,
                champion_macro_f1=models[CHAMPION].video_scores.macro_f1 if with_champion else None,
                difference_interval=(-0.1, 0.2) if with_champion else None,
                remark="",
            ),
            notes=tuple(notes_on(test_set, baselines, flow, models, patients, num_strange, 300, FINGERPRINT)),
        )

    return make
