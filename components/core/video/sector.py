"""The field of view: where the ultrasound sector lies in the frames of a video, and its frames normalised to one shape.

The shape of the sector tells the hospital, and with it the class: a linear model that sees nothing else scores 0.6 macro-F1 on real videos
(benchmarks/shortcuts.py). Therefore a frame is not cropped but resampled along the scan lines:

        convex            linear                normalised
       ╱‾‾╲_╱‾‾╲         ┌──────┐               ┌────────┐   rows     depth, from the probe down
      ╱         ╲        │      │       →       │        │   columns  scan lines, from left to right
     ╱           ╲       │      │               │        │   grey, filled to its corners
      ‾‾╲_____╱‾‾        └──────┘               └────────┘

The pleura and its reverberations become horizontal and B-lines vertical for every probe; text, markers, rulers and logos beside the sector
are not sampled. Where the border of the frame cuts the sector off, the view is narrowed to scan lines that are seen whole.
"""

import dataclasses
import enum
import functools
from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np

from components.core.records.clips import FRAME_SIZE_PX
from components.core.video.pixels import Image

# The sector is looked for in so many frames of a video, shrunk to so many pixels on the longer side.
SEARCH_FRAMES = 8
SEARCH_SIZE_PX = 256
# The mean over time of an echo is so many grey levels above the background, nearly the darkest pixel: codecs leave less outside the sector.
BACKGROUND_PERCENTILE = 2
ECHO_LEVEL = 1.5
# What is narrower than this is text or a ruler. Other areas count if they have this part of the largest one's area and of its change.
SMALL_PX = 9
MIN_AREA, MIN_CHANGE = 0.03, 0.1
# Slopes of a fan's sides, pixels across a pixel down: convex and phased probes open by 33° to 100°.
FAN_SLOPES = np.arange(0.30, 1.20, 0.02)
# This part of the rows may lie beyond the side of a fan, of a rectangle; an echo touches it that is so near.
FAN_OUTLIERS, BOX_OUTLIERS = 0.02, 0.2
SIDE_TOLERANCE_PX = 1.5
# A rectangle has an upright side that this part of the rows touches; or a level one, and so few rows that end before the frame does.
MIN_STRAIGHT, MAX_FREE = 0.5, 0.1
# A fan must leave this part of the frame's width free in an upper corner, be filled with echoes to this part, and hold this part of all.
MIN_CORNER, MIN_FILLED, MIN_HELD = 0.03, 0.3, 0.9
# What is left out at each side of a found sector, as a part of its extent: the drawn edge, and the error of the fit.
INSET = 0.02
# Frames are sampled so many times finer than they are stored, then averaged, so that speckle does not alias.
OVERSAMPLING = 2
# OpenCV warps four frames that are the channels of one image in the time of 1.3, to the same pixels.
WARPED_TOGETHER = 4


class Kind(enum.StrEnum):
    """What the sector is."""

    CONVEX = "convex"
    LINEAR = "linear"
    GIVEN = "given"
    UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True)
class Box:
    """A rectangle; its edges in pixels, at the centres of its outermost pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def points(self, across: np.ndarray, down: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns x and y in pixels of places from 0 to 1 across and down the box."""
        return self.left + (self.right - self.left) * across + 0 * down, self.top + (self.bottom - self.top) * down + 0 * across

    def unscaled(self, scale: float) -> "Box":
        """Returns the box in the frame that was shrunk by this scale."""
        return Box(*(_unscaled(edge, scale) for edge in dataclasses.astuple(self)))


@dataclasses.dataclass(frozen=True)
class Fan:
    """A piece of a ring; angles in radians from straight down, to the right positive; apex and radii in pixels."""

    apex_x: float
    apex_y: float
    left: float
    right: float
    near: float
    far: float

    def points(self, across: np.ndarray, down: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns x and y in pixels of places from 0 to 1 across the scan lines and down along them."""
        angle = self.left + (self.right - self.left) * across
        radius = self.near + (self.far - self.near) * down
        return self.apex_x + radius * np.sin(angle), self.apex_y + radius * np.cos(angle)

    def unscaled(self, scale: float) -> "Fan":
        """Returns the fan in the frame that was shrunk by this scale."""
        x, y = _unscaled(self.apex_x, scale), _unscaled(self.apex_y, scale)
        return Fan(x, y, self.left, self.right, self.near / scale, self.far / scale)


Region: TypeAlias = Box | Fan


@dataclasses.dataclass(frozen=True)
class Sector:
    """The field of view of one video.

    Attributes:
        kind: UNKNOWN when none was found and the whole frame is used instead.
        frame_size: height and width of the frames in pixels.
        region: the sector as it was found; it may reach beyond the frame.
        view: the part of it that lies within the frame and that normalised frames show.
        inset: what they leave out of the view at each side, as a part of its extent.
    """

    kind: Kind
    frame_size: tuple[int, int]
    region: Region
    view: Region
    inset: float = 0.0

    @property
    def outline(self) -> np.ndarray:
        """The sector's border, [points, 2] int32: x and y in pixels, as cv2.polylines takes it."""
        return _outline(self.region)

    @property
    def mask(self) -> np.ndarray:
        """Which pixels belong to the sector, [height, width] bool."""
        return _filled(self.region, self.frame_size)

    def normalise(self, frames: Sequence[Image]) -> np.ndarray:
        """Returns what frames show of the sector.

        Args:
            frames: at least one, [height, width, 3] uint8 BGR or [height, width] uint8 grey.

        Returns:
            [frames, FRAME_SIZE_PX, FRAME_SIZE_PX] uint8 grey: rows are depth, columns scan lines.
        """
        groups = [frames[start : start + WARPED_TOGETHER] for start in range(0, len(frames), WARPED_TOGETHER)]
        return np.stack([image for group in groups for image in self._warped([_grey(frame) for frame in group])])

    def _warped(self, group: list[Image]) -> Sequence[Image]:
        """Returns up to WARPED_TOGETHER grey frames normalised."""
        filled = cv2.merge(group + group[-1:] * (WARPED_TOGETHER - len(group)))
        warped = cv2.remap(filled, *self._maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        small = cv2.resize(warped, (FRAME_SIZE_PX, FRAME_SIZE_PX), interpolation=cv2.INTER_AREA)
        return cv2.split(small)[: len(group)]

    @functools.cached_property
    def _maps(self) -> tuple[np.ndarray, np.ndarray]:
        size = FRAME_SIZE_PX * OVERSAMPLING
        places = self.inset + (1 - 2 * self.inset) * (np.arange(size) + 0.5) / size
        x, y = self.view.points(places[None, :], places[:, None])
        fixed, fraction = cv2.convertMaps(x.astype(np.float32), y.astype(np.float32), cv2.CV_16SC2)
        return fixed, fraction


def given_sector(box: tuple[int, int, int, int], frame_size: tuple[int, int]) -> Sector:
    """Returns the sector of a box (x, y, width, height) that somebody gave for frames of this height and width, all in pixels."""
    x, y, width, height = box
    region = Box(x, y, x + width - 1, y + height - 1)
    return Sector(Kind.GIVEN, frame_size, region, region)


def find_sector(frames: Sequence[Image]) -> Sector:
    """Finds the sector of a video.

    Echoes are what is brighter than the background in the mean of some frames; small things and still ones are not echoes. The sides are
    straight lines that no echo lies beyond and that the most echoes touch, for shadows eat into a sector but nothing shines outside of it.
    The sides of a fan are mirror images of each other; its arcs are the nearest and farthest echoes from the point where they meet.

    Args:
        frames: at least one frame of the video, [height, width, 3] uint8 BGR or [height, width] uint8 grey, all of one size.

    Returns:
        The sector; of Kind.UNKNOWN and as large as the frame when no border of one is seen.
    """
    height, width = frames[0].shape[:2]
    scale = min(1.0, SEARCH_SIZE_PX / max(height, width))
    echoes = _echoes(*_mean_and_range(frames, scale))
    if box := _rectangle(echoes):
        box = box.unscaled(scale)
        return Sector(Kind.LINEAR, (height, width), box, box, INSET)
    if (fan := _fan(echoes)) and (view := _seen(fan, echoes.shape)):
        return Sector(Kind.CONVEX, (height, width), fan.unscaled(scale), view.unscaled(scale), INSET)
    return dataclasses.replace(given_sector((0, 0, width, height), (height, width)), kind=Kind.UNKNOWN)


def _mean_and_range(frames: Sequence[Image], scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean over time of some frames, grey and shrunk, and their maximum less their minimum."""
    chosen = np.linspace(0, len(frames) - 1, min(len(frames), SEARCH_FRAMES)).astype(int)
    height, width = frames[0].shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    shrunk = np.stack([cv2.resize(_grey(frames[index]), size, interpolation=cv2.INTER_AREA) for index in chosen])
    return shrunk.mean(axis=0, dtype=np.float32), shrunk.max(axis=0) - shrunk.min(axis=0)


def _echoes(mean: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Returns where echoes are, bool: the largest bright area, and others that are not small and change as it does."""
    bright = (mean > np.percentile(mean, BACKGROUND_PERCENTILE) + ECHO_LEVEL).astype(np.uint8)
    bright = cv2.morphologyEx(bright, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    bright = cv2.morphologyEx(bright, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (SMALL_PX, SMALL_PX)))
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(bright)
    areas = statistics[:, cv2.CC_STAT_AREA]
    if len(areas) == 1:
        return np.zeros(mean.shape, bool)
    largest = int(areas[1:].argmax()) + 1
    kept = labels == largest
    least_change = MIN_CHANGE * np.median(change[kept])
    for label in 1 + np.flatnonzero(areas[1:] > MIN_AREA * areas[largest]):
        if np.median(change[labels == label]) > least_change:
            kept |= labels == label
    return kept


def _margins(echoes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the rows that have echoes, and how far the outermost echo of each lies from the left and from the right border."""
    rows = np.flatnonzero(echoes.any(axis=1))
    return rows, echoes[rows].argmax(axis=1), echoes[rows, ::-1].argmax(axis=1)


def _side(rows: np.ndarray, margins: np.ndarray, slopes: np.ndarray, outliers: float) -> tuple[np.ndarray, np.ndarray]:
    """Lays a side of each slope against the outermost echoes; returns how many rows touch it, and its margin at row 0."""
    at_top = margins + slopes[:, None] * rows
    side = np.quantile(at_top, outliers, axis=1)
    touching = np.abs(at_top - side[:, None]) <= SIDE_TOLERANCE_PX
    return (touching & (margins > 1)).sum(axis=1), side


def _rectangle(echoes: np.ndarray) -> Box | None:
    """Returns the rectangle of a linear probe, or None when no side of it is seen."""
    if not echoes.any():
        return None
    sides = [(rows, margins) for rows, *both in (_margins(echoes), _margins(echoes.T)) for margins in both]
    fitted = [_side(rows, margins, np.zeros(1), BOX_OUTLIERS) for rows, margins in sides]
    straight = [touching[0] >= MIN_STRAIGHT * len(rows) for (touching, _), (rows, _) in zip(fitted, sides, strict=True)]
    at_border = all((margins > 1).mean() < MAX_FREE for _, margins in sides[:2])
    if not (any(straight[:2]) or (at_border and any(straight[2:]))):
        return None
    left, right, top, bottom = (float(side[0]) for _, side in fitted)
    return Box(left, top, echoes.shape[1] - 1 - right, echoes.shape[0] - 1 - bottom)


def _fan(echoes: np.ndarray) -> Fan | None:
    """Returns the fan of a convex probe, or None when no upper corner is free of echoes or they do not fill the fan."""
    rows, left, right = _margins(echoes)
    upper_corner = np.maximum(left, right)[: len(rows) // 4 + 1]
    if not len(rows) or np.median(upper_corner) < MIN_CORNER * echoes.shape[1]:
        return None
    touching_left, left_margins = _side(rows, left, FAN_SLOPES, FAN_OUTLIERS)
    touching_right, right_margins = _side(rows, right, FAN_SLOPES, FAN_OUTLIERS)
    best = int((touching_left + touching_right).argmax())
    slope = FAN_SLOPES[best]
    left_x, right_x = left_margins[best], echoes.shape[1] - 1 - right_margins[best]
    apex_x, apex_y = (left_x + right_x) / 2, (left_x - right_x) / (2 * slope)
    y, x = np.nonzero(echoes)
    near, far = np.quantile(np.hypot(x - apex_x, y - apex_y), [0.001, 0.999])
    fan = Fan(apex_x, apex_y, -np.arctan(slope), np.arctan(slope), near, far)
    inside = _filled(fan, echoes.shape)
    return fan if (inside & echoes).sum() > max(MIN_FILLED * inside.sum(), MIN_HELD * len(x)) else None


def _seen(fan: Fan, shape: tuple[int, ...]) -> Fan | None:
    """Returns the largest part of a fan that lies within the frame and whose scan lines all begin and end at the same depth."""
    height, width = shape
    best, best_extent = None, 0.0
    for far in np.linspace(fan.near, min(fan.far, height - 1 - fan.apex_y), 64)[1:]:
        left = -min(-fan.left, np.arcsin(np.clip(fan.apex_x / far, 0, 1)))
        right = min(fan.right, np.arcsin(np.clip((width - 1 - fan.apex_x) / far, 0, 1)))
        near = max(fan.near, -fan.apex_y / np.cos(max(-left, right)))
        if (extent := (right - left) * (far - near)) > best_extent:
            best, best_extent = Fan(fan.apex_x, fan.apex_y, left, right, near, far), extent
    return best


def _outline(region: Region) -> np.ndarray:
    """Returns the border of a region, [points, 2] int32."""
    ahead = np.linspace(0, 1, 65)
    across = np.concatenate([ahead, np.ones(65), ahead[::-1], np.zeros(65)])
    return np.stack(region.points(across, np.roll(across, 65)), axis=1).round().astype(np.int32)


def _filled(region: Region, shape: tuple[int, ...]) -> np.ndarray:
    """Returns which pixels of a frame belong to a region, [height, width] bool."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [_outline(region)], 1)
    return mask.astype(bool)


def _grey(frame: Image) -> np.ndarray:
    return cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) if frame.ndim == 3 else frame


def _unscaled(position: float, scale: float) -> float:
    """Returns where a position in the shrunk frame is in the frame itself; both count from the centre of the first pixel."""
    return (position + 0.5) / scale - 0.5
