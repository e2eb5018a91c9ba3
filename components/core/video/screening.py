"""Screening: which videos show nothing to learn from, because they are black, frozen, or no ultrasound.

The rules are coarse on purpose; on 96 real videos (Born et al., Applied Sciences 2021, 11(2):672) they are far from every one:

    rule               limit                                              real videos
    black              the brightest hundredth is darker than 32          81 and more
    frozen             pixels change by less than 0.4 a frame             1.5 and more
    natural colours    on 0.15 of the pixels                              0.07 and less
    bright             half of the pixels are brighter than 180           half are brighter than 114 or less

The first two look at the sector, where no clock ticks, and the others at the whole frame. Ultrasound may be tinted: a colour is natural
when it is not the frame's one tint at that brightness. Colour Doppler in a small box passes. A grey film of something else passes, too.
"""

import itertools

import cv2
import numpy as np

from components.core.errors import DataError

BLACK_LEVEL = 32
FROZEN_CHANGE = 0.4
COLOUR_LEVEL, MAX_COLOURED = 30, 0.15
BRIGHT_LEVEL = 180
# Of every so many pixels across and down, one is looked at.
STEP_PX = 4
DOTS_PX = 8


def coloured_share(image: np.ndarray) -> float:
    """Returns the share of pixels of a frame that have a colour beside the frame's tint.

    Args:
        image: [height, width, 3] uint8 BGR.
    """
    # Averaged, because palettes of gif files make grey out of coloured dots.
    size = (max(1, image.shape[1] // DOTS_PX), max(1, image.shape[0] // DOTS_PX))
    pixels = cv2.resize(image, size, interpolation=cv2.INTER_AREA).reshape(-1, 3).astype(np.float32)
    grey = pixels.mean(axis=1)
    colours = pixels - grey[:, None]
    lit = grey > BLACK_LEVEL
    tint = np.median(colours[lit] / grey[lit, None], axis=0) if lit.any() else np.zeros(3)
    return float((np.ptp(colours - grey[:, None] * tint, axis=1) > COLOUR_LEVEL).mean())


def check_ultrasound(whole: list[tuple[np.ndarray, float]], sector: np.ndarray) -> None:
    """Checks that frames of a video can be moving ultrasound images.

    Args:
        whole: some frames, [height, width] uint8 grey, and what `coloured_share` says of each; at least one.
        sector: the frames normalised to the sector, [frames, height, width] uint8 grey.

    Raises:
        DataError: the video is black, frozen, or shows something else; the message says which.
    """
    if (coloured := np.mean([share for _, share in whole])) > MAX_COLOURED:
        raise DataError(f"not ultrasound: {coloured:.0%} of its pixels have natural colours")
    if np.mean([np.median(frame[::STEP_PX, ::STEP_PX]) for frame, _ in whole]) > BRIGHT_LEVEL:
        raise DataError("not ultrasound: it is bright where ultrasound is dark")
    if np.percentile(sector[:, ::STEP_PX, ::STEP_PX], 99) < BLACK_LEVEL:
        raise DataError("it is black")
    if np.mean([cv2.absdiff(frame, following).mean() for frame, following in itertools.pairwise(sector)]) < FROZEN_CHANGE:
        raise DataError("it is frozen: all frames are alike")
