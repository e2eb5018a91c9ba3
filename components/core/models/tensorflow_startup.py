"""How a step loads TensorFlow: Keras 2, and without a screen of start-up messages in front of the step's own log."""

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


def load_tensorflow() -> None:
    """Imports TensorFlow quietly; a step calls this before it imports its own modules.

    The messages of TensorFlow's native code about devices and instruction sets are dropped, and so are its warnings. Whoever sets
    TF_CPP_MIN_LOG_LEVEL (0 shows everything) gets TensorFlow's own behaviour.
    """
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # tensorflow-model-optimization knows Keras 2 only
    if LOG_LEVEL in os.environ:
        _start()
        return
    os.environ[LOG_LEVEL] = "2"
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with native_messages_dropped():
        _start()


def _start() -> None:
    """Imports TensorFlow and looks for devices, which is when it speaks."""
    import tensorflow as tf

    tf.config.list_physical_devices()


@contextlib.contextmanager
def native_messages_dropped() -> Iterator[None]:
    """Holds back what is written to file descriptor 2, and shows it only when the block fails.

    Native code writes there directly, before it obeys any log level.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            yield
        except BaseException:
            messages.seek(0)
            os.write(stderr, messages.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
