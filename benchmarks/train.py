"""What training and inference cost against the plain network, how long training waits for clips, and what compression gives.

    python benchmarks/train.py --dataset DATASET --dense-model MODEL --pruned-model PRUNED [--skip-plain]

DATASET, MODEL and PRUNED are outputs of preprocess, train and prune. The plain network is what notebooks do first: three ConvLSTM2D layers
of 64, 32 and 16 filters over the pixels of 224 × 224, here with global average pooling in front of its classes; the usual Flatten and
Dense(256) would add 198 million parameters. One training step of one clip takes it half a minute and 4 GB, so it is measured once, after a
step that builds it; the others are medians. All networks see the same random clip, one at a time; weights do not change the cost.

Measured on two cores that others used heavily too, one run, so look at the ratios: the plain network took 62 s a training step and 15 s an
inference; the default network 0.35 s and 0.11 s (176 and 136 times less), the others 206–501 and 58–148 times less. Training waited for
clips 0 % of its time. Sizes of the real model with 80 % zeros, gzipped: dense 593 kB, int8 83 kB (1/7.1).
"""

import argparse
import statistics
import timeit
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from components.core.models.tensorflow_startup import load_tensorflow

load_tensorflow()

import tf_keras  # noqa: E402
from tf_keras import layers  # noqa: E402

from components.core.models.classifier import load_classifier  # noqa: E402
from components.core.models.dataset import CLIP_SHAPE  # noqa: E402
from components.core.models.epochs import BestEpoch  # noqa: E402
from components.core.models.examples import ClipExamples  # noqa: E402
from components.core.models.exports import TFLITE_INT8  # noqa: E402
from components.core.models.fitting import Schedule, compile_classifier, fit_classifier  # noqa: E402
from components.prune.comparison import DENSE, ExportedFile, compare_exports  # noqa: E402
from components.train.models import ARCHITECTURES, build_classifier  # noqa: E402

NUM_CLASSES = 3
REPEATS = 7
BATCH_SIZE = 8
BACKBONES = ("small", "efficientnet_lite0")  # those that need no download


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--dense-model", type=Path, required=True)
    parser.add_argument("--pruned-model", type=Path, required=True)
    parser.add_argument("--skip-plain", action="store_true", help="leave the plain network out")
    options = parser.parse_args()
    _print_costs(options.skip_plain)
    _print_waiting(options.dataset, options.dense_model)
    _print_files(compare_exports(options.dense_model, options.pruned_model, options.dataset))


def plain_network() -> tf_keras.Model:
    """Returns stacked ConvLSTM2D layers over pixels."""
    clip = layers.Input(CLIP_SHAPE, dtype="uint8")
    maps = layers.Rescaling(1 / 255)(clip)
    for filters, is_last in ((64, False), (32, False), (16, True)):
        maps = layers.ConvLSTM2D(filters, 3, padding="same", return_sequences=not is_last)(maps)
    return tf_keras.Model(clip, layers.Dense(NUM_CLASSES, activation="softmax")(layers.GlobalAveragePooling2D()(maps)))


def _print_costs(skip_plain: bool) -> None:
    print(f"one clip at a time{'':24}parameters   train step    inference")
    plain = None if skip_plain else _costs("plain ConvLSTM2D 64-32-16, pixels", plain_network, repeats=1)
    for backbone in BACKBONES:
        for architecture in ARCHITECTURES:
            costs = _costs(f"{architecture}, {backbone}", lambda a=architecture, b=backbone: build_classifier(NUM_CLASSES, a, b), REPEATS)
            if plain:
                print(f"{'':42}{'the plain one takes':>10}  × {plain[0] / costs[0]:<11.0f} × {plain[1] / costs[1]:.0f}", flush=True)


def _costs(title: str, build: Callable[[], tf_keras.Model], repeats: int) -> tuple[float, float]:
    """Prints and returns the seconds of a training step and of an inference."""
    tf_keras.backend.clear_session()
    model = build()
    compile_classifier(model, tf_keras.optimizers.Adam())
    clip = np.random.default_rng(0).integers(0, 256, (1, *CLIP_SHAPE), dtype=np.uint8)
    label = np.eye(NUM_CLASSES, dtype=np.float32)[:1]
    step_s = _median_seconds(lambda: model.train_on_batch(clip, label), repeats)
    inference_s = _median_seconds(lambda: model.predict_on_batch(clip), repeats)
    print(f"{title:42}{model.count_params():>10,}  {1000 * step_s:>8,.0f} ms  {1000 * inference_s:>8,.0f} ms", flush=True)
    return step_s, inference_s


def _median_seconds(function: Callable[[], object], repeats: int) -> float:
    function()  # builds the graph
    return statistics.median(timeit.repeat(function, number=1, repeat=repeats))


def _print_waiting(dataset_path: Path, model_path: Path) -> None:
    """Prints which part of training goes by waiting for the next batch of augmented clips."""
    model, _ = load_classifier(model_path)
    history = fit_classifier(model, ClipExamples.of(dataset_path), BestEpoch(), Schedule(2, BATCH_SIZE, learning_rate=1e-5, seed=0))
    print(f"\ntf.data: {history['wait_share'][-1]:.0%} of the training steps waiting, batches of {BATCH_SIZE} clips on this CPU")


def _print_files(files: list[ExportedFile]) -> None:
    table = pd.DataFrame(files).set_index("name")
    dense = table.loc[DENSE]
    table["of dense, gzipped"] = table["gzip_bytes"] / dense["gzip_bytes"]
    table["of Keras' latency"] = table["latency_ms"] / dense["latency_ms"]
    print(f"\n{table.round(3).to_string()}")
    print(f"agreement and macro-F1 are of validation clips; {TFLITE_INT8}, gzipped, is meant to be at most 1/6 of the dense float32 model")


if __name__ == "__main__":
    main()
