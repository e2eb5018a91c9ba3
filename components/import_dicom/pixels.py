"""From the code of a frame to its pixels, by pydicom and the decoders that it knows (GDCM, Pillow, its own).

The rule by which samples become grey or RGB of 8 bits:
    colours     YCbCr becomes RGB by the matrix of PS3.3 C.7.6.3.1.2, an index becomes its colour in the palette
    MONOCHROME1 is turned round, so that more is brighter
    samples     keep their upper 8 bits, or become the upper ones of 8; signed ones start at black
No window (VOI LUT) is applied: it is how somebody wished to see the frames.

Each frame is decoded as a data set of its own. What pydicom learns of one frame, it takes over to the next: in a native loop in
YBR_FULL_422, it takes the second frame from a wrong place.
"""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import ExplicitVRBigEndian

from components.core.files.local_files import array_on_disk
from components.import_dicom import frame_codes
from components.import_dicom.data_sets import PixelData, open_data_set, quiet_pydicom

_PALETTE = "PALETTE COLOR"
_TAGS = (
    *frame_codes.TAGS,
    "PlanarConfiguration",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    *(f"{colour}PaletteColorLookupTableDescriptor" for colour in ("Red", "Green", "Blue")),
    *(f"{segmented}{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue") for segmented in ("", "Segmented")),
)
_COLOURS = 3


def decode_file(path: str, frames_path: str) -> None:
    """Writes the frames of a DICOM file, [n, height, width, 1 or 3] uint8, grey or RGB, as .npy.

    Args:
        path: the DICOM file.
        frames_path: the file to write; as one frame after the other is decoded, memory holds one.

    Raises:
        DiskError: the disk for the frames is full, or refuses.
        Exception: of any other class; it cannot be decoded.
    """
    with quiet_pydicom(), open_data_set(Path(path), _TAGS) as (dataset, pixels):
        assert pixels
        spans = frame_codes.frame_spans(dataset, pixels)
        num_channels = _COLOURS if dataset.SamplesPerPixel > 1 or dataset.PhotometricInterpretation == _PALETTE else 1
        shape = (len(spans), int(dataset.Rows), int(dataset.Columns), num_channels)
        to_eight_bits = _Palette(dataset) if dataset.PhotometricInterpretation == _PALETTE else functools.partial(_eight_bits, dataset)
        frames = array_on_disk(Path(frames_path), np.uint8, shape)
        for position, code in enumerate(_codes(dataset, pixels, spans)):
            frames[position] = to_eight_bits(_decoded(dataset, code, pixels.is_encapsulated)).reshape(shape[1:])
        frames.flush()


def _codes(dataset: Any, pixels: PixelData, spans: list[list[frame_codes.Span]]) -> Iterator[bytes]:
    """Yields the bytes of each frame."""
    # Bytes that big-endian files hold as words of 16 bits stand in pairs the other way round, across the borders of frames.
    in_swapped_pairs = dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian and pixels.vr == "OW" and int(dataset.BitsAllocated) <= 8
    for pieces in spans:
        yield b"".join(_unswapped(pixels, *span) if in_swapped_pairs else pixels.read(*span) for span in pieces)


def _unswapped(pixels: PixelData, offset: int, num_bytes: int) -> bytes:
    start, end = offset - offset % 2, offset + num_bytes + (offset + num_bytes) % 2
    pairs = np.frombuffer(pixels.read(start, end - start), "u2").byteswap().tobytes()
    return pairs[offset - start :][:num_bytes]


def _decoded(dataset: Any, code: bytes, is_encapsulated: bool) -> np.ndarray:
    """Returns the samples of a frame, [height, width(, 3)]; YCbCr has become RGB."""
    frame = Dataset()
    frame.update(dataset)
    frame.file_meta = dataset.file_meta
    frame.NumberOfFrames = 1
    frame.pop("ExtendedOffsetTable", None)
    frame.add_new(
        "PixelData", "OB" if is_encapsulated or dataset.BitsAllocated <= 8 else "OW", encapsulate([code]) if is_encapsulated else code
    )
    frame["PixelData"].is_undefined_length = is_encapsulated
    return pixel_array(frame)


def _eight_bits(dataset: Any, samples: np.ndarray) -> np.ndarray:
    """Returns grey or RGB samples as uint8; see the rule above."""
    bits = int(dataset.BitsStored)
    if dataset.PixelRepresentation:
        samples = samples.astype(np.int64) + (1 << (bits - 1))
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        samples = (1 << bits) - 1 - samples
    return (samples >> max(0, bits - 8) << max(0, 8 - bits)).astype(np.uint8)


class _Palette:
    """The palette of a file (PS3.3 C.7.6.3.1.5 and C.7.9.2)."""

    def __init__(self, dataset: Any) -> None:
        if dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian:
            _swap_tables(dataset)
        num_entries, self._first, _ = dataset.RedPaletteColorLookupTableDescriptor
        colours = apply_color_lut(self._first + np.arange(num_entries or 1 << 16), dataset)
        self._colours = (colours >> (8 * colours.dtype.itemsize - 8)).astype(np.uint8)  # [entries, 3]

    def __call__(self, indices: np.ndarray) -> np.ndarray:
        """Returns the colours of a frame, [height, width, 3] uint8 RGB."""
        return self._colours[np.clip(indices.astype(np.int64) - self._first, 0, len(self._colours) - 1)]


def _swap_tables(dataset: Any) -> None:
    """Turns the words of a big-endian file round, which pydicom reads as if it were little-endian."""
    for colour in ("Red", "Green", "Blue"):
        name = f"{colour}PaletteColorLookupTableData"
        if name in dataset:
            setattr(dataset, name, np.frombuffer(dataset[name].value, "u2").byteswap().tobytes())
