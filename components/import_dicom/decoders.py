"""Decoders of DICOM pixels, in the order in which they are asked: tensorflow-io where it is installed, then pydicom with GDCM.

What one cannot decode goes to the next. A decoder's word is not taken for it: number and size of the frames must be what tags and data say,
and tensorflow-io is only asked for the forms in which its pixels have been compared.
"""

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless

from components.core.errors import DiskError
from components.import_dicom.cine import Cine, Form
from components.import_dicom.outcomes import RejectedError

# Where the image has the Python that can import tensorflow-io.
TENSORFLOW_IO_VARIABLE = "LUS_TENSORFLOW_IO_PYTHON"
TIMEOUT_S = 300


class DecodingError(Exception):
    """A decoder cannot decode a file; the message says why without quoting the file."""


class Decoder:
    """A library that decodes, in a process that is started when it is first needed, and again when it has died."""

    def __init__(self, name: str, python: str = sys.executable, takes: Callable[[Form], bool] = lambda form: True) -> None:
        """Chooses the library.

        Args:
            name: one of decoding_worker.DECODERS.
            python: the interpreter that has it.
            takes: tells the forms for which it is asked; the others are left to other decoders.
        """
        self.name = name
        self._python = python
        self._takes = takes
        self._process: subprocess.Popen[str] | None = None

    def decode(self, path: Path, cine: Cine, folder: Path) -> np.ndarray:
        """Decodes all frames of a file.

        Args:
            path: the file.
            cine: its tags.
            folder: for the frames, which are read from there on demand.

        Returns:
            [n, height, width, 1 or 3] uint8, grey or RGB.

        Raises:
            DecodingError: it cannot, or the frames are not what the tags say.
            DiskError: the disk for the frames is full, or refuses.
        """
        if not self._takes(cine.form):
            raise DecodingError("not asked for this form of pixels")
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".npy", delete=False) as file:
            answer = self._answer({"path": str(path), "frames_path": file.name})
        if not answer:
            self.close()
            raise DecodingError("its process died or did not answer in time")
        try:
            told = json.loads(answer)
            error = told["error"]
        except (KeyError, TypeError, ValueError):
            self.close()
            raise DecodingError("its process gave no answer that can be understood") from None
        if "disk" in told:
            raise DiskError(told["disk"])
        if error:
            raise DecodingError(error)
        frames = np.load(file.name, mmap_mode="c")
        if frames.shape[:3] != (cine.num_frames, cine.height_px, cine.width_px) or frames.shape[3:] not in ((1,), (3,)):
            raise DecodingError("other frames than tags and data say")
        return frames

    def close(self) -> None:
        """Ends the process."""
        if self._process:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _answer(self, request: dict[str, str]) -> str:
        """Returns the process's line, or nothing when it has died or is stuck."""
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            return ""
        answered, _, _ = select.select([process.stdout], [], [], TIMEOUT_S)
        return process.stdout.readline() if answered else ""

    def _started(self) -> "subprocess.Popen[str]":
        if self._process is None:
            command = [self._python, "-P", str(Path(__file__).with_name("decoding_worker.py")), self.name]
            # What the libraries say on stderr may quote the file.
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1
            )
        return self._process


def installed_decoders() -> list[Decoder]:
    """Returns the decoders in the order in which they are asked."""
    python = os.environ.get(TENSORFLOW_IO_VARIABLE)
    return [*([Decoder("tensorflow-io", python, takes_tensorflow_io)] if python else []), Decoder("pydicom")]


def takes_tensorflow_io(form: Form) -> bool:
    """Tells whether tensorflow-io gives the pixels that pydicom gives; of samples of over 8 bits it would cut the upper bits off."""
    if form.bits_allocated > 8 or form.planar_configuration or not form.is_plain:
        return False
    photometric = form.photometric_interpretation
    if form.transfer_syntax == JPEGBaseline8Bit:
        return photometric in ("MONOCHROME2", "YBR_FULL", "YBR_FULL_422")
    return form.transfer_syntax in (ImplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless) and photometric in (
        "MONOCHROME2",
        "RGB",
        "YBR_FULL",
    )


def decoded(path: Path, cine: Cine, decoders: list[Decoder], folder: Path) -> tuple[np.ndarray, str]:
    """Decodes all frames with the first decoder that can.

    Returns:
        The frames [n, height, width, 1 or 3] uint8, grey or RGB, and the decoder's name.

    Raises:
        RejectedError: none can.
    """
    reasons = []
    for decoder in decoders:
        try:
            return decoder.decode(path, cine, folder), decoder.name
        except DecodingError as error:
            reasons.append(f"{decoder.name}: {error}")
    raise RejectedError(f"its pixels cannot be decoded ({'; '.join(reasons)})")
