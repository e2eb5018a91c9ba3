"""Videos to predict, and a model whose weights are set by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.core.models.classifier import ClassifierMetadata, save_classifier
from components.core.models.reference import STANDARDISED, Reference
from components.core.records import clips
from components.core.records.findings import FINDINGS
from tests.phantom_set import tiny_phantoms

CLASS_NAMES = list(clips.CLASS_NAMES)
SAMPLING = {"sampling": "window", "frames_per_second": 10.0, "max_clips_per_video": 2}


@pytest.fixture(scope="package")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest of nine videos and one that cannot be decoded."""
    manifest = tiny_phantoms(tmp_path_factory.mktemp("phantoms"))
    (manifest.parent / "videos" / "corrupt.mp4").write_bytes(b"\x00\x00\x00\x18ftypmp42" + bytes(100))
    with manifest.open("a", encoding="utf-8") as file:
        file.write("corrupt,videos/corrupt.mp4,normal,corrupt,convex,phantom,CC0-1.0\n")
    return manifest


@pytest.fixture(scope="package")
def save_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    def save(
        scale: float = 30.0, parameters: dict[str, Any] = SAMPLING, findings: bool = False, reference: Reference | None = None
    ) -> Path:
        import tf_keras
        from tf_keras import layers

        clip = layers.Input((clips.CLIP_FRAMES, clips.FRAME_SIZE_PX, clips.FRAME_SIZE_PX, 3), dtype="uint8")
        blocks = layers.AveragePooling3D((7, 56, 56))(layers.Rescaling(1 / 255)(clip))
        blocks = layers.Activation("linear", name=STANDARDISED)(blocks)
        head = layers.Dense(3, "softmax")
        features = layers.Flatten()(blocks)
        outputs = {"probabilities": head(features)}
        if findings:
            told = [layers.Dense(finding.num_thresholds, "sigmoid", name=finding.name) for finding in FINDINGS]
            outputs |= {layer.name: layer(features) for layer in told}
        model = tf_keras.Model(clip, outputs if findings else outputs["probabilities"])
        kernel = np.random.default_rng(0).normal(size=(96, 3))
        head.set_weights([scale * (kernel - kernel.mean(axis=0)), np.zeros(3)])
        folder = tmp_path_factory.mktemp("model")
        names = [finding.name for finding in FINDINGS] if findings else []
        save_classifier(folder, model, ClassifierMetadata("pruned", CLASS_NAMES, "f" * 64, "revision", {}, {}, parameters, names))
        if reference:
            reference.write(folder)
        return folder

    return save


@pytest.fixture(scope="package")
def model(save_model: Callable[..., Path]) -> Path:
    return save_model()
