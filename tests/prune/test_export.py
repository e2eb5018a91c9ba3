"""Exports: every file answers as Keras does, on one clip without open sizes and with built-in operations only."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tf_keras import layers

from components.core.errors import DataError
from components.core.models.classifier import file_sizes, save_model
from components.core.models.exports import KERAS, PATHS, SAVED_MODEL, SERVED_VERSION, TFLITE_NAMES, exports_of, latency_ms, load_export
from components.prune.export import export_classifier

CLASS_NAMES = ["covid", "pneumonia", "normal"]
SHAPE = (4, 32, 32, 3)
NUM_FILTERS = 48  # TFLite leaves kernels with less than 1024 weights as they are in the dynamic range
# By how much a probability may differ from Keras': 32 bits, then weights in 16 and in 8 bits, then activations in 8 bits as well.
TOLERANCES = {
    KERAS: 1e-6,
    SAVED_MODEL: 1e-6,
    "tflite_float32": 1e-5,
    "tflite_float16": 5e-3,
    "tflite_dynamic_range": 0.05,
    "tflite_int8": 0.1,
}


def recurrent_over_maps(maps: Any) -> Any:
    state = layers.ConvLSTM2D(8, 3, padding="same", recurrent_activation="sigmoid", name="recurrent")(maps)
    return layers.GlobalAveragePooling2D()(state)


def recurrent_over_vectors(kind: type[layers.RNN], maps: Any) -> Any:
    vectors = layers.TimeDistributed(layers.GlobalAveragePooling2D())(maps)
    return kind(8, name="second")(kind(8, return_sequences=True, name="first")(vectors))


HEADS = {
    "convlstm2d": recurrent_over_maps,
    "lstm": lambda maps: recurrent_over_vectors(layers.LSTM, maps),
    "gru": lambda maps: recurrent_over_vectors(layers.GRU, maps),
}


def tiny_classifier(head: str) -> tf_keras.Model:
    """Returns a network with every kind of layer that the networks of train have, in small, trained to tell striped clips apart."""
    tf_keras.utils.set_random_seed(0)
    clip = layers.Input(SHAPE, dtype="uint8")
    maps = layers.Conv2D(NUM_FILTERS, 3, strides=2, padding="same", use_bias=False)(layers.Rescaling(1 / 255)(clip))
    maps = layers.ReLU()(layers.GroupNormalization(groups=4)(maps))
    maps = layers.ReLU(6.0)(layers.TimeDistributed(layers.DepthwiseConv2D(3, strides=2, padding="same"))(maps))
    features = layers.Dropout(0.1)(HEADS[head](maps))
    classes, severity = layers.Dense(3, activation="softmax", name="probabilities"), layers.Dense(3, activation="sigmoid", name="severity")
    model = tf_keras.Model(clip, {"probabilities": classes(features), "severity": severity(features)})
    # Smoothed labels keep the answers away from 0 and 1, where a wrong logit would not show.
    losses = {
        "probabilities": tf_keras.losses.CategoricalCrossentropy(label_smoothing=0.4),
        "severity": tf_keras.losses.BinaryCrossentropy(label_smoothing=0.4),
    }
    model.compile(tf_keras.optimizers.Adam(0.01), losses)
    labels = np.arange(60) % 3
    targets = {"probabilities": np.eye(3)[labels], "severity": (labels[:, None] >= [1, 2, 3]).astype(float)}
    model.fit(striped_clips(60, seed=0), targets, epochs=25, batch_size=20, verbose=0)
    return model


def striped_clips(num_clips: int, seed: int) -> np.ndarray:
    """Returns [n, 4, 32, 32, 3] uint8: stripes down, across or in time, in turn, each of another width, with noise."""
    rng = np.random.default_rng(seed)
    axes = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    waves = [axes[number % 3] * rng.uniform(0.8, 1.6) + rng.uniform(0, 6) for number in range(num_clips)]
    grey = 128 + 90 * np.sin(np.stack(waves))[..., np.newaxis] + rng.normal(0, 10, (num_clips, *SHAPE))
    return grey.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module", params=HEADS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[tf_keras.Model, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    model = tiny_classifier(request.param)
    save_model(folder, model)
    export_classifier(model, CLASS_NAMES, striped_clips(16, seed=1), folder)
    return model, folder


@pytest.mark.slow
def test_every_file_gives_what_keras_gives(exported: tuple[tf_keras.Model, Path]) -> None:
    model, folder = exported
    clips = striped_clips(6, seed=2)
    expected = model.predict(clips, verbose=0)
    # The clips are told apart, so that equal answers mean something.
    assert expected["probabilities"].argmax(axis=1).tolist() == [0, 1, 2, 0, 1, 2]
    assert np.ptp(expected["severity"], axis=0).max() > 0.4
    files = exports_of(folder)
    assert list(files) == list(TOLERANCES)
    for name, path in files.items():
        answers = load_export(path).predict_on_batch(clips)
        assert answers.keys() == expected.keys()
        for head, values in answers.items():
            assert values.shape == (6, 3)
            assert values.dtype == np.float32
            difference = np.abs(values - expected[head]).max()
            assert difference < TOLERANCES[name], (name, head, difference)
        assert np.array_equal(answers["probabilities"].argmax(axis=1), expected["probabilities"].argmax(axis=1)), name


@pytest.mark.slow
def test_tflite_files_need_builtin_operations_and_no_open_sizes(exported: tuple[tf_keras.Model, Path]) -> None:
    for name in TFLITE_NAMES:
        # Without a delegate, and with a resolver that knows TFLite's own operations only.
        interpreter = tf.lite.Interpreter(
            str(exported[1] / PATHS[name]),
            experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
        names = {operation["op_name"] for operation in interpreter._get_ops_details()}
        assert names & {"WHILE", "CUSTOM"} == set()
        assert not [operation for operation in names if operation.startswith("Flex")]
        assert all(-1 not in tensor["shape_signature"] for tensor in interpreter.get_tensor_details())
        (clip,), outputs = interpreter.get_input_details(), interpreter.get_output_details()
        assert (clip["shape"].tolist(), clip["dtype"]) == ([1, *SHAPE], np.uint8)
        assert [(output["shape"].tolist(), output["dtype"]) for output in outputs] == [([1, 3], np.float32)] * 2


@pytest.mark.slow
def test_weights_are_as_wide_as_the_name_says(exported: tuple[tf_keras.Model, Path]) -> None:
    def bytes_of_a_weight(name: str) -> int:
        interpreter = tf.lite.Interpreter(str(exported[1] / PATHS[name]))
        shape = [NUM_FILTERS, 3, 3, 3]  # of the first convolution
        return min(np.dtype(tensor["dtype"]).itemsize for tensor in interpreter.get_tensor_details() if tensor["shape"].tolist() == shape)

    assert {name: bytes_of_a_weight(name) for name in TFLITE_NAMES} == dict(zip(TFLITE_NAMES, (4, 2, 1, 1), strict=True))


@pytest.mark.slow
def test_the_saved_model_serves_batches_with_class_names(exported: tuple[tf_keras.Model, Path]) -> None:
    model, folder = exported
    signature = tf.saved_model.load(str(folder / PATHS[SAVED_MODEL] / SERVED_VERSION)).signatures["serving_default"]
    ((clip,),) = [signature.structured_input_signature[1].values()]
    assert (clip.name, clip.dtype, clip.shape.as_list()) == ("clip", tf.uint8, [None, *SHAPE])
    for num_clips in (1, 5):
        clips = striped_clips(num_clips, seed=4)
        answer = signature(clip=tf.constant(clips))
        for head, values in model.predict(clips, verbose=0).items():
            assert answer[head].numpy() == pytest.approx(values, abs=1e-6)
        assert [[name.decode() for name in row] for row in answer["class_names"].numpy()] == [CLASS_NAMES] * num_clips


@pytest.mark.slow
def test_sizes_and_latencies_are_measured_on_every_file(exported: tuple[tf_keras.Model, Path]) -> None:
    for path in exports_of(exported[1]).values():
        sizes = file_sizes(path)
        assert 0 < sizes["gzip_bytes"] < sizes["bytes"]
        assert latency_ms(load_export(path), striped_clips(1, seed=5)[0], num_calls=2) > 0


def test_a_dense_model_is_its_own_only_form(tmp_path: Path) -> None:
    save_model(tmp_path, tf_keras.Sequential([layers.Input((4,)), layers.Dense(3)]))
    assert exports_of(tmp_path) == {KERAS: tmp_path / "model.keras"}


@pytest.mark.parametrize("name", ["model.keras", "exports/tflite_int8.tflite", "exports/saved_model", "exports/model.onnx"])
def test_what_cannot_be_loaded_is_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"not a model")
    with pytest.raises(DataError, match=f"(?s)'{path}' cannot be loaded .*; run the step that wrote it again"):
        load_export(path)
