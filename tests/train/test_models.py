"""The network: what goes in, what comes out, and that it sees no colour."""

import numpy as np
import pytest
import tf_keras

from components.core.errors import PipelineError
from components.core.parameters import CHOICES
from components.train.models import APPLICATIONS, ARCHITECTURES, LUMA, build_classifier
from tests.clip_datasets import SHAPE

NETWORKS = [("convlstm2d", "small"), ("convlstm2d", "efficientnet_lite0"), ("cnn_lstm", "small"), ("cnn_gru", "small")]


@pytest.fixture(scope="module", params=NETWORKS, ids="-".join)
def model(request: pytest.FixtureRequest) -> tf_keras.Model:
    return build_classifier(3, *request.param)


def test_the_networks_are_those_that_a_user_may_choose() -> None:
    assert set(ARCHITECTURES) == set(CHOICES["architecture"])
    assert {"small", "efficientnet_lite0", *APPLICATIONS} == set(CHOICES["backbone"])


def test_the_order_of_the_frames_counts(model: tf_keras.Model) -> None:
    rng = np.random.default_rng(0)
    clip = np.linspace(0, 1, SHAPE[0])[:, None, None, None] * rng.integers(0, 256, SHAPE)
    forwards, backwards = model.predict(np.stack([clip, clip[::-1]]).astype(np.uint8), verbose=0)
    assert np.abs(forwards - backwards).max() > 1e-4


def test_recurrent_layers_use_the_sigmoid_that_every_runtime_knows(model: tf_keras.Model) -> None:
    activations = {layer.get_config()["recurrent_activation"] for layer in model.layers if "recurrent_activation" in layer.get_config()}
    assert activations == {"sigmoid"}


def test_clips_become_probabilities(model: tf_keras.Model) -> None:
    clips = np.random.default_rng(0).integers(0, 256, (2, *SHAPE), dtype=np.uint8)
    probabilities = model.predict(clips, verbose=0)
    assert probabilities.shape == (2, 3)
    assert probabilities.dtype == np.float32
    assert probabilities.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("architecture", CHOICES["architecture"])
def test_a_network_has_an_answer_for_each_class(architecture: str) -> None:
    assert build_classifier(4, architecture, "small").output_shape == (None, 4)


def test_the_input_is_bytes(model: tf_keras.Model) -> None:
    assert model.input_shape == (None, *SHAPE)
    assert model.input.dtype == "uint8"


def test_all_layers_are_stock_layers(model: tf_keras.Model) -> None:
    assert {type(layer).__module__.split(".")[0] for layer in model.layers} == {"tf_keras"}


def test_a_tint_changes_nothing(model: tf_keras.Model) -> None:
    grey = np.random.default_rng(0).integers(50, 200, (1, *SHAPE[:3], 1)).astype(float)
    tint = np.array([10.0, 0.0, -10.0 * LUMA[0] / LUMA[2]])  # equal luma
    seen = tf_keras.Model(model.input, model.get_layer("grey").output)
    maps = seen.predict((np.concatenate([grey + 0 * tint, grey + tint]) + 0.5).astype(np.uint8), verbose=0)
    assert np.abs(maps[0] - maps[1]).max() < 1.01
    assert maps[0, 0, 5, 7, 0] == pytest.approx(grey[0, 0, 10:12, 14:16].mean(), abs=0.26)


def test_weights_that_keras_cannot_download_are_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise Exception("URL fetch failure on mobilenet_v2.h5: None -- Name or service not known")

    monkeypatch.setattr(tf_keras.applications, "MobileNetV2", fail)
    with pytest.raises(PipelineError, match=r"the weights 'imagenet' of mobilenet_v2 cannot be had .*; give the URI of a file"):
        build_classifier(3, "cnn_gru", "mobilenet_v2")
