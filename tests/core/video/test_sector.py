import csv
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from components.core.records.clips import FRAME_SIZE_PX
from components.core.video.sampling import Sampling, sample_clips
from components.core.video.sector import Kind, Sector, find_sector, given_sector

ROWS, BEAMS, FRAMES = 240, 160, 8


@dataclasses.dataclass(frozen=True)
class Scanner:
    """A frame and the sector that is drawn in it; `radius_px` 0 draws a rectangle of `width_px`, otherwise a fan."""

    frame: tuple[int, int] = (400, 480)
    top_x: float = 240
    top_y: float = 30
    depth_px: float = 320
    radius_px: float = 130
    half_angle: float = 0.5
    width_px: float = 300

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Where each pixel is across the scan lines and down along them, 0 to 1 within the sector."""
        y, x = np.mgrid[: self.frame[0], : self.frame[1]].astype(np.float32)
        x, y = x - self.top_x, y - self.top_y
        if not self.radius_px:
            return x / self.width_px + 0.5, y / self.depth_px
        angle, radius = np.arctan2(x, y + self.radius_px), np.hypot(x, y + self.radius_px)
        return angle / self.half_angle / 2 + 0.5, (radius - self.radius_px) / self.depth_px

    def mask(self) -> np.ndarray:
        across, down = self.places()
        return (across >= 0) & (across <= 1) & (down >= 0) & (down <= 1)

    def show(self, beams: np.ndarray) -> np.ndarray:
        """Shows one frame of beams [ROWS, BEAMS] as [height, width, 3] uint8."""
        across, down = self.places()
        grey = cv2.remap(beams, (across * (BEAMS - 1)).astype(np.float32), (down * (ROWS - 1)).astype(np.float32), cv2.INTER_LINEAR)
        return np.repeat(np.where(self.mask(), grey, 0).astype(np.uint8)[..., None], 3, axis=2)

    def video(self, beams: np.ndarray) -> list[np.ndarray]:
        return [self.show(frame) for frame in beams]


FAN = Scanner()
RECTANGLE = Scanner(radius_px=0, top_x=200, top_y=40, width_px=260, depth_px=300)
SCANNERS = {
    "fan": FAN,
    "small fan in a corner": Scanner((480, 640), top_x=180, top_y=60, depth_px=200, radius_px=60, half_angle=0.6),
    "wide fan of a flat probe": Scanner((600, 800), top_x=400, top_y=20, depth_px=500, radius_px=90, half_angle=0.65),
    "large frame": Scanner((900, 1200), top_x=500, top_y=100, depth_px=700, radius_px=300, half_angle=0.45),
    "fan cut by the frame": Scanner((400, 400), top_x=200, top_y=-10, depth_px=380, radius_px=140, half_angle=0.55),
    "rectangle": RECTANGLE,
    "upright rectangle at the side": Scanner((480, 640), radius_px=0, top_x=480, top_y=20, width_px=200, depth_px=430),
}


def anatomy(seed: int = 0, brightness: float = 90, shadows: bool = True) -> np.ndarray:
    """Beams [FRAMES, ROWS, BEAMS] uint8: speckle that changes, a bright pleural line, and dark shadows below it."""
    rng = np.random.default_rng(seed)
    speckle = np.stack([cv2.GaussianBlur(rng.random((ROWS, BEAMS), np.float32), (0, 0), 1.2) for _ in range(FRAMES)])
    beams = brightness * (0.6 + 2 * np.abs(speckle - 0.5)) * np.linspace(1.2, 0.5, ROWS)[:, None]
    pleura = int(rng.integers(50, 80))
    beams[:, pleura : pleura + 5] = 2.2 * brightness
    if shadows:
        for start in rng.integers(0, BEAMS - 25, 2):
            beams[:, pleura + 15 :, start : start + 25] *= 0.04
    return beams.clip(0, 255).astype(np.uint8)


def annotated(frames: list[np.ndarray]) -> list[np.ndarray]:
    """Burns text, a ruler, a filled logo and a grey bar into the corners and sides of frames, as scanners do."""
    marked = []
    for frame in frames:
        image = frame.copy()
        height, width = image.shape[:2]
        cv2.putText(image, "MI 1.1", (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 255, 255), 1)
        cv2.putText(image, "12 cm", (width - 60, height - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1)
        cv2.rectangle(image, (4, height - 40), (34, height - 10), (255, 200, 60), cv2.FILLED)
        for y in range(10, height, 25):
            cv2.line(image, (width - 6, y), (width - 1, y), (255, 255, 255), 1)
        marked.append(image)
    return marked


def overlap(found: np.ndarray, expected: np.ndarray) -> float:
    return (found & expected).sum() / (found | expected).sum()


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    y, x = np.nonzero(mask)
    return x.min(), y.min(), x.max() - x.min() + 1, y.max() - y.min() + 1


def normalised(sector: Sector, frames: list[np.ndarray]) -> np.ndarray:
    return sector.normalise(frames).astype(float)


@pytest.mark.parametrize("scanner", SCANNERS.values(), ids=SCANNERS)
@pytest.mark.parametrize("brightness", [12, 90])
def test_the_sector_is_found_beside_text_and_logos(scanner: Scanner, brightness: float) -> None:
    sector = find_sector(annotated(scanner.video(anatomy(brightness=brightness))))
    assert sector.kind == (Kind.CONVEX if scanner.radius_px else Kind.LINEAR)
    assert overlap(sector.mask, scanner.mask()) > 0.93
    assert np.abs(np.subtract(box_of(sector.mask), box_of(scanner.mask()))).max() <= 0.02 * max(scanner.frame)


@pytest.mark.parametrize("scanner", SCANNERS.values(), ids=SCANNERS)
def test_what_is_beside_the_sector_leaves_no_trace(scanner: Scanner) -> None:
    frames = scanner.video(anatomy())
    marked = annotated(frames)
    sector = find_sector(marked)
    outside = ~scanner.mask()
    painted = [np.where(outside[..., None], np.uint8(255), frame) for frame in frames]
    # A white surrounding would shine into the output wherever it is sampled.
    difference = np.abs(normalised(sector, painted) - normalised(sector, frames))
    assert (difference > 8).mean() < 0.003


def test_text_does_not_widen_a_sector_that_it_touches() -> None:
    frames = FAN.video(anatomy())
    for frame in frames:
        cv2.putText(frame, "LUNG", (300, 110), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 2)
    assert overlap(find_sector(frames).mask, FAN.mask()) > 0.95


@pytest.mark.parametrize("background", [0, 11])
def test_noise_of_the_codec_and_a_grey_background_are_not_echoes(background: int) -> None:
    rng = np.random.default_rng(3)
    frames = [
        np.maximum(frame, background).clip(0, 250) + rng.integers(0, 2, (*FAN.frame, 1), np.uint8)
        for frame in FAN.video(anatomy(brightness=60))
    ]
    assert overlap(find_sector(frames).mask, FAN.mask()) > 0.93


def test_a_fan_with_a_shadowed_side_keeps_it() -> None:
    beams = anatomy(shadows=False)
    beams[:, 60:, :50] = 0
    sector = find_sector(FAN.video(beams))
    assert overlap(sector.mask, FAN.mask()) > 0.93


def test_the_same_anatomy_looks_the_same_wherever_it_is_shown() -> None:
    beams = anatomy()
    complete = [scanner for name, scanner in SCANNERS.items() if "cut" not in name]
    outputs = [normalised(find_sector(video), video) for video in (scanner.video(beams) for scanner in complete)]
    for output in outputs[1:]:
        assert np.abs(output - outputs[0]).mean() < 0.1 * outputs[0].mean()
        assert np.corrcoef(output.ravel(), outputs[0].ravel())[0, 1] > 0.9


@pytest.mark.parametrize("scanner", [FAN, RECTANGLE], ids=["fan", "rectangle"])
def test_scan_lines_stand_upright_and_depth_runs_down(scanner: Scanner) -> None:
    depth = np.tile(np.linspace(40, 240, ROWS)[:, None], (FRAMES, 1, BEAMS)).astype(np.uint8)
    sector = find_sector(scanner.video(depth))
    rows = normalised(sector, scanner.video(depth))[0]
    assert rows.std(axis=1).max() < 3
    assert rows.mean(axis=1) == pytest.approx(np.linspace(40, 240, FRAME_SIZE_PX), abs=6)
    lines = np.tile(np.linspace(40, 240, BEAMS), (FRAMES, ROWS, 1)).astype(np.uint8)
    columns = normalised(sector, scanner.video(lines))[0]
    assert columns[8:-8].std(axis=0).max() < 3
    assert columns.mean(axis=0) == pytest.approx(np.linspace(40, 240, FRAME_SIZE_PX), abs=6)


def test_a_fan_that_the_frame_cuts_off_gives_no_black_corner() -> None:
    scanner = SCANNERS["fan cut by the frame"]
    frames = scanner.video(np.full((FRAMES, ROWS, BEAMS), 100, np.uint8))
    output = normalised(find_sector(frames), frames)
    assert output.shape == (FRAMES, FRAME_SIZE_PX, FRAME_SIZE_PX)
    assert output.min() > 90


def test_an_echo_that_few_frames_show_is_kept() -> None:
    beams = np.zeros((FRAMES, ROWS, BEAMS), np.uint8)
    beams[:, :80] = anatomy()[:, :80]
    beams[5, 200:] = 120
    _, y, _, height = box_of(find_sector(FAN.video(beams)).mask)
    assert y + height == pytest.approx(30 + 320, abs=6)


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((120, 160, 3), np.uint8),
        np.full((120, 160, 3), 80, np.uint8),
        np.random.default_rng(0).integers(0, 255, (300, 200, 3), np.uint8),
        np.full((1, 1, 3), 7, np.uint8),
        np.full((2, 900, 3), 7, np.uint8),
    ],
    ids=["black", "grey", "noise", "one pixel", "one line"],
)
def test_a_frame_without_a_border_is_used_whole(frame: np.ndarray) -> None:
    sector = find_sector([frame] * 3)
    height, width = frame.shape[:2]
    assert sector.kind == Kind.UNKNOWN
    assert box_of(sector.mask) == (0, 0, width, height)
    assert sector.mask.all()
    assert sector.normalise([frame]).mean() == pytest.approx(frame.mean(), abs=2)


def test_text_alone_is_no_sector() -> None:
    frames = annotated([np.zeros((480, 640, 3), np.uint8)] * FRAMES)
    sector = find_sector(frames)
    assert sector.kind == Kind.UNKNOWN or sector.mask.sum() < 0.01 * sector.mask.size


def test_a_given_box_is_shown_exactly() -> None:
    frame = np.zeros((100, 200, 3), np.uint8)
    frame[10:50, 30:110] = 200
    sector = given_sector((30, 10, 80, 40), (100, 200))
    assert (sector.kind, box_of(sector.mask), sector.mask.sum()) == (Kind.GIVEN, (30, 10, 80, 40), 80 * 40)
    assert sector.normalise([frame])[0, 3:-3, 3:-3].min() == 200


def test_colour_does_not_survive() -> None:
    (frame,) = FAN.video(anatomy()[:1])
    tinted = (frame * np.array([1.0, 0.8, 0.7])).astype(np.uint8)
    assert find_sector([frame]).normalise([tinted]).ndim == 3


def test_the_same_frames_give_the_same_sector_and_bytes() -> None:
    frames = annotated(FAN.video(anatomy()))
    first, second = find_sector(frames), find_sector([frame.copy() for frame in frames])
    assert first == second
    assert np.array_equal(first.normalise(frames[3:4]), second.normalise(frames[3:4]))


def test_the_shape_of_the_sector_does_not_tell_the_class() -> None:
    """Each class has a hospital, each hospital its scanner; the anatomy is drawn alike for all."""
    scanners = (
        Scanner((360, 360), top_x=180, top_y=10, depth_px=300, radius_px=90, half_angle=0.5),
        Scanner((360, 480), top_x=260, top_y=40, depth_px=260, radius_px=160, half_angle=0.4),
        Scanner((360, 400), radius_px=0, top_x=180, top_y=20, width_px=260, depth_px=300),
    )
    labels = np.arange(36) % 3
    videos = [scanners[label].video(anatomy(seed)[:4]) for seed, label in enumerate(labels)]
    sectors = [find_sector(video) for video in videos]
    before = [_leftover(np.stack([cv2.resize(frame[..., 0], (224, 224)) for frame in video])) for video in videos]
    after = [_leftover(normalised(sector, video)) for sector, video in zip(sectors, videos, strict=True)]
    model = LogisticRegression(C=0.1, random_state=0)
    assert cross_val_score(model, before, labels, cv=4).mean() > 0.95
    # Chance is 1/3; two standard errors of 36 guesses are 0.16.
    assert cross_val_score(model, after, labels, cv=4).mean() < 0.5


def _leftover(video: np.ndarray) -> np.ndarray:
    """Which cells of a video are black, and which of those along its border: [14 × 14 + 52]."""
    cells = cv2.resize(video.mean(axis=0).astype(np.float32), (14, 14), interpolation=cv2.INTER_AREA) < 8
    return np.concatenate([cells.ravel(), cells[0], cells[-1], cells[1:-1, 0], cells[1:-1, -1]]).astype(float)


@pytest.mark.real_data
def test_sectors_of_the_real_videos(real_manifest: Path) -> None:
    """Probes are those of the manifest; two linear videos fill their frames, where no border shows what they are."""
    wrong = [
        (row["video_id"], str(sector.kind), row["probe"])
        for row, sector, _ in _real_sectors(real_manifest)
        if sector.kind not in (row["probe"], Kind.UNKNOWN if row["probe"] == "linear" else row["probe"])
    ]
    assert wrong == []


def _real_sectors(manifest: Path) -> Iterator[tuple[dict[str, str], Sector, list[np.ndarray]]]:
    with manifest.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            try:
                (clip,) = sample_clips(manifest.parent / row["uri"], Sampling(10, 1)).clips
            except Exception as error:
                raise AssertionError(row["video_id"]) from error
            frames = [frame.image for frame in clip]
            yield row, find_sector(frames), frames
