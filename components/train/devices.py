"""Where a training runs: which devices TensorFlow uses, and how it divides the work among them."""

import json
import logging
import os

import tensorflow as tf
import tf_keras

from components.core.errors import UsageError

TF_CONFIG = "TF_CONFIG"

_log = logging.getLogger(__name__)


def choose_strategy(require_gpu: bool) -> tf.distribute.Strategy:
    """Returns the strategy to build and train a model under.

    Several GPUs share every batch; one GPU or the CPU needs no strategy.

    Raises:
        UsageError: there is no GPU although one is required, or TF_CONFIG asks for several workers.
    """
    config = os.environ.get(TF_CONFIG)
    if config and not _is_of_one_machine(config):
        raise UsageError(f"the environment variable {TF_CONFIG} is {config!r}, but train runs on one machine only; unset it.")
    gpus = tf.config.list_physical_devices("GPU")
    if require_gpu and not gpus:
        raise UsageError("require_gpu is true, but TensorFlow finds no GPU here; give the step one, or set require_gpu to false.")
    strategy: tf.distribute.Strategy = tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()
    _log.info("training on %s, %d replica(s)", f"{len(gpus)} GPU(s)" if gpus else "the CPU", strategy.num_replicas_in_sync)
    return strategy


def _is_of_one_machine(config: str) -> bool:
    """Tells whether a TF_CONFIG, which some platforms set for every training, names one task at most."""
    try:
        return sum(map(len, json.loads(config).get("cluster", {}).values())) <= 1
    except (ValueError, TypeError, AttributeError):
        return False


def use_half_precision_on_gpus() -> bool:
    """Lets layers compute in half precision where that is faster: on GPUs; returns whether they do."""
    half = bool(tf.config.list_physical_devices("GPU"))
    tf_keras.mixed_precision.set_global_policy("mixed_float16" if half else "float32")
    return half
