"""De-identification: pseudonyms instead of identifiers, and black instead of what lies outside of the ultrasound image.

A pseudonym is a keyed hash (HMAC-SHA-256): the same patient gets the same one with the same key, and without the key nobody can try out
names or numbers. Whoever keeps the key can; keep it apart from the videos, or destroy it.
"""

import hashlib
import hmac
import os

import numpy as np

from components.core import storage
from components.core.errors import UsageError
from components.import_dicom.cine import Box

KEY_VARIABLE = "LUS_PSEUDONYM_KEY"
MIN_KEY_BYTES = 16


class Pseudonyms:
    """Pseudonyms under one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def from_key_file(cls, uri: str) -> "Pseudonyms":
        """Takes the key from a file, or from the environment variable KEY_VARIABLE when no file is named.

        Raises:
            UsageError: there is no key, or it is short enough to be guessed.
        """
        key = (storage.read_bytes(uri) if uri else os.environ.get(KEY_VARIABLE, "").encode()).strip()
        if len(key) < MIN_KEY_BYTES:
            where = f"the key file {uri!r}" if uri else f"the environment variable {KEY_VARIABLE}"
            raise UsageError(
                f"{where} holds a key of {len(key)} bytes, at least {MIN_KEY_BYTES} are needed; make one with `openssl rand -hex 32`."
            )
        return cls(key)

    def of(self, kind: str, identifier: str) -> str:
        """Returns the pseudonym of a patient, a study or an instance."""
        digest = hmac.new(self._key, f"{kind}\0{identifier}".encode(), hashlib.sha256).hexdigest()
        return f"{kind}-{digest[:16]}"


def visible(boxes: tuple[Box, ...], height_px: int, width_px: int) -> np.ndarray:
    """Returns which pixels may be seen, [height, width, 1] uint8, 1 or 0: to be multiplied with a frame."""
    mask = np.zeros((height_px, width_px, 1), np.uint8)
    for box in boxes:
        mask[box.top : box.bottom, box.left : box.right] = 1
    return mask


def bounding_box(boxes: tuple[Box, ...]) -> Box:
    """Returns the smallest box around all boxes."""
    return Box(
        min(box.left for box in boxes), min(box.top for box in boxes), max(box.right for box in boxes), max(box.bottom for box in boxes)
    )
