"""HiResCAM on models whose attribution is known, and on every kind of network that train builds."""

import numpy as np
import pytest

from components.core.errors import DataError
from components.core.models.dataset import CLIP_SHAPE

pytestmark = pytest.mark.slow


def bright_patch() -> np.ndarray:
    clips = np.full((1, *CLIP_SHAPE), 10, np.uint8)
    clips[0, 5, 32:64, 160:192] = 200
    return clips


def test_attributions_add_up_to_the_logit_of_a_linear_model() -> None:
    """Cells are averaged linearly after the map, so gradient × map is exact: its sum is the logit less the bias."""
    import tf_keras
    from tf_keras import layers

    from components.evaluate.explanation import Explainer

    clip = tf_keras.Input(CLIP_SHAPE, dtype="uint8")
    maps = layers.Conv2D(4, 32, strides=32, activation="relu")(layers.Rescaling(1 / 255)(clip))
    outputs = layers.Dense(3, "softmax", bias_initializer="ones")(layers.GlobalAveragePooling3D()(maps))
    model = tf_keras.Model(clip, outputs)
    rng = np.random.default_rng(0)
    kernel, bias = rng.random((32, 32, 3, 4)) / 3072, rng.random((4, 3))
    model.layers[2].set_weights([kernel, np.zeros(4)])
    model.layers[-1].set_weights([bias, np.ones(3)])
    clips = rng.integers(256, size=(2, *CLIP_SHAPE), dtype=np.uint8)
    attributions = Explainer(model).attributions(clips, [0, 2])
    assert attributions.shape == (2, 14, 7, 7)
    logits = np.log(model.predict_on_batch(clips))
    # All weights are positive, so nothing is cut off; a softmax hides what is common to the logits.
    other = Explainer(model).attributions(clips, [1, 1])
    differences = attributions.sum(axis=(1, 2, 3)) - other.sum(axis=(1, 2, 3))
    np.testing.assert_allclose(differences, logits[[0, 1], [0, 2]] - logits[:, 1], rtol=1e-3, atol=1e-3)


def test_the_place_and_the_frame_of_the_evidence_are_found() -> None:
    import tf_keras
    from tf_keras import layers

    from components.evaluate.explanation import Explainer

    clip = tf_keras.Input(CLIP_SHAPE, dtype="uint8")
    maps = layers.Conv2D(1, 32, strides=32, kernel_initializer="ones", use_bias=False)(layers.Rescaling(1 / 255)(clip))
    maps = layers.ReLU(threshold=1000.0)(maps)
    features = layers.Flatten()(layers.GlobalMaxPooling3D()(maps))
    model = tf_keras.Model(clip, layers.Dense(2, "softmax", kernel_initializer="ones")(features))
    attributions = Explainer(model).attributions(bright_patch(), [0])[0]
    assert np.unravel_index(attributions.argmax(), attributions.shape) == (5, 1, 5)
    assert np.count_nonzero(attributions) == 1


@pytest.mark.parametrize("architecture", ["convlstm2d", "cnn_lstm", "cnn_gru"])
@pytest.mark.parametrize("backbone", ["small", "efficientnet_lite0"])
def test_every_network_of_train_can_be_explained(architecture: str, backbone: str) -> None:
    from components.evaluate.explanation import Explainer
    from components.train.models import build_classifier

    attributions = Explainer(build_classifier(3, architecture, backbone)).attributions(bright_patch(), [1])
    assert attributions.shape == (1, 14, 7, 7)
    assert np.isfinite(attributions).all()
    assert attributions.min() >= 0
    assert attributions.max() > 0


def test_a_model_without_a_map_of_each_frame_is_named() -> None:
    import tf_keras
    from tf_keras import layers

    from components.evaluate.explanation import Explainer

    clip = tf_keras.Input(CLIP_SHAPE, dtype="uint8")
    flat = layers.Rescaling(1 / 255)(layers.Flatten()(clip))
    with pytest.raises(DataError, match="no map of each frame"):
        Explainer(tf_keras.Model(clip, layers.Dense(3, "softmax")(flat)))


def test_a_frozen_model_is_explained_like_one_that_learns() -> None:
    from components.evaluate.explanation import Explainer
    from components.train.models import build_classifier

    model = build_classifier(3, "cnn_lstm", "small")
    learning = Explainer(model).attributions(bright_patch(), [1])
    model.trainable = False
    assert np.array_equal(Explainer(model).attributions(bright_patch(), [1]), learning)
