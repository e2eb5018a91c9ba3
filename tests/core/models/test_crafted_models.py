"""Models that somebody has made to run code or to reach other files: each is refused in one sentence, and nothing of it runs."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tf_keras import layers

from components.core.errors import DataError
from components.core.models.classifier import MODEL_NAME, ClassifierMetadata, load_classifier, save_model, write_metadata
from components.core.models.exports import load_export

METADATA = ClassifierMetadata("dense", ["covid", "pneumonia", "normal"], "9f2c", "0a1b", {}, {})
RAN = "ran"


def small_model(folder: Path, num_outputs: int = 3) -> None:
    inputs = layers.Input((4,), name="clip")
    save_model(folder, tf_keras.Model(inputs, layers.Dense(num_outputs, name="probabilities")(inputs)))


def changed(folder: Path, change: Callable[[dict[str, bytes]], None], compression: int = zipfile.ZIP_STORED) -> None:
    """Writes a good model with some of the files in its zip changed."""
    small_model(folder)
    with zipfile.ZipFile(folder / MODEL_NAME) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    with zipfile.ZipFile(folder / MODEL_NAME, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def changed_layer(folder: Path, **config: Any) -> None:
    """Writes a good model whose dense layer is described otherwise."""

    def change(files: dict[str, bytes]) -> None:
        described = json.loads(files["config.json"])
        described["config"]["layers"][1] |= config
        files["config.json"] = json.dumps(described).encode()

    changed(folder, change)


def changed_weights(folder: Path, write: Callable[[h5py.File], None]) -> None:
    def change(files: dict[str, bytes]) -> None:
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            write(file)
        files["model.weights.h5"] = buffer.getvalue()

    changed(folder, change)


def writing(folder: Path) -> Callable[[Any], Any]:
    """Returns what a Lambda layer computes, which leaves a file."""
    # One name alone: Keras saves the code, and what it runs later finds nothing of this module.
    path = str(folder / RAN)
    return eval(f"lambda x: (open({path!r}, 'w').close(), x)[1]")


def with_lambda(folder: Path) -> tf_keras.Model:
    model = tf_keras.Sequential([layers.Input((4,)), layers.Lambda(writing(folder)), layers.Dense(3)])
    (folder / RAN).unlink()
    return model


def lambda_in_hdf5(folder: Path) -> None:
    with_lambda(folder).save(folder / "model.h5")
    (folder / "model.h5").rename(folder / MODEL_NAME)


def lambda_in_zip(folder: Path) -> None:
    with_lambda(folder).save(folder / MODEL_NAME)
    (folder / RAN).unlink(missing_ok=True)


def function_of_a_module(folder: Path) -> None:
    """As in CVE-2025-1550."""
    call = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    described = {"module": "keras.layers", "class_name": "Activation", "config": {"name": "a", "activation": call}, "registered_name": None}
    changed_layer(folder, **described)


def class_of_a_module(folder: Path) -> None:
    changed_layer(folder, module="pathlib", class_name="Path", config={"name": str(folder)})


def without_a_module(folder: Path) -> None:
    """The way of older Keras, which looks names up by itself."""
    changed_layer(folder, module=None, class_name="Lambda")


def operation_of_tensorflow(folder: Path) -> None:
    inputs = layers.Input((), dtype="string", name="clip")
    tf_keras.Model(inputs, tf.io.decode_raw(inputs, tf.uint8)).save(folder / MODEL_NAME)


def vocabulary_in_a_file(folder: Path) -> None:
    (folder / "secret").write_text("a\nb\n")
    tf_keras.Sequential([layers.StringLookup(vocabulary=str(folder / "secret"))]).save(folder / MODEL_NAME)


def saved_model(folder: Path) -> None:
    """A SavedModel that writes a file, in the place of the Keras file."""

    class Writer(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 4])])
        def serve(self, clip: tf.Tensor) -> tf.Tensor:
            tf.io.write_file(str(folder / RAN), "")
            return clip

    tf.saved_model.save(Writer(), str(folder / MODEL_NAME))


def pickled(folder: Path) -> None:
    class Opened:
        def __reduce__(self) -> Any:
            return open, (str(folder / RAN), "w")

    (folder / MODEL_NAME).write_bytes(pickle.dumps(Opened()))


def another_file_in_the_zip(folder: Path) -> None:
    changed(folder, lambda files: files.update({"../../ran": b""}))


def weights_elsewhere(folder: Path) -> None:
    np.zeros(12, np.float32).tofile(folder / "secret")
    changed_weights(folder, lambda file: file.create_dataset("a", (12,), "f4", external=[(str(folder / "secret"), 0, 48)]))


def weights_behind_a_link(folder: Path) -> None:
    def write(file: h5py.File) -> None:
        file["a"] = h5py.ExternalLink(str(folder / "secret.h5"), "/a")

    changed_weights(folder, write)


def too_deep(folder: Path) -> None:
    changed(folder, lambda files: files.update({"config.json": b"[" * 100_000 + b"]" * 100_000}))


def damaged_deflation(folder: Path) -> None:
    changed(folder, lambda files: None, zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(folder / MODEL_NAME) as archive:
        first = archive.infolist()[0]
    content = bytearray((folder / MODEL_NAME).read_bytes())
    # After the local header of 30 bytes and the name; there is no block of deflation of the kind 3.
    content[first.header_offset + 30 + len(first.filename)] = 0xFF
    (folder / MODEL_NAME).write_bytes(content)


def of_another_project(folder: Path) -> None:
    small_model(folder, num_outputs=1000)


CRAFTED = {
    lambda_in_hdf5: "it is no .keras file",
    lambda_in_zip: "asks for 'keras.layers.Lambda'",
    function_of_a_module: "asks for 'os.function'",
    class_of_a_module: "asks for 'pathlib.Path'",
    without_a_module: "asks for 'None.Lambda'",
    operation_of_tensorflow: "asks for .*TFOpLambda",
    vocabulary_in_a_file: "asks for 'keras.layers.StringLookup'",
    saved_model: "it is no .keras file",
    pickled: "it is no .keras file",
    another_file_in_the_zip: "this one '../../ran'|this one .*'../../ran'|and 1 more",
    weights_elsewhere: "its weights lie in another file",
    weights_behind_a_link: "its weights are links",
    too_deep: "nested too deeply",
    damaged_deflation: "its zip cannot be read",
    of_another_project: "gives 1000 probabilities",
}


@pytest.mark.parametrize("craft", CRAFTED, ids=lambda craft: craft.__name__)
def test_a_crafted_model_is_refused_and_does_not_run(craft: Callable[[Path], None], tmp_path: Path) -> None:
    craft(tmp_path)
    write_metadata(tmp_path, METADATA)
    with pytest.raises(DataError, match=CRAFTED[craft]) as error:
        load_classifier(tmp_path)
    assert "\n" not in str(error.value)
    assert not (tmp_path / RAN).exists()


def test_what_is_refused_would_have_run(tmp_path: Path) -> None:
    lambda_in_hdf5(tmp_path)
    (tmp_path / MODEL_NAME).rename(tmp_path / "model.h5")
    tf_keras.models.load_model(tmp_path / "model.h5", compile=False)
    assert (tmp_path / RAN).exists()


def test_a_tflite_file_that_reaches_all_of_tensorflow_is_refused(tmp_path: Path) -> None:
    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def write(text: tf.Tensor) -> tf.Tensor:
        tf.io.write_file(str(tmp_path / RAN), text)
        return text

    converter = tf.lite.TFLiteConverter.from_concrete_functions([write.get_concrete_function()])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.SELECT_TF_OPS]
    (tmp_path / "model.tflite").write_bytes(converter.convert())
    with pytest.raises(DataError, match=r"operations that are not built into TFLite: .*FlexWriteFile"):
        load_export(tmp_path / "model.tflite")
    assert not (tmp_path / RAN).exists()


def test_a_file_that_is_no_tflite_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(bytes(64))
    with pytest.raises(DataError, match="it is no TFLite file"):
        load_export(tmp_path / "model.tflite")
