"""Opening a model file that somebody else may have made: only what computes is let in, nothing that runs code or touches other files.

Keras's own safe mode is not enough: it does not look at HDF5 files, whatever their names, and lets a configuration name any function of any
Python module (CVE-2025-1550 describes that for Keras 3; tf_keras has the same code). So a `.keras` file is let in when

    it is a zip with the three files that Keras writes,
    every object of its configuration is one of the stock layers, initializers and containers below,
    its weights lie in the file, and not behind a link to another one.

A TFLite file is let in when it needs TFLite's built-in operations only; the others reach all of TensorFlow's, which can write files. A
SavedModel holds such operations by right, so none is loaded but by the step that has just written it.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.core.files.zip_files import DAMAGES

KERAS_FILES = frozenset({"metadata.json", "config.json", "model.weights.h5"})
# Four times the largest backbone's; a zip may promise more than a machine holds.
MAX_MODEL_BYTES = 400_000_000
CONTAINERS = frozenset({"Functional", "Sequential"})
INITIALIZERS = frozenset({"Constant", "GlorotUniform", "Ones", "Orthogonal", "VarianceScaling", "Zeros"})
# As `tf_keras.layers` calls them.
LAYERS = frozenset(
    {
        *("Activation", "ReLU", "Add", "Multiply", "Concatenate", "Flatten", "Reshape", "ZeroPadding2D", "InputLayer", "TimeDistributed"),
        *("Conv2D", "DepthwiseConv2D", "ConvLSTM2D", "LSTM", "GRU", "Dense", "Dropout"),
        *("BatchNormalization", "GroupNormalization", "LayerNormalization", "Normalization", "Rescaling"),
        *("MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D", "AveragePooling3D", "GlobalAveragePooling3D", "GlobalMaxPooling3D"),
    }
)
_ALLOWED = {"keras.layers": LAYERS, "keras.regularizers": frozenset({"L2"}), "keras.initializers": INITIALIZERS, "keras": CONTAINERS}


def load_keras(path: Path) -> Any:
    """Loads a `.keras` file of stock layers; the model is not compiled.

    Raises:
        ValueError: it is none, or holds something else; the message says what.
        OSError: it cannot be read.
    """
    _check_keras(path)
    import tf_keras

    return tf_keras.models.load_model(path, compile=False, safe_mode=True)


def load_tflite(path: Path) -> Any:
    """Loads a TFLite file with built-in operations as an interpreter.

    Raises:
        ValueError: it is none, or needs other operations.
        OSError: it cannot be read.
    """
    import tensorflow as tf
    from tensorflow.lite.python import schema_py_generated as schema

    content = path.read_bytes()
    if not schema.Model.ModelBufferHasIdentifier(content, 0):
        raise ValueError("it is no TFLite file")
    model = schema.Model.GetRootAs(content)
    custom = [model.OperatorCodes(number).CustomCode() for number in range(model.OperatorCodesLength())]
    if names := sorted({name.decode(errors="replace") for name in custom if name}):
        raise ValueError(f"it needs operations that are not built into TFLite: {', '.join(names)}")
    return tf.lite.Interpreter(model_content=content)


def _check_keras(path: Path) -> None:
    files = _files_of(path)
    try:
        foreign = sorted({name for name in _objects_of(json.loads(files["config.json"])) if not _is_stock(*name)})
    except RecursionError:
        raise ValueError("its configuration is nested too deeply") from None
    if foreign:
        names = _listed([".".join(name) for name in foreign])
        raise ValueError(f"it asks for {names}, and only stock layers that compute are taken")
    _check_weights(files["model.weights.h5"])


def _files_of(path: Path) -> dict[str, bytes]:
    """Returns the files in a zip that has those of KERAS_FILES and no others, by name."""
    if not zipfile.is_zipfile(path):
        raise ValueError("it is no .keras file, which is a zip; HDF5 files and pickles can run code and are not taken")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if {member.filename for member in members} != KERAS_FILES or len(members) != len(KERAS_FILES):
                raise ValueError(f"a .keras file holds {', '.join(sorted(KERAS_FILES))}, this one {_listed(archive.namelist())}")
            if (size := sum(member.file_size for member in members)) > MAX_MODEL_BYTES:
                raise ValueError(f"it holds {size:,} bytes, the limit is {MAX_MODEL_BYTES:,}")
            return {member.filename: archive.read(member) for member in members}
    except DAMAGES as error:
        raise ValueError(f"its zip cannot be read: {error}") from None


def _objects_of(config: Any) -> Iterator[tuple[str, str]]:
    """Yields module and name of every Python object that a configuration asks for."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield str(config.get("module")), str(config["class_name"])
        for value in config.values():
            yield from _objects_of(value)
    elif isinstance(config, list):
        for value in config:
            yield from _objects_of(value)


def _is_stock(module: str, name: str) -> bool:
    # Keras writes its own module's path for a functional model.
    is_functional = (module, name) == ("tf_keras.src.engine.functional", "Functional")
    return is_functional or name in _ALLOWED.get(module, ())


def _check_weights(content: bytes) -> None:
    """Refuses weights that would be read from elsewhere.

    Raises:
        ValueError: they lie in another file, or this is no HDF5 file.
    """
    import h5py

    try:
        with h5py.File(io.BytesIO(content)) as file:
            for link in _links_of(file):
                if isinstance(link, h5py.ExternalLink | h5py.SoftLink):
                    raise ValueError("its weights are links to somewhere else")
                if isinstance(link, h5py.Dataset) and (link.external or link.is_virtual):
                    raise ValueError("its weights lie in another file")
    except OSError as error:
        raise ValueError(f"its weights cannot be read: {error}") from None


def _links_of(group: Any) -> Iterator[Any]:
    """Yields the links and the arrays of an HDF5 group and of those in it."""
    import h5py

    for name in group:
        link = group.get(name, getlink=True)
        yield link
        if isinstance(link, h5py.HardLink):
            member = group[name]
            yield member
            if isinstance(member, h5py.Group):
                yield from _links_of(member)


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown or "nothing"
