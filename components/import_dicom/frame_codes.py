"""Telling the frames of PixelData apart: how many there are, and which bytes code each of them (PS3.5 8 and A.4).

What the tags say and what the data are must agree; a frame count is never guessed. Without NumberOfFrames, native data have as many frames
as their length holds, and encapsulated ones as many as begin in their fragments, or as their offset table lists.
"""

import re
import struct
from collections.abc import Callable
from typing import Any

from pydicom.uid import UID, JPEG2000TransferSyntaxes, RLELossless

from components.import_dicom.code_headers import coded_size
from components.import_dicom.data_sets import PixelData
from components.import_dicom.outcomes import RejectedError

# An offset in the value of PixelData, and a number of bytes.
Span = tuple[int, int]
TAGS = (
    "NumberOfFrames",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "ExtendedOffsetTable",
)

_ITEM, _DELIMITER = 0xFFFEE000, 0xFFFEE0DD
_HEAD_BYTES = 12
_HEADER_BYTES = 1 << 16
_START_OF_JPEG = re.compile(rb"\xff\xd8")
# A code stream with its size marker, or the signature of a JP2 file.
_START_OF_JPEG_2000 = re.compile(rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  ")
# The header of a frame in RLE: 1 to 15 segments, of which the first one follows it (PS3.5 G.5).
_START_OF_RLE = re.compile(rb"[\x01-\x0f]\0\0\0\x40\0\0\0")


def stated_num_frames(dataset: Any) -> int | None:
    """Returns NumberOfFrames, or None where it is absent, empty, zero or no number."""
    try:
        return int(dataset.get("NumberOfFrames") or 0) or None
    except (TypeError, ValueError):
        return None


def frame_spans(dataset: Any, pixels: PixelData) -> list[list[Span]]:
    """Returns the bytes of each frame, in one or more pieces.

    Args:
        dataset: has TAGS.
        pixels: where its PixelData is.

    Raises:
        RejectedError: tags and data contradict each other, or leave open how many frames there are.
    """
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if syntax.is_encapsulated != pixels.is_encapsulated:
        raise RejectedError("its pixels are not coded as its transfer syntax says")
    if pixels.is_encapsulated:
        return _encapsulated(dataset, pixels, syntax)
    return _native(dataset, pixels)


def _native(dataset: Any, pixels: PixelData) -> list[list[Span]]:
    num_bytes = _frame_bytes(dataset)
    num_frames = stated_num_frames(dataset) or pixels.num_bytes // num_bytes
    if num_frames < 1 or pixels.num_bytes < num_frames * num_bytes:
        raise RejectedError("its pixel data are cut off: they hold less than the frames that its tags tell of")
    if not _is_padding(pixels, num_frames * num_bytes, num_bytes):
        raise RejectedError("its pixel data hold more than the frames that its tags tell of, or no whole number of them")
    return [[(position * num_bytes, num_bytes)] for position in range(num_frames)]


def _frame_bytes(dataset: Any) -> int:
    """Returns the bytes of a frame of native data; chroma stands once for two pixels in YBR_FULL_422 (PS3.3 C.7.6.3.1.2)."""
    num_samples = int(dataset.Rows) * int(dataset.Columns) * int(dataset.SamplesPerPixel)
    if dataset.PhotometricInterpretation == "YBR_FULL_422":
        if int(dataset.Columns) % 2:
            raise RejectedError("its lines have an odd number of pixels, which YBR_FULL_422 cannot hold")
        num_samples = num_samples * 2 // 3
    num_bytes = num_samples * int(dataset.BitsAllocated) // 8
    if num_bytes < 1:
        raise RejectedError("its frames have no size")
    return num_bytes


def _is_padding(pixels: PixelData, offset: int, frame_bytes: int) -> bool:
    """Tells whether what follows the frames is less than a frame, and either the byte that makes the length even or zeros."""
    num_bytes = pixels.num_bytes - offset
    return num_bytes <= 1 or (num_bytes < frame_bytes and not pixels.read(offset, num_bytes).strip(b"\0"))


def _encapsulated(dataset: Any, pixels: PixelData, syntax: UID) -> list[list[Span]]:
    table, *fragments = _items(pixels)
    if not fragments:
        raise RejectedError("its pixel data hold no fragment")
    by_start = _by_start(pixels, fragments, syntax)
    by_table = _by_offsets(fragments, _offsets(dataset, pixels, table))
    stated = stated_num_frames(dataset)
    if stated is None:
        if not (by_start or by_table):
            raise RejectedError("neither its tags nor its pixel data tell how many frames it has")
        return by_start or by_table
    if len(by_start) <= stated:
        for frames in (by_start, by_table, [[fragment] for fragment in fragments]):
            if len(frames) == stated:
                return frames
    raise RejectedError("its pixel data hold another number of frames than its tags state")


def check_sizes(dataset: Any, pixels: PixelData, frames: list[list[Span]]) -> None:
    """Checks that every frame is coded in the size that the tags state.

    Raises:
        RejectedError: one is not.
    """
    if not pixels.is_encapsulated or dataset.file_meta.TransferSyntaxUID == RLELossless:
        return
    stated = int(dataset.Rows), int(dataset.Columns)
    for (offset, num_bytes), *_ in frames:
        if coded_size(pixels.read(offset, min(num_bytes, _HEADER_BYTES))) not in (None, stated):
            raise RejectedError("its frames are coded in another size than its tags state")


def _items(pixels: PixelData) -> list[Span]:
    """Returns the offset table and the fragments.

    Raises:
        RejectedError: they are cut off, or are no items.
    """
    items, offset = [], 0
    while len(header := pixels.read(offset, 8)) == 8:
        group, element, num_bytes = struct.unpack("<HHL", header)
        if (group << 16 | element) != _ITEM:
            break
        items.append((offset + 8, num_bytes))
        offset += 8 + num_bytes
    if not items or offset > pixels.num_bytes:
        raise RejectedError("its pixel data are cut off or damaged")
    return items


def _by_start(pixels: PixelData, fragments: list[Span], syntax: UID) -> list[list[Span]]:
    """Groups fragments into frames by how a frame's code begins; none when the first fragment does not begin like that."""
    start = _START_OF_RLE if syntax == RLELossless else _START_OF_JPEG_2000 if syntax in JPEG2000TransferSyntaxes else _START_OF_JPEG
    return _grouped(fragments, lambda offset, num_bytes: start.match(pixels.read(offset, min(num_bytes, _HEAD_BYTES))) is not None)


def _grouped(fragments: list[Span], begins: Callable[[int, int], bool]) -> list[list[Span]]:
    """Groups fragments into frames, given which of them begin one; none when the first does not."""
    frames: list[list[Span]] = []
    for fragment in fragments:
        if begins(*fragment):
            frames.append([])
        elif not frames:
            return []
        frames[-1].append(fragment)
    return frames


def _offsets(dataset: Any, pixels: PixelData, table: Span) -> list[int]:
    """Returns where frames begin, counted from the first fragment's item on; empty where no table says so."""
    if extended := dataset.get("ExtendedOffsetTable"):
        return list(struct.unpack(f"<{len(extended) // 8}Q", extended[: len(extended) // 8 * 8]))
    basic = pixels.read(*table)
    return list(struct.unpack(f"<{len(basic) // 4}L", basic[: len(basic) // 4 * 4]))


def _by_offsets(fragments: list[Span], offsets: list[int]) -> list[list[Span]]:
    """Groups fragments into frames by an offset table; none when it does not fit the fragments."""
    first = fragments[0][0]
    listed = set(offsets)
    if 0 not in listed or len(listed) < len(offsets) or not listed.issubset(offset - first for offset, _ in fragments):
        return []
    return _grouped(fragments, lambda offset, _: offset - first in listed)
