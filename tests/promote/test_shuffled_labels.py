"""A model that was trained on shuffled labels is not promoted; the same model trained on the true ones is."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from components.core import clips
from components.core.champion import Comparison
from components.promote.decision import Rule
from components.promote.promote import promote_model
from tests.clip_datasets import clip_record, toy_clip, write_dataset

pytestmark = pytest.mark.slow

RULE = Rule(min_macro_f1=0.0, tolerance=0.0, max_p_value=0.05)  # no threshold: chance alone has to keep it out
VIDEOS_PER_CLASS = {"train": 6, "validation": 3, "test": 5}


def write_toys(path: Path, shuffled: bool) -> Path:
    """Writes toy videos of a clip each; shuffled labels say nothing about the pictures in train and validation, in test they are true."""
    rng = np.random.default_rng(0)
    records = {}
    for split, number in VIDEOS_PER_CLASS.items():
        records[split] = []
        for video in range(number):
            for picture in range(len(clips.CLASS_NAMES)):
                # Of the videos with one picture, every class gets as many.
                label = (picture + video) % 3 if shuffled and split != "test" else picture
                records[split].append(clip_record(toy_clip(picture, rng), label, f"{split}-{picture}-{video}"))
    return write_dataset(path, records)


def train(dataset: Path, folder: Path) -> Path:
    """Trains a small convolutional network as train does, and writes its artifact."""
    import tf_keras
    from tf_keras import layers

    from components.core.classifier import ClassifierMetadata, save_classifier
    from components.core.dataset import open_dataset
    from components.core.fitting import BestEpoch, fit_classifier, make_reproducible

    make_reproducible(0)
    clip = layers.Input((clips.CLIP_FRAMES, clips.FRAME_SIZE_PX, clips.FRAME_SIZE_PX, 3), dtype="uint8")
    maps = layers.AveragePooling3D((7, 2, 2))(layers.Rescaling(1 / 255)(clip))
    maps = layers.ReLU()(layers.Conv2D(12, 9, strides=4)(maps))
    pooled = layers.GlobalMaxPooling3D()(maps)
    model = tf_keras.Model(clip, layers.Dense(3, "softmax")(pooled))
    fit_classifier(model, dataset, BestEpoch(), epochs=25, batch_size=6, learning_rate=0.02, seed=0)
    folder.mkdir()
    metadata = ClassifierMetadata("pruned", list(clips.CLASS_NAMES), open_dataset(dataset).fingerprint, "revision", {}, {})
    save_classifier(folder, model, metadata)
    return folder


@pytest.mark.parametrize("shuffled", [True, False], ids=["shuffled", "true"])
def test_labels_must_mean_something(tmp_path: Path, shuffled: bool) -> None:
    from components.evaluate.evaluate import evaluate_models

    dataset = write_toys(tmp_path / "dataset", shuffled)
    model = train(dataset, tmp_path / "model")
    storage = str(tmp_path / "storage")
    result = evaluate_models(dataset, model, model, storage, num_bootstrap=200, batch_size=8, seed=0)
    (tmp_path / "evaluation").write_text(result.to_json())
    (tmp_path / "report").write_text("")
    promotion = promote_model(model, tmp_path / "evaluation", tmp_path / "report", storage, RULE)

    comparison = Comparison.read(tmp_path / "evaluation")
    assert promotion.decision.promoted is not shuffled, comparison
    if shuffled:
        assert comparison.chance_p_value > 0.05
        assert "may be luck" in promotion.to_markdown()
        lucky = dataclasses.replace(RULE, max_p_value=1.0)
        assert promote_model(model, tmp_path / "evaluation", tmp_path / "report", storage, lucky).decision.promoted
    else:
        assert comparison.challenger_macro_f1 > 0.8
