"""Decodes DICOM files with one library, in a process of its own: `python -P decoding_worker.py tensorflow-io|pydicom`.

Native code, given a hospital's odd file, may take its process down (GDCM has been seen to abort), and tensorflow-io needs a Python
environment of its own: its last release fits a TensorFlow of 2024. Therefore this file imports nothing of the project.

stdin   one JSON object a line: {"path": DICOM file, "frames_path": file to write}
stdout  one JSON object a line: {"error": "" or the error's class}; without one, frames_path (.npy) has [n, height, width, 1 or 3] uint8,
        grey or RGB
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np


def tensorflow_io_decoder() -> Callable[[str], Any]:
    """Returns a function from a path to the frames."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf
    import tensorflow_io as tfio

    def decode(path: str) -> Any:
        # preserve: the stored samples, without a window.
        return tfio.image.decode_dicom_image(
            tf.io.read_file(path), color_dim=True, on_error="strict", scale="preserve", dtype=tf.uint8
        ).numpy()

    return decode


def pydicom_decoder() -> Callable[[str], Any]:
    """Returns a function from a path to the frames; pydicom asks its own decoders, GDCM and Pillow."""
    import pydicom
    from pydicom.pixels.utils import iter_pixels

    def decode(path: str) -> Any:
        dataset = pydicom.dcmread(path)
        return np.stack([_eight_bits(frame, dataset) for frame in iter_pixels(path)])

    return decode


def _eight_bits(frame: Any, dataset: Any) -> Any:
    """Returns a frame [height, width, 1 or 3] uint8, grey or RGB; pydicom has converted YCbCr already."""
    from pydicom.pixels.processing import apply_color_lut

    bits = int(dataset.BitsStored)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        frame = apply_color_lut(frame, dataset)
        bits = frame.dtype.itemsize * 8
    elif dataset.PhotometricInterpretation == "MONOCHROME1":
        frame = (1 << bits) - 1 - frame
    return (frame >> max(0, bits - 8)).astype(np.uint8).reshape(*frame.shape[:2], -1)


DECODERS = {"tensorflow-io": tensorflow_io_decoder, "pydicom": pydicom_decoder}


def main(name: str) -> None:
    """Answers one line after another until stdin ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what native code prints is no answer
    decode = DECODERS[name]()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            np.save(request["frames_path"], decode(request["path"]))
            error = ""
        except Exception as caught:
            error = type(caught).__name__
        print(json.dumps({"error": error}), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
