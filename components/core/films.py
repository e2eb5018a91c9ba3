"""Pictures for pages: frames of a clip side by side as one image, with and without what raised an answer; and thumbnails."""

import base64
import io
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from PIL import Image

FRAME_SIDE_PX = 160
THUMBNAIL_SIDE_PX = 112
QUALITY = 62
# Perceptually uniform and readable with every kind of colour blindness (Nuñez et al., PLOS ONE 13(7):e0199239).
COLORMAP = "cividis"
MAX_OPACITY = 0.65

Pixels: TypeAlias = npt.NDArray[np.uint8]
Heat: TypeAlias = npt.NDArray[np.float32]


def strip(frames: Pixels, heats: Sequence[Heat]) -> str:
    """Returns the frames in a row, and below each the same under each of the heats, as a data URI.

    Args:
        frames: [frames, height, width] uint8 grey.
        heats: [frames, rows, columns] float32 from 0 to 1 each.
    """
    plain = [_resized(frame, FRAME_SIDE_PX) for frame in frames]
    marked = [[_overlaid(image, cells) for image, cells in zip(plain, heat, strict=True)] for heat in heats]
    rows = [np.concatenate([np.asarray(image.convert("RGB")) for image in images], axis=1) for images in (plain, *marked)]
    return _data_uri(Image.fromarray(np.concatenate(rows)))


def relative_heat(attribution: npt.NDArray[np.float32], most: float) -> Heat:
    """Returns an attribution, from 0, as heat from 0 to 1, which is where it is `most`; the square root lets what is weaker be seen."""
    return np.sqrt(attribution / max(most, 1e-12))


def thumbnail(frame: Pixels) -> str:
    """Returns a frame, [height, width] uint8 grey, small and as a data URI."""
    return _data_uri(_resized(frame, THUMBNAIL_SIDE_PX))


def _resized(frame: Pixels, side_px: int) -> Image.Image:
    return Image.fromarray(frame).resize((side_px, side_px), Image.Resampling.LANCZOS)


def _overlaid(image: Image.Image, heat: Heat) -> Image.Image:
    """Colours a grey image; the more heat from 0 to 1, the less of the image is left."""
    smooth = Image.fromarray(heat.astype(np.float32)).resize(image.size, Image.Resampling.BICUBIC)
    weights = np.clip(np.asarray(smooth), 0, 1)
    colors = 255 * colormaps[COLORMAP](weights)[..., :3]
    opacity = (MAX_OPACITY * weights)[..., None]
    mixed = (1 - opacity) * np.asarray(image)[..., None] + opacity * colors
    return Image.fromarray(mixed.round().astype(np.uint8))


def _data_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=QUALITY, method=4)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
