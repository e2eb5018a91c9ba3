"""How much of an attribution lies where there should be little evidence: numpy only.

Clips are in the geometry of the dataset: rows are depth, columns scan lines, and the sector fills the frame to its corners. No outside
of the sector is left in them, so two places stand for it: the outermost ring, where borders, labels and resampling leave their traces, and
what stays black throughout the clip. Beside each share stands that of the area: attribution that is spread evenly has the same share.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

# The ring is this part of a frame's side wide; a cell of a 7 × 7 map is a seventh, so half of the outermost cells belong to it.
RING = 1 / 14
# A pixel holds no echo when it stays below this grey level throughout the clip (0..255).
BLACK = 8


@dataclasses.dataclass(frozen=True)
class Attention:
    """Shares of attribution, and of the area for comparison, averaged over videos; None when no video has any attribution.

    Attributes:
        num_videos: how many videos it is the mean of.
        ring: attribution in the outermost ring of the frames.
        ring_area: area of that ring.
        black: attribution on pixels that hold no echo throughout the clip.
        black_area: area of these pixels.
        frames: attribution in each of the frames, in their order; empty when no video has any.
    """

    num_videos: int
    ring: float | None
    ring_area: float
    black: float | None
    black_area: float
    frames: tuple[float, ...] = ()


def attention_of(clips: npt.NDArray[np.uint8], attributions: npt.NDArray[np.float32]) -> Attention:
    """Measures where the attribution of clips lies.

    Args:
        clips: [n, 14, 224, 224, 3] uint8 with equal channels.
        attributions: [n, 14, height, width] float32 from 0, over frames (core.models.explanation); each cell stands for an equal part of
            the frame.
    """
    shares = [_shares(clip[..., 0], attribution) for clip, attribution in zip(clips, attributions, strict=True)]
    ring, ring_area, black, black_area = (np.array(values, float) for values in zip(*shares, strict=True))
    by_frame = [sums / sums.sum() for attribution in attributions if (sums := attribution.sum(axis=(1, 2), dtype=np.float64)).any()]
    return Attention(
        num_videos=len(clips),
        ring=_mean(ring),
        ring_area=float(ring_area.mean()),
        black=_mean(black),
        black_area=float(black_area.mean()),
        frames=tuple(np.mean(by_frame, axis=0).tolist()) if by_frame else (),
    )


def _shares(frames: npt.NDArray[np.uint8], attribution: npt.NDArray[np.float32]) -> tuple[float, float, float, float]:
    height, width = frames.shape[1:]
    margin = round(RING * height), round(RING * width)
    in_ring = np.ones((height, width), bool)
    in_ring[margin[0] : height - margin[0], margin[1] : width - margin[1]] = False
    is_black = frames.max(axis=0) < BLACK
    cells = attribution.sum(axis=0, dtype=np.float64)
    rows, columns = np.arange(height) * cells.shape[0] // height, np.arange(width) * cells.shape[1] // width
    pixels = cells[np.ix_(rows, columns)]
    total = pixels.sum()

    def share(chosen: npt.NDArray[np.bool_]) -> float:
        return float(pixels[chosen].sum() / total) if total > 0 else np.nan

    return share(in_ring), float(in_ring.mean()), share(is_black), float(is_black.mean())


def _mean(values: npt.NDArray[np.float64]) -> float | None:
    return None if np.isnan(values).all() else float(np.nanmean(values))
