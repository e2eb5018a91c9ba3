"""Decodes DICOM files with one library, in a process of its own: `python -P decoding_worker.py tensorflow-io|pydicom`.

Native code, given a hospital's odd file, may take its process down (GDCM has been seen to abort), and tensorflow-io needs a Python
environment of its own: its last release fits a TensorFlow of 2024. Therefore this file imports nothing of the project by itself.

stdin   one JSON object a line: {"path": DICOM file, "frames_path": file to write}
stdout  one JSON object a line: {"error": "" or the error's class}; without one, frames_path (.npy) has [n, height, width, 1 or 3] uint8,
        grey or RGB
"""

import json
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

MEMORY_LIMIT_BYTES = 2 << 30


def tensorflow_io_decoder() -> Callable[[str, str], None]:
    """Returns a function that writes the frames of a file to another."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf
    import tensorflow_io as tfio

    def decode(path: str, frames_path: str) -> None:
        # preserve: the stored samples, without a window.
        frames = tfio.image.decode_dicom_image(tf.io.read_file(path), color_dim=True, on_error="strict", scale="preserve", dtype=tf.uint8)
        np.save(frames_path, frames.numpy())

    return decode


def pydicom_decoder() -> Callable[[str, str], None]:
    """Returns a function that writes the frames of a file to another; it is the project's own, and runs in the project's Python."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from components.import_dicom.pixels import decode_file

    _limit_memory()
    return decode_file


def _limit_memory() -> None:
    """Lets a file that would unfold to more than MEMORY_LIMIT_BYTES fail by itself."""
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT_BYTES, resource.getrlimit(resource.RLIMIT_DATA)[1]))


DECODERS = {"tensorflow-io": tensorflow_io_decoder, "pydicom": pydicom_decoder}


def main(name: str) -> None:
    """Answers one line after another until stdin ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what native code prints is no answer
    decode = DECODERS[name]()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            decode(request["path"], request["frames_path"])
            answer = {"error": ""}
        except Exception as caught:
            answer = {"error": type(caught).__name__}
            if answer["error"] == "DiskError":  # the project's, and of our own disk
                answer["disk"] = str(caught)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
