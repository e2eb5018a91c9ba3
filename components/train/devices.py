"""Where a training runs: which devices TensorFlow uses, and how it divides the work among them."""

import json
import logging
import os
from typing import Any

import tensorflow as tf
import tf_keras

from components.core.errors import UsageError

TF_CONFIG = "TF_CONFIG"

_log = logging.getLogger(__name__)


def choose_strategy(require_gpu: bool) -> tf.distribute.Strategy:
    """Returns the strategy to build and train a model under.

    Several workers are described by the environment variable TF_CONFIG (https://www.tensorflow.org/guide/distributed_training); several
    GPUs of one worker share every batch; one GPU or the CPU needs no strategy.

    Raises:
        UsageError: there is no GPU although one is required, or TF_CONFIG cannot be understood.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if require_gpu and not gpus:
        raise UsageError("require_gpu is true, but TensorFlow finds no GPU here; give the step one, or set require_gpu to false.")
    if os.environ.get(TF_CONFIG):
        _cluster()
        strategy: tf.distribute.Strategy = tf.distribute.MultiWorkerMirroredStrategy()
    else:
        strategy = tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()
    _log.info("training on %s, %d replica(s)", f"{len(gpus)} GPU(s)" if gpus else "the CPU", strategy.num_replicas_in_sync)
    return strategy


def is_chief() -> bool:
    """Tells whether this worker writes the results: the chief, or the first worker of a cluster without one."""
    if not os.environ.get(TF_CONFIG):
        return True
    workers, task = _cluster()
    return task["type"] == "chief" or ("chief" not in workers and task["type"] == "worker" and int(task["index"]) == 0)


def use_half_precision_on_gpus() -> bool:
    """Lets layers compute in half precision where that is faster: on GPUs; returns whether they do."""
    half = bool(tf.config.list_physical_devices("GPU"))
    tf_keras.mixed_precision.set_global_policy("mixed_float16" if half else "float32")
    return half


def _cluster() -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        config = json.loads(os.environ[TF_CONFIG])
        return dict(config["cluster"]), {"type": config["task"]["type"], "index": config["task"]["index"]}
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"the environment variable {TF_CONFIG} does not describe a cluster and a task ({error!r}); correct or unset it."
        ) from None
