"""From a decoded picture to what is shown of it: grey or colours, upright, with square pixels.

Grey is the luma plane as it was coded, widened to 0–255 where the codec uses the limited range (16–235 of 8 bits, ITU-R BT.601 and BT.709):
nothing is converted to colours and back. Pictures without a luma plane of their own (RGB, palettes, packed YUV, transparency) are converted
by FFmpeg's swscale. What is transparent lies over black, as players show it.
"""

import functools
from fractions import Fraction
from typing import TypeAlias

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange

Image: TypeAlias = np.ndarray

# Formats with a plane of luma; packed ones (yuyv) and those with alpha (yuva, ya) begin otherwise.
_PLANAR_PREFIXES = ("yuv4", "yuvj4", "gray", "nv")
# Deprecated names of formats with the full range, and grey, which has it unless it says otherwise (as swscale takes them).
_FULL_RANGE_PREFIXES = ("yuvj", "gray")


def grey(frame: av.VideoFrame) -> Image:
    """Returns a frame as it was coded, [height, width] uint8 grey."""
    if _has_alpha(frame):
        return cv2.cvtColor(_over_black(frame), cv2.COLOR_BGR2GRAY)
    if not _has_luma_plane(frame):
        return frame.to_ndarray(format="gray")
    bits = frame.format.components[0].bits
    if bits == 8:
        luma = _plane(frame, np.dtype(np.uint8))
        # The levels of _widening; no code lies so near to half a level that rounding could differ.
        return luma.copy() if _is_full_range(frame) else cv2.addWeighted(luma, 255 / 219, luma, 0, -16 * 255 / 219)
    luma = _plane(frame, np.dtype(np.uint16).newbyteorder(">" if frame.format.is_big_endian else "<"))
    return _widening(bits, _is_full_range(frame))[luma & ((1 << bits) - 1)]


def colours(frame: av.VideoFrame) -> Image:
    """Returns a frame as it was coded, [height, width, 3] uint8 BGR."""
    return _over_black(frame) if _has_alpha(frame) else frame.to_ndarray(format="bgr24")


def upright(image: Image, rotation: int, aspect: Fraction) -> Image:
    """Returns an image as it is shown.

    Args:
        image: [height, width] or [height, width, 3] uint8.
        rotation: by so many degrees counter-clockwise it is to be turned; multiples of 90.
        aspect: width of a pixel by its height, before it is turned.
    """
    if aspect != 1:
        image = cv2.resize(image, stretched((image.shape[1], image.shape[0]), aspect), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(np.rot90(image, rotation // 90)) if rotation else image


def stretched(size: tuple[int, int], aspect: Fraction) -> tuple[int, int]:
    """Returns width and height with square pixels; none is thrown away."""
    width, height = size
    return (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))


def _has_luma_plane(frame: av.VideoFrame) -> bool:
    """Tells whether the first plane is luma alone, in whole bytes or in the lower bits of words."""
    name, bits = frame.format.name, frame.format.components[0].bits
    return name.startswith(_PLANAR_PREFIXES) and not name.startswith("grayf") and (bits == 8 or not name.startswith("nv"))


def _has_alpha(frame: av.VideoFrame) -> bool:
    return any(component.is_alpha for component in frame.format.components) or frame.format.has_palette


def _over_black(frame: av.VideoFrame) -> Image:
    pixels = frame.to_ndarray(format="bgra")
    alpha = pixels[..., 3:]
    if (alpha == 255).all():
        return pixels[..., :3].copy()
    return cv2.multiply(pixels[..., :3], cv2.merge([alpha] * 3), scale=1 / 255)


def _plane(frame: av.VideoFrame, kind: np.dtype) -> Image:
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: frame.height]
    return rows.view(kind)[:, : frame.width]


def _is_full_range(frame: av.VideoFrame) -> bool:
    if frame.color_range == ColorRange.UNSPECIFIED:
        return frame.format.name.startswith(_FULL_RANGE_PREFIXES)
    return frame.color_range == ColorRange.JPEG


@functools.cache
def _widening(bits: int, full_range: bool = False) -> np.ndarray:
    """Returns the grey level of each coded value, [2 ** bits] uint8."""
    codes = np.arange(1 << bits, dtype=np.float64)
    unit = 1 << (bits - 8)
    levels = codes / ((1 << bits) - 1) * 255 if full_range else (codes / unit - 16) * 255 / 219
    return levels.round().clip(0, 255).astype(np.uint8)
