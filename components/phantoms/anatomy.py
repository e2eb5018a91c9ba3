"""The body of the phantoms: chest wall, ribs, pleura, and a lung that is healthy or ill.

The patterns follow the international recommendations for point-of-care lung ultrasound (Volpicelli et al., Intensive Care Med 2012,
doi:10.1007/s00134-012-2513-4), as a caricature:

    normal      a smooth pleural line; A-lines, its reverberations at multiples of the distance from the skin; at most one stray B-line
    covid       a ragged, thickened, broken pleural line; B-lines from it to the bottom without fading, some confluent; no A-lines
    pneumonia   a consolidation under the pleura: tissue-like, dark, with a shredded deep border and bright air bronchograms

What belongs to the lung slides with the breath, what belongs to the chest wall stands still. The lung is painted once a video on a canvas
[CANVAS_ROWS, CANVAS_BEAMS] whose row PLEURA_ROW is the pleura and which is wider than the view; each frame sees a shifted part of it.
"""

import dataclasses
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from components.phantoms.imaging import BEAMS, ROWS, Array, Scan, speckle

# Room for the widest slide (6 mm) where beams are closest (38 mm / BEAMS).
MARGIN_BEAMS = 32
PLEURA_ROW = 16
CANVAS_BEAMS = BEAMS + 2 * MARGIN_BEAMS
CANVAS_ROWS = ROWS + PLEURA_ROW


@dataclasses.dataclass(frozen=True)
class Patient:
    """What the videos of one patient share.

    Attributes:
        wall_mm: distance from the skin to the pleura.
        wall_echo: brightness of the chest wall.
        rib_spacing_mm: between the centres of two ribs.
        rib_width_mm: width of a rib's shadow.
        breath_hz: breaths a second.
        sliding_mm: how far the lung slides to either side.
        severity: 0–1, how marked the pattern is.
        lesion_mm: where the pattern's centre lies, from the middle of the view.
    """

    wall_mm: float
    wall_echo: float
    rib_spacing_mm: float
    rib_width_mm: float
    breath_hz: float
    sliding_mm: float
    severity: float
    lesion_mm: float


def draw_patient(rng: np.random.Generator) -> Patient:
    """Draws a patient; the ranges are the same for every class."""
    return Patient(
        wall_mm=rng.uniform(13, 27),
        wall_echo=rng.uniform(0.06, 0.15),
        rib_spacing_mm=rng.uniform(24, 34),
        rib_width_mm=rng.uniform(7, 11),
        breath_hz=rng.uniform(0.25, 0.5),
        sliding_mm=rng.uniform(2.5, 6),
        severity=rng.uniform(0, 1),
        lesion_mm=rng.uniform(-6, 6),
    )


@dataclasses.dataclass(frozen=True)
class Lung:
    """A painted lung.

    Attributes:
        sliding: [CANVAS_ROWS, CANVAS_BEAMS] float32, echoes that move with the lung, without speckle.
        a_lines: amplitude of the first A-line; 0 for none.
        aerated: [1, CANVAS_BEAMS], how much of the A-lines is seen there, 0 to 1.
    """

    sliding: Array
    a_lines: float
    aerated: Array


class Painter:
    """What a lung is painted with: the video's scale, its patient and its chance."""

    def __init__(self, scan: Scan, patient: Patient, rng: np.random.Generator):
        self.rng = rng
        self.scan = scan
        self.patient = patient
        self.view_mm = scan.depth_mm - patient.wall_mm
        self.row_mm = scan.row_mm
        self.beam_mm = scan.beam_mm(patient.wall_mm)
        self.below_mm = ((np.arange(CANVAS_ROWS, dtype=np.float32) - PLEURA_ROW) * self.row_mm)[:, None]
        self.across_mm = ((np.arange(CANVAS_BEAMS, dtype=np.float32) - CANVAS_BEAMS / 2) * self.beam_mm)[None, :]
        self.everywhere = np.ones_like(self.across_mm)
        self.inside = (self.below_mm > 0).astype(np.float32)

    def wander(self, grain_mm: float) -> Array:
        """Returns a random curve along the pleura, [1, CANVAS_BEAMS] float32 of mean 0 and deviation 1."""
        return _unit(cv2.GaussianBlur(self.rng.standard_normal((1, CANVAS_BEAMS), dtype=np.float32), (0, 0), grain_mm / self.beam_mm))

    def clouds(self, grain_mm: float) -> Array:
        """Returns a random texture, [CANVAS_ROWS, CANVAS_BEAMS] float32 of mean 0 and deviation 1."""
        noise = self.rng.standard_normal((CANVAS_ROWS, CANVAS_BEAMS), dtype=np.float32)
        return _unit(cv2.GaussianBlur(noise, (0, 0), sigmaX=grain_mm / self.beam_mm, sigmaY=grain_mm / self.row_mm))

    def pleural_line(self, *, thickness_mm: float, ragged_mm: float, gaps: float) -> Array:
        """Paints the pleural line; `gaps` is how broken it is, from 0 to 1."""
        depth_mm = ragged_mm * self.wander(1.2)
        width_mm = thickness_mm * np.exp(0.35 * gaps * self.wander(2.0))
        brightness = 1.2 * np.exp(0.3 * self.wander(4.0)) * (1 - gaps * (self.wander(2.5) > 0.9))
        return brightness * np.exp(-0.5 * ((self.below_mm - depth_mm) / width_mm) ** 2)

    def haze(self) -> Array:
        """Paints the diffuse reverberation under the pleura that dies away with depth."""
        amplitude, length_mm = self.rng.uniform(0.02, 0.05), self.rng.uniform(18, 40)
        return self.inside * amplitude * np.exp(-self.below_mm / length_mm) * np.exp(0.25 * self.wander(6.0))

    def b_line(self, centre_mm: float, width_mm: float, amplitude: float) -> Array:
        """Paints one B-line: a ray from the pleura to the bottom that does not fade and has the fine bands of ringing."""
        profile = np.exp(-0.5 * ((self.across_mm - centre_mm) / (width_mm * (1 + self.below_mm.clip(0) / 150))) ** 2)
        ringing = 1 + 0.25 * np.sin(2 * np.pi * self.below_mm / self.rng.uniform(1.5, 3) + self.rng.uniform(0, 6))
        return self.inside * amplitude * profile * ringing


def paint_normal(painter: Painter) -> Lung:
    """Paints a healthy, aerated lung."""
    rng = painter.rng
    sliding = painter.haze()
    sliding += painter.pleural_line(thickness_mm=rng.uniform(0.45, 0.75), ragged_mm=0.08, gaps=0.0)
    if rng.random() < 0.2:
        sliding += painter.b_line(rng.uniform(-15, 15), rng.uniform(0.5, 0.9), 0.06)
    return Lung(sliding, rng.uniform(0.25, 0.55), painter.everywhere)


def paint_covid(painter: Painter) -> Lung:
    """Paints an interstitial syndrome: B-lines under a ragged pleura, more of them and wider ones with severity."""
    rng = painter.rng
    sliding = painter.haze()
    sliding += painter.pleural_line(thickness_mm=rng.uniform(0.55, 1.0), ragged_mm=rng.uniform(0.3, 0.7), gaps=rng.uniform(0.4, 0.9))
    pitch_mm = 17 - 8 * painter.patient.severity
    for centre_mm in np.arange(painter.across_mm.min(), painter.across_mm.max(), pitch_mm):
        confluent = rng.random() < 0.1 + 0.3 * painter.patient.severity
        width_mm = rng.uniform(2.5, 5) if confluent else rng.uniform(0.6, 1.5)
        sliding += painter.b_line(centre_mm + rng.uniform(-0.4, 0.4) * pitch_mm, width_mm, rng.uniform(0.14, 0.45))
    return Lung(sliding, 0.0, painter.everywhere)


def paint_pneumonia(painter: Painter) -> Lung:
    """Paints a consolidation with air bronchograms in an otherwise aerated lung; it is larger with severity."""
    rng = painter.rng
    centre_mm = painter.patient.lesion_mm + rng.uniform(-4, 4)
    half_width_mm = (rng.uniform(0.30, 0.38) + 0.12 * painter.patient.severity) * BEAMS * painter.beam_mm
    height_mm = (rng.uniform(0.36, 0.48) + 0.25 * painter.patient.severity) * painter.view_mm
    dome = np.sqrt(np.clip(1 - ((painter.across_mm - centre_mm) / half_width_mm) ** 2, 0, 1))
    border_mm = height_mm * dome * (1 + 0.14 * painter.wander(4.0) + 0.05 * painter.wander(1.0))
    behind_mm = painter.below_mm - border_mm
    consolidated = painter.inside / (1 + np.exp(np.clip(behind_mm / 0.8, -30, 30)))
    tissue = rng.uniform(0.010, 0.024) * np.exp(0.4 * painter.clouds(2.0)) + _air_bronchograms(painter, centre_mm, half_width_mm, height_mm)
    shred = rng.uniform(0.05, 0.14) * dome * np.exp(1.0 * painter.clouds(1.3) - behind_mm.clip(0) / rng.uniform(4, 12))
    aerated = painter.haze() + painter.inside * shred
    line = painter.pleural_line(thickness_mm=rng.uniform(0.5, 0.9), ragged_mm=0.2, gaps=rng.uniform(0.2, 0.6)) * (1 - 0.6 * dome)
    return Lung(consolidated * tissue + (1 - consolidated) * aerated + line, rng.uniform(0.05, 0.15), (1 - 2 * dome).clip(0))


PAINTERS: dict[str, Callable[[Painter], Lung]] = {"covid": paint_covid, "pneumonia": paint_pneumonia, "normal": paint_normal}


def _air_bronchograms(painter: Painter, centre_mm: float, half_width_mm: float, height_mm: float) -> Array:
    """Paints air in the bronchi of a consolidation: bright branches and spots; [CANVAS_ROWS, CANVAS_BEAMS] float32."""
    rng = painter.rng
    air = np.zeros((CANVAS_ROWS, CANVAS_BEAMS), np.float32)
    for _ in range(int(rng.integers(4, 10))):
        start_mm = np.array([centre_mm + 0.6 * half_width_mm * rng.uniform(-1, 1), height_mm * rng.uniform(0.2, 0.8)])
        steps_mm = np.cumsum(rng.normal(0, 1, (int(rng.integers(1, 7)), 2)) * 0.8 + rng.normal(0, 1.0, 2), axis=0)
        points = np.vstack([start_mm, start_mm + steps_mm]) / [painter.beam_mm, painter.row_mm] + [CANVAS_BEAMS / 2, PLEURA_ROW]
        brightness = rng.uniform(0.15, 0.8)
        cv2.polylines(air, [points.round().astype(np.int32)], False, brightness, thickness=int(rng.integers(1, 3)))
    return cv2.GaussianBlur(air, (0, 0), 0.8)


def echoes(class_name: str, scan: Scan, patient: Patient, rng: np.random.Generator) -> Iterator[Array]:
    """Yields the echoes of a video, frame by frame.

    Args:
        class_name: a key of PAINTERS.
        scan: how it is recorded.
        patient: who is recorded.
        rng: for what differs between the videos of a patient.

    Yields:
        [ROWS, BEAMS] float32 amplitudes; 1 is 0 dB.
    """
    painter = Painter(scan, patient, rng)
    pleura = _pleura_rows(painter)
    wall = _wall(painter, pleura)
    shadow, cortex = _ribs(painter, pleura)
    lung = PAINTERS[class_name](painter)
    a_lines = _a_lines(painter, lung.a_lines, pleura)
    sliding = (lung.sliding * speckle(rng, lung.sliding.shape, scan)).astype(np.float32)
    aerated = np.broadcast_to(lung.aerated, sliding.shape).astype(np.float32)
    rows, columns = np.mgrid[:ROWS, :BEAMS].astype(np.float32)
    phase = rng.uniform(0, 2 * np.pi)
    for frame in range(scan.num_frames):
        breath = np.sin(2 * np.pi * patient.breath_hz * frame / scan.frame_rate_fps + phase)
        shift = MARGIN_BEAMS + breath * patient.sliding_mm / painter.beam_mm
        view = (columns + np.float32(shift), rows - pleura + np.float32(PLEURA_ROW))
        lung_echo = cv2.remap(sliding, *view, cv2.INTER_LINEAR)
        reverberation = a_lines * cv2.remap(aerated, *view, cv2.INTER_LINEAR) * (1 + 0.15 * breath)
        yield (wall + lung_echo + reverberation) * shadow + cortex


def _pleura_rows(painter: Painter) -> Array:
    """Returns the row of the pleura under each beam, [1, BEAMS] float32: tilted and slightly bent."""
    across = np.linspace(-1, 1, BEAMS, dtype=np.float32)[None, :]
    depth_mm = painter.patient.wall_mm + painter.rng.uniform(-1.5, 1.5) * across + painter.rng.uniform(-1, 1) * across**2
    return (depth_mm / painter.row_mm).astype(np.float32)


def _wall(painter: Painter, pleura: Array) -> Array:
    """Paints skin, fat and muscle: layers across the view with fascias between them; [ROWS, BEAMS] float32."""
    rng = painter.rng
    rows = np.arange(ROWS, dtype=np.float32)[:, None]
    layers = _unit(cv2.GaussianBlur(rng.standard_normal((ROWS, BEAMS), dtype=np.float32), (0, 0), sigmaX=28, sigmaY=0.9 / painter.row_mm))
    fascias = _unit(cv2.GaussianBlur(rng.standard_normal((ROWS, BEAMS), dtype=np.float32), (0, 0), sigmaX=18, sigmaY=0.35 / painter.row_mm))
    skin = 0.5 * np.exp(-rows * painter.row_mm / 1.2)
    tissue = painter.patient.wall_echo * (np.exp(0.7 * layers) + 2.5 * (fascias - 1.0).clip(0)) + skin
    above = 1 / (1 + np.exp(np.clip((rows - pleura) * painter.row_mm / 0.25, -30, 30)))
    return above * tissue * speckle(rng, (ROWS, BEAMS), painter.scan)


def _ribs(painter: Painter, pleura: Array) -> tuple[Array, Array]:
    """Returns the acoustic shadow of the ribs (a factor) and the echo of their surface, both [ROWS, BEAMS] float32.

    Some videos look along an intercostal space and show no rib.
    """
    rng = painter.rng
    shadow, cortex = np.ones((ROWS, BEAMS), np.float32), np.zeros((ROWS, BEAMS), np.float32)
    if rng.random() < 0.4:
        return shadow, cortex
    depth_mm = np.arange(ROWS, dtype=np.float32)[:, None] * painter.row_mm
    across_mm = (np.arange(BEAMS, dtype=np.float32) - BEAMS / 2)[None, :] * painter.beam_mm
    middle_mm = rng.uniform(-4, 4)
    for centre_mm in (middle_mm - painter.patient.rib_spacing_mm / 2, middle_mm + painter.patient.rib_spacing_mm / 2):
        offset = (across_mm - centre_mm) / (painter.patient.rib_width_mm / 2)
        surface_mm = 0.72 * pleura * painter.row_mm + 1.5 * offset**2
        beside = 1 / (1 + np.exp(np.clip(8 * (np.abs(offset) - 1), -30, 30)))
        shadow *= 1 - 0.96 * beside * (depth_mm > surface_mm)
        cortex += 1.1 * beside * np.exp(-0.5 * ((depth_mm - surface_mm) / 0.6) ** 2)
    return shadow, cortex * speckle(rng, (ROWS, BEAMS), painter.scan)


def _a_lines(painter: Painter, amplitude: float, pleura: Array) -> Array:
    """Paints the reverberations of the pleura at its multiples, each weaker than the one above; [ROWS, BEAMS] float32."""
    rows = np.arange(ROWS, dtype=np.float32)[:, None]
    lines = np.zeros((ROWS, BEAMS), np.float32)
    decay = painter.rng.uniform(0.5, 0.7)
    for multiple in range(2, 2 + int(ROWS // pleura.min())):
        width_mm = 0.5 + 0.15 * multiple
        lines += decay ** (multiple - 2) * np.exp(-0.5 * ((rows - multiple * pleura) * painter.row_mm / width_mm) ** 2)
    patches = np.exp(0.6 * painter.wander(7.0)[:, :BEAMS])
    return amplitude * lines * patches * speckle(painter.rng, (ROWS, BEAMS), painter.scan)


def _unit(noise: Array) -> Array:
    """Scales noise to mean 0 and deviation 1."""
    return (noise - noise.mean()) / noise.std()
