"""The scanner of the phantoms: speckle, gain, log compression, and the sector in the frame.

Echoes live in beam space, [ROWS, BEAMS]: rows are depth from the skin, columns are beams from left to right. A frame is what the scanner
shows of them: decibels as grey levels, scan-converted into a fan (convex probe) or a rectangle (linear probe) on black.
Nothing here knows the class of a video.
"""

import dataclasses
import math
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]

ROWS = 256
BEAMS = 176
PROBES = ("convex", "linear")


@dataclasses.dataclass(frozen=True)
class Scan:
    """How one video is recorded.

    Attributes:
        probe: one of PROBES.
        frame_rate_fps: frames a second.
        num_frames: length of the video.
        width_px: width of the frame, even.
        height_px: height of the frame, even.
        margin_px: black border that the sector keeps free.
        placement: where the sector stands in the room that is left, 0–1 across and down.
        depth_mm: depth of the sector.
        radius_mm: curvature of a convex probe; 0 for a linear one.
        aperture: opening angle of a fan in radians; width in mm of a rectangle.
        frequency_mhz: sets the grain of the speckle.
        gain_db: added to every echo.
        tgc_db: added at the bottom, in proportion above it: how far the time gain compensation is off.
        dynamic_range_db: from black to white.
        noise_db: electronic noise at the bottom of the sector.
    """

    probe: str
    frame_rate_fps: float
    num_frames: int
    width_px: int
    height_px: int
    margin_px: int
    placement: tuple[float, float]
    depth_mm: float
    radius_mm: float
    aperture: float
    frequency_mhz: float
    gain_db: float
    tgc_db: float
    dynamic_range_db: float
    noise_db: float

    @property
    def row_mm(self) -> float:
        """Depth of one row."""
        return self.depth_mm / ROWS

    def beam_mm(self, depth_mm: float) -> float:
        """Distance of two beams at a depth."""
        return self.aperture * (self.radius_mm + depth_mm if self.radius_mm else 1) / BEAMS


def draw_scan(rng: np.random.Generator, probe: str, frame_rate_fps: float) -> Scan:
    """Draws the settings of a recording; the ranges are those of bedside lung ultrasound, the frames are kept small."""
    convex = probe == "convex"
    return Scan(
        probe=probe,
        frame_rate_fps=frame_rate_fps,
        num_frames=int(np.clip(round(frame_rate_fps * rng.uniform(2, 3)), 30, 60)),
        width_px=2 * int(rng.integers(120, 161)),
        height_px=2 * int(rng.integers(120, 161)),
        margin_px=int(rng.integers(2, 16)),
        placement=(rng.uniform(0.2, 0.8), rng.uniform(0, 1)),
        depth_mm=rng.uniform(85, 140) if convex else rng.uniform(50, 75),
        radius_mm=rng.uniform(40, 62) if convex else 0,
        aperture=math.radians(rng.uniform(52, 72)) if convex else rng.uniform(38, 50),
        frequency_mhz=rng.uniform(2.5, 5) if convex else rng.uniform(6, 11),
        gain_db=rng.uniform(-4, 4),
        tgc_db=rng.uniform(-5, 5),
        dynamic_range_db=rng.uniform(48, 62),
        noise_db=rng.uniform(-60, -50),
    )


def speckle(rng: np.random.Generator, shape: tuple[int, int], scan: Scan) -> Array:
    """Returns fully developed speckle: the envelope of a correlated complex Gaussian field.

    Returns:
        `shape` float32, Rayleigh-distributed with mean 1; about two wavelengths long in depth and wider across the beams.
    """
    pulse_rows = 2 * 1.54 / scan.frequency_mhz / scan.row_mm
    noise = rng.standard_normal((*shape, 2), dtype=np.float32)
    field = cv2.GaussianBlur(noise, (0, 0), sigmaX=0.75 * pulse_rows + 0.8, sigmaY=0.35 * pulse_rows + 0.3)
    envelope = np.hypot(field[..., 0], field[..., 1])
    return envelope / envelope.mean()


def display(echo: Array, scan: Scan, rng: np.random.Generator) -> Array:
    """Shows echoes as the scanner does: noise, time gain, gain and log compression.

    Args:
        echo: [ROWS, BEAMS] float32 amplitudes; 1 is 0 dB.
        scan: the settings.
        rng: for the noise of this frame.

    Returns:
        [ROWS, BEAMS] uint8 grey.
    """
    depth = np.linspace(0, 1, ROWS, dtype=np.float32)[:, None]
    noise = np.abs(rng.standard_normal(echo.shape, dtype=np.float32)) * 10 ** ((scan.noise_db - 12 * (1 - depth)) / 20)
    decibels = 20 * np.log10(echo + noise + 1e-6) + scan.gain_db + scan.tgc_db * depth
    return np.clip(255 * (1 + decibels / scan.dynamic_range_db), 0, 255).astype(np.uint8)


class Sector:
    """Places beam space in the frame."""

    def __init__(self, scan: Scan):
        half_width, top, bottom = _extent_mm(scan)
        inner = np.array([scan.width_px, scan.height_px]) - 2 * scan.margin_px
        size_mm = np.array([2 * half_width, bottom - top])
        px_per_mm = (inner / size_mm).min()
        corner = scan.margin_px + (inner - size_mm * px_per_mm) * scan.placement
        x_mm = ((np.arange(scan.width_px) - corner[0]) / px_per_mm - half_width)[None, :]
        y_mm = ((np.arange(scan.height_px) - corner[1]) / px_per_mm + top)[:, None]
        across, depth_mm = _beam_position(scan, x_mm, y_mm)
        self._columns = ((across + 0.5) * (BEAMS - 1)).astype(np.float32)
        self._rows = (depth_mm / scan.row_mm).astype(np.float32)

    def frame(self, grey: Array) -> Array:
        """Scan-converts [ROWS, BEAMS] uint8 to [height_px, width_px] uint8, black outside of the sector."""
        return cv2.remap(grey, self._columns, self._rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)


def _extent_mm(scan: Scan) -> tuple[float, float, float]:
    """Returns half the width, the top and the bottom of the sector; the origin is the fan's apex or the rectangle's top."""
    if not scan.radius_mm:
        return scan.aperture / 2, 0, scan.depth_mm
    outer = scan.radius_mm + scan.depth_mm
    return outer * math.sin(scan.aperture / 2), scan.radius_mm * math.cos(scan.aperture / 2), outer


def _beam_position(scan: Scan, x_mm: Array, y_mm: Array) -> tuple[Array, Array]:
    """Returns where points are across the beams, from -0.5 to 0.5 within the sector, and their depth in mm."""
    if not scan.radius_mm:
        return x_mm / scan.aperture + 0 * y_mm, y_mm + 0 * x_mm
    return np.arctan2(x_mm, y_mm) / scan.aperture, np.hypot(x_mm, y_mm) - scan.radius_mm
