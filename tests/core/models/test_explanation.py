"""HiResCAM on models whose attribution is known, and on every kind of network that train builds."""

from typing import Any

import numpy as np
import pytest

from components.core.errors import DataError
from components.core.models.dataset import CLIP_SHAPE
from components.core.models.heads import CLASSES
from components.core.records.findings import FINDINGS

pytestmark = pytest.mark.slow


def bright_patch(frame: int = 5) -> np.ndarray:
    clips = np.full((1, *CLIP_SHAPE), 10, np.uint8)
    clips[0, frame, 32:64, 160:192] = 200
    return clips


def linear_model(**heads: Any) -> Any:
    """A network whose cells are averaged linearly after the map, so that gradient × map is exact: its sum is the logit less the bias."""
    import tf_keras
    from tf_keras import layers

    clip = tf_keras.Input(CLIP_SHAPE, dtype="uint8")
    maps = layers.Conv2D(4, 32, strides=32, activation="relu", kernel_initializer="ones")(layers.Rescaling(1 / 255 / 3072)(clip))
    features = layers.GlobalAveragePooling3D()(maps)
    return tf_keras.Model(clip, {name: head(features) for name, head in heads.items()})


def noise(num: int) -> np.ndarray:
    return np.random.default_rng(0).integers(256, size=(num, *CLIP_SHAPE), dtype=np.uint8)


def test_attributions_add_up_to_the_logit_of_a_class() -> None:
    from tf_keras import layers

    from components.core.models.explanation import Explainer

    model = linear_model(**{CLASSES: layers.Dense(3, "softmax", bias_initializer="ones")})
    model.layers[-1].set_weights([np.random.default_rng(0).random((4, 3)), np.ones(3)])
    clips = noise(5)
    labels = [0, 2, 0, 2, 2]
    attributions = Explainer(model).attributions(clips, {CLASSES: labels})[CLASSES]
    assert attributions.shape == (5, 14, 7, 7)
    logits = np.log(model.predict_on_batch(clips)[CLASSES])
    # All weights are positive, so nothing is cut off; a softmax hides what is common to the logits.
    other = Explainer(model).attributions(clips, {CLASSES: [1] * 5})[CLASSES]
    differences = attributions.sum(axis=(1, 2, 3)) - other.sum(axis=(1, 2, 3))
    np.testing.assert_allclose(differences, logits[range(5), labels] - logits[:, 1], rtol=1e-3, atol=1e-3)


def test_attributions_add_up_to_the_logits_of_a_finding() -> None:
    from tf_keras import layers

    from components.core.models.explanation import Explainer

    told = {finding.name: layers.Dense(finding.num_thresholds, "sigmoid", kernel_initializer="ones") for finding in FINDINGS}
    model = linear_model(**{CLASSES: layers.Dense(3, "softmax")}, **told)
    clips = noise(2)
    attributions = Explainer(model).attributions(clips, dict.fromkeys(told))
    probabilities = model.predict_on_batch(clips)
    for finding in FINDINGS:
        of = probabilities[finding.name]
        expected = np.log(of / (1 - of)).sum(axis=1)
        np.testing.assert_allclose(attributions[finding.name].sum(axis=(1, 2, 3)), expected, rtol=1e-4)


def test_what_lowers_a_finding_is_no_evidence_for_it() -> None:
    from tf_keras import layers

    from components.core.models.explanation import Explainer

    lowered = layers.Dense(1, "sigmoid", kernel_initializer=_constant(-1))
    model = linear_model(**{CLASSES: layers.Dense(3, "softmax"), "a_lines": lowered})
    assert not Explainer(model).attributions(noise(1), {"a_lines": None})["a_lines"].any()


def _constant(value: float) -> Any:
    import tf_keras

    return tf_keras.initializers.Constant(value)


def test_the_place_and_the_frame_of_the_evidence_are_found() -> None:
    import tf_keras
    from tf_keras import layers

    from components.core.models.explanation import Explainer

    clip = tf_keras.Input(CLIP_SHAPE, dtype="uint8")
    maps = layers.Conv2D(1, 32, strides=32, kernel_initializer="ones", use_bias=False)(layers.Rescaling(1 / 255)(clip))
    maps = layers.ReLU(threshold=1000.0)(maps)
    features = layers.Flatten()(layers.GlobalMaxPooling3D()(maps))
    model = tf_keras.Model(clip, layers.Dense(2, "softmax", kernel_initializer="ones")(features))
    attributions = Explainer(model).attributions(bright_patch(), {CLASSES: [0]})[CLASSES][0]
    assert np.unravel_index(attributions.argmax(), attributions.shape) == (5, 1, 5)
    assert np.count_nonzero(attributions) == 1


def three_images(pooling: Any) -> Any:
    """A network that makes images of several frames by a pooling over time, and standardises what it sees in them."""
    import tf_keras
    from tf_keras import layers

    clip = tf_keras.Input(CLIP_SHAPE, dtype="uint8")
    flat = layers.Reshape((14, 224 * 224, 3))(layers.Rescaling(1 / 255)(clip))
    images = layers.Reshape((-1, 224, 224, 3))(pooling(flat))
    maps = layers.Conv2D(1, 32, strides=32, kernel_initializer="ones", bias_initializer=_constant(-1000))(images)
    maps = layers.BatchNormalization(name="standardised")(layers.ReLU()(maps))
    features = layers.Flatten()(layers.GlobalAveragePooling3D()(maps))
    outputs = {CLASSES: layers.Dense(3, "softmax")(features), "b_lines": layers.Dense(1, "sigmoid", kernel_initializer="ones")(features)}
    return tf_keras.Model(clip, outputs)


@pytest.mark.parametrize(("frame", "steps"), [(1, [0]), (5, [0, 1]), (13, [2])])
def test_steps_that_see_several_frames_say_which(frame: int, steps: list[int]) -> None:
    from tf_keras import layers

    from components.core.models.explanation import Explainer, over_frames

    explainer = Explainer(three_images(layers.MaxPooling2D((6, 1), strides=(4, 1))))
    assert explainer.windows == ((0, 6), (4, 10), (8, 14))
    attributions = explainer.attributions(bright_patch(frame), {"b_lines": None})["b_lines"]
    assert attributions.shape == (1, 3, 7, 7)
    assert [tuple(place) for place in np.argwhere(attributions)] == [(0, step, 1, 5) for step in steps]
    assert over_frames(attributions, explainer.windows)[0, frame, 1, 5] > 0


def test_frames_take_the_mean_of_the_steps_that_have_seen_them() -> None:
    from components.core.models.explanation import over_frames

    steps = np.array([1, 3, 8], np.float32)[None, :, None, None]
    frames = over_frames(steps, ((0, 6), (4, 10), (8, 14)))
    np.testing.assert_allclose(frames.ravel(), [1, 1, 1, 1, 2, 2, 3, 3, 5.5, 5.5, 8, 8, 8, 8])
    np.testing.assert_allclose(over_frames(steps[:, :2], ((0, 6), (6, 12))).ravel(), [1] * 6 + [3] * 6 + [0] * 2)
    one_a_frame = np.random.default_rng(0).random((2, 14, 3, 5), np.float32)
    assert np.array_equal(over_frames(one_a_frame, tuple((frame, frame + 1) for frame in range(14))), one_a_frame)


def test_steps_of_unknown_origin_share_the_clip_evenly() -> None:
    import tf_keras
    from tf_keras import layers

    from components.core.models.explanation import Explainer

    clip = tf_keras.Input(CLIP_SHAPE, dtype="uint8")
    maps = layers.Conv3D(2, (8, 32, 32), strides=(3, 32, 32))(layers.Rescaling(1 / 255)(clip))
    outputs = layers.Dense(3, "softmax")(layers.GlobalAveragePooling3D()(maps))
    assert Explainer(tf_keras.Model(clip, outputs)).windows == ((0, 5), (4, 10), (9, 14))


@pytest.mark.parametrize("architecture", ["convlstm2d", "cnn_lstm", "cnn_gru"])
@pytest.mark.parametrize("backbone", ["small", "efficientnet_lite0"])
def test_every_network_of_train_can_be_explained(architecture: str, backbone: str) -> None:
    from components.core.models.explanation import Explainer, over_frames
    from components.train.models import build_classifier

    explainer = Explainer(build_classifier(3, architecture, backbone, findings=FINDINGS))
    assert {frame for first, end in explainer.windows for frame in range(first, end)} == set(range(14))
    told = explainer.attributions(bright_patch(), {CLASSES: [1], **dict.fromkeys(finding.name for finding in FINDINGS)})
    for attributions in told.values():
        frames = over_frames(attributions, explainer.windows)
        assert frames.shape[:2] == (1, 14)
        assert np.isfinite(frames).all()
        assert frames.min() >= 0
    assert sum(attributions.max() for attributions in told.values()) > 0


def test_a_model_without_a_map_is_named() -> None:
    import tf_keras
    from tf_keras import layers

    from components.core.models.explanation import Explainer

    clip = tf_keras.Input(CLIP_SHAPE, dtype="uint8")
    flat = layers.Rescaling(1 / 255)(layers.Flatten()(clip))
    with pytest.raises(DataError, match="no map over time and place"):
        Explainer(tf_keras.Model(clip, layers.Dense(3, "softmax")(flat)))


def test_a_frozen_model_is_explained_like_one_that_learns() -> None:
    from components.core.models.explanation import Explainer
    from components.train.models import build_classifier

    model = build_classifier(3, "cnn_lstm", "small")
    learning = Explainer(model).attributions(bright_patch(), {CLASSES: [1]})[CLASSES]
    model.trainable = False
    assert np.array_equal(Explainer(model).attributions(bright_patch(), {CLASSES: [1]})[CLASSES], learning)
