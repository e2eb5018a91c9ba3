"""An evaluation made of plausible numbers: 30 videos of 22 groups, three classes, three models. No TensorFlow."""

from collections.abc import Callable

import numpy as np
import pytest

from components.core.champion import Comparison
from components.core.classifier import ClassifierMetadata
from components.core.predictions import Predictions
from components.evaluate.evaluation import CHAMPION, DENSE, PRUNED, Baseline, EvaluatedModel, Evaluation, TestSet
from components.evaluate.metrics import score
from components.evaluate.notes import notes_on
from components.evaluate.operating_points import abstention, operating_points

CLASS_NAMES = ["covid", "pneumonia", "normal"]
FINGERPRINT = "9f2c6d0e" * 8
VERSION = "20261101T081500Z-0a1b2c3d"


def make_clips(seed: int, skill: float, labels: np.ndarray, source: str | None = None) -> Predictions:
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
    )


def make_model(name: str, clips: Predictions, fingerprint: str = FINGERPRINT, version: str = "") -> EvaluatedModel:
    videos = clips.by_video()
    validation = make_clips(7, 1.4, np.repeat([0, 1, 2], 6)).by_video()
    return EvaluatedModel(
        name=name,
        version=version,
        metadata=ClassifierMetadata(name, CLASS_NAMES, fingerprint, "4d5e6f" * 6, {}, {} if name == DENSE else {"sparsity": 0.8}),
        model_sha256=f"{len(name):x}" * 64,
        sizes={"model_bytes": 597_000, "model_gzip_bytes": 540_000 if name == DENSE else 182_000},
        clip_scores=score(clips, CLASS_NAMES, 300),
        video_scores=score(videos, CLASS_NAMES, 300),
        group_scores=score(videos.by_group(), CLASS_NAMES, 300),
        operating_points=operating_points(validation, videos, CLASS_NAMES, 300, seed=0),
        abstention=abstention(validation, videos, CLASS_NAMES, 300, seed=0),
        clips=clips,
        videos=videos,
    )


@pytest.fixture
def make_evaluation() -> Callable[..., Evaluation]:
    def make(labels: np.ndarray | None = None, source: str | None = None, skill: float = 1.4, with_champion: bool = True) -> Evaluation:
        labels = np.repeat([0, 1, 2], [7, 9, 14]) if labels is None else labels
        models = {
            PRUNED: make_model(PRUNED, make_clips(1, skill, labels, source)),
            DENSE: make_model(DENSE, make_clips(2, skill, labels, source)),
        }
        if with_champion:
            models[CHAMPION] = make_model(CHAMPION, make_clips(3, 1.0, labels, source), fingerprint="0" * 64, version=VERSION)
        test_set = TestSet.of(models[PRUNED].clips, CLASS_NAMES)
        baseline = Baseline("normal", 41, 0.2121, 14 / 30)
        return Evaluation(
            class_names=CLASS_NAMES,
            dataset_fingerprint=FINGERPRINT,
            code_revision="0123abcd" * 5,
            num_bootstrap=300,
            seed=0,
            test_set=test_set,
            baseline=baseline,
            models=models,
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
            notes=tuple(notes_on(test_set, baseline, models, 300, FINGERPRINT)),
        )

    return make
