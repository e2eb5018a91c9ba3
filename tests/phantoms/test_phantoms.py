"""Phantoms are checked as a stranger would: files are decoded with PyAV, and the signs of each class are measured on grey frames."""

import csv
import hashlib
import os
from collections import Counter, defaultdict
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from components.core.errors import UsageError
from components.core.records.clips import CLASS_NAMES
from components.core.records.manifest import ManifestRow, read_manifest
from components.phantoms.phantoms import generate_phantoms, local_folder_of

PATIENTS_PER_CLASS = 4
VIDEOS_PER_PATIENT = 2


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms") / "set"
    return generate_phantoms(folder, patients_per_class=PATIENTS_PER_CLASS, videos_per_patient=VIDEOS_PER_PATIENT, seed=0)


@pytest.fixture(scope="module")
def rows(manifest: Path) -> list[ManifestRow]:
    return read_manifest(str(manifest))


@pytest.fixture(scope="module")
def videos(rows: list[ManifestRow]) -> dict[str, list[np.ndarray]]:
    """Per class, the sectors of its videos: [frames, height, width] float32 grey, cropped to what is not black."""
    by_class = defaultdict(list)
    for row in rows:
        by_class[row.class_name].append(cropped_sector(decoded_with_pyav(row.uri)))
    return by_class


def decoded_with_pyav(path: str) -> np.ndarray:
    with av.open(path) as container:
        return np.stack([frame.to_ndarray(format="gray") for frame in container.decode(video=0)]).astype(np.float32)


def cropped_sector(frames: np.ndarray) -> np.ndarray:
    lit = frames.mean(axis=0) > 10
    ys, xs = np.flatnonzero(lit.mean(axis=1) > 0.02), np.flatnonzero(lit.mean(axis=0) > 0.02)
    return frames[:, ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1]


def bytes_of(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def tiny_set(folder: Path, seed: int) -> dict[str, str]:
    generate_phantoms(folder, patients_per_class=3, videos_per_patient=1, seed=seed)
    return bytes_of(folder)


class TestFiles:
    def test_same_seed_gives_same_bytes_with_any_number_of_threads(self, tmp_path, monkeypatch):
        first = tiny_set(tmp_path / "first", seed=5)
        monkeypatch.setattr(os, "cpu_count", lambda: 1)
        assert tiny_set(tmp_path / "second", seed=5) == first

    def test_other_seed_replaces_the_set_by_other_patients(self, tmp_path):
        first = tiny_set(tmp_path / "set", seed=1)
        second = tiny_set(tmp_path / "set", seed=2)
        assert len(second) == len(first) == 1 + 3 * len(CLASS_NAMES)
        assert not {name for name in first if name.startswith("videos/")} & second.keys()
        assert not set(first.values()) & set(second.values())
        assert [path.name for path in tmp_path.iterdir()] == ["set"]

    @pytest.mark.parametrize("stranger", ["notes.txt", "videos/mine.mp4"])
    def test_nothing_but_phantoms_is_replaced(self, tmp_path, stranger):
        path = tmp_path / stranger
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"mine")
        with pytest.raises(UsageError, match="something else than phantoms"):
            tiny_set(tmp_path, seed=0)
        assert path.read_bytes() == b"mine"

    def test_manifest_is_valid_and_says_that_these_are_phantoms(self, manifest, rows):
        assert len(rows) == len(CLASS_NAMES) * PATIENTS_PER_CLASS * VIDEOS_PER_PATIENT
        for row in rows:
            assert row.source == "phantom"
            assert row.license == "CC0-1.0"
            assert row.expected_sha256 == hashlib.sha256(Path(row.uri).read_bytes()).hexdigest()
        with manifest.open(newline="") as file:
            assert not any(Path(cells["uri"]).is_absolute() for cells in csv.DictReader(file))

    def test_manifest_lists_every_file(self, manifest, rows):
        assert {Path(row.uri) for row in rows} == set((manifest.parent / "videos").iterdir())

    def test_opencv_and_pyav_decode_the_same_frames(self, rows):
        for row in rows:
            frames = decoded_with_pyav(row.uri)
            capture = cv2.VideoCapture(row.uri)
            stated = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
            grey = []
            while (answer := capture.read())[0]:
                grey.append(cv2.cvtColor(answer[1], cv2.COLOR_BGR2GRAY))
            assert len(grey) == len(frames) == stated, row.uri
            assert 30 <= len(frames) <= 60
            assert np.abs(np.stack(grey) - frames).mean() < 3, row.uri


class TestNoShortCuts:
    def test_every_class_has_its_own_patients(self, rows):
        classes_of = defaultdict(set)
        for row in rows:
            classes_of[row.group].add(row.class_name)
        assert all(len(classes) == 1 for classes in classes_of.values())
        assert Counter(name for (name,) in classes_of.values()) == dict.fromkeys(CLASS_NAMES, PATIENTS_PER_CLASS)

    def test_recordings_are_distributed_alike(self, rows):
        recordings = defaultdict(Counter)
        for row in rows:
            with av.open(row.uri) as container:
                stream = container.streams.video[0]
                seen = (Path(row.uri).suffix, row.probe, stream.average_rate, stream.width, stream.height)
            recordings[row.class_name][seen] += 1
        covid, pneumonia, normal = (recordings[name] for name in CLASS_NAMES)
        assert covid == pneumonia == normal
        containers, probes, rates, widths, _ = (set(values) for values in zip(*covid, strict=True))
        assert containers == {".mp4", ".avi", ".gif"}
        assert probes == {"convex", "linear"}
        assert rates == {10, 12.5, 20, 25}
        assert len(widths) > 3

    def test_sector_stands_at_the_same_place_for_every_class(self, rows):
        for place in range(PATIENTS_PER_CLASS * VIDEOS_PER_PATIENT):
            twins = [[row for row in rows if row.class_name == name][place] for name in CLASS_NAMES]
            skins = [skin_mask(decoded_with_pyav(row.uri)) for row in twins]
            assert skins[0].sum() > 300
            assert all((skins[0] ^ skin).sum() < 0.05 * skins[0].sum() for skin in skins)


def skin_mask(frames: np.ndarray) -> np.ndarray:
    """Returns what is lit in the first rows of the sector, where no class and no gain leaves it dark."""
    lit = frames.mean(axis=0) > 40
    lit[np.flatnonzero(lit.any(axis=1))[0] + 12 :] = False
    return lit


def pleura_row(depth_profile: np.ndarray) -> int:
    """Returns where the thin bright line stands out most, in the upper half and under the skin."""
    profile = depth_profile[:, None]
    line = cv2.GaussianBlur(profile, (0, 0), 1.5) - cv2.GaussianBlur(profile, (0, 0), 0.04 * len(profile))
    skin = int(0.08 * len(profile))
    return skin + int(np.argmax(line[skin : len(profile) // 2]))


def central_beams(frames: np.ndarray) -> np.ndarray:
    """Returns the mean image of the beams in the middle, which run straight down with either probe, from the skin on."""
    width = frames.shape[2]
    beams = frames[:, :, int(0.44 * width) : int(0.56 * width)].mean(axis=0)
    return beams[np.flatnonzero(beams.max(axis=1) > 15)[0] :]


def a_line_contrast(frames: np.ndarray) -> float:
    """Returns grey levels at twice the depth of the pleura above those before it; nan where that is out of view."""
    profile = central_beams(frames).mean(axis=1)
    pleura = pleura_row(profile)
    if 2.1 * pleura >= len(profile):
        return float("nan")
    return profile[int(1.95 * pleura) : int(2.05 * pleura) + 2].max() - profile[int(1.4 * pleura) : int(1.8 * pleura)].mean()


def moving_streaks(frames: np.ndarray) -> float:
    """Returns how much the mean of a column in the lower half changes over time: streaks down to the bottom that slide."""
    _, height, width = frames.shape
    columns = frames[:, height // 2 :, int(0.3 * width) : int(0.7 * width)].mean(axis=1)
    return float(columns.std(axis=0).mean())


def moving_spots(frames: np.ndarray) -> float:
    """Returns the strongest change over time of small spots between the pleura and the depth of its first reverberation."""
    top = frames.shape[1] - len(central_beams(frames))
    pleura = pleura_row(central_beams(frames).mean(axis=1))
    width = frames.shape[2]
    region = frames[:, top + int(1.15 * pleura) : top + int(1.85 * pleura), int(0.3 * width) : int(0.7 * width)]
    spots = [cv2.morphologyEx(cv2.GaussianBlur(image, (0, 0), 1.2), cv2.MORPH_TOPHAT, np.ones((13, 13))) for image in region]
    return float(np.percentile(np.std(spots, axis=0), 99))


def motion_above_and_below_pleura(frames: np.ndarray) -> float:
    """Returns how much the chest wall changes over time, as a fraction of the change under the pleura."""
    width = frames.shape[2]
    beams = frames[:, -len(central_beams(frames)) :, int(0.44 * width) : int(0.56 * width)]
    pleura = pleura_row(beams.mean(axis=(0, 2)))
    change = np.stack([cv2.GaussianBlur(image, (0, 0), 1) for image in beams]).std(axis=0).mean(axis=1)
    return float(change[int(0.3 * pleura) : int(0.8 * pleura)].mean() / change[int(1.1 * pleura) : int(1.6 * pleura)].mean())


class TestSigns:
    def test_normal_lung_repeats_the_pleura_at_twice_its_depth(self, videos):
        contrast = {name: np.array([a_line_contrast(frames) for frames in videos[name]]) for name in CLASS_NAMES}
        assert np.nanmin(contrast["normal"]) > 25
        assert np.nanmedian(contrast["covid"]) < 12
        assert np.nanmedian(contrast["pneumonia"]) < np.nanmin(contrast["normal"])

    def test_covid_lung_has_streaks_that_slide(self, videos):
        streaks = {name: [moving_streaks(frames) for frames in videos[name]] for name in CLASS_NAMES}
        assert np.median(streaks["covid"]) > 12
        assert np.median(streaks["covid"]) > 2 * np.median(streaks["pneumonia"])
        assert np.median(streaks["covid"]) > 4 * np.median(streaks["normal"])

    def test_consolidation_has_bright_spots_that_slide(self, videos):
        spots = {name: [moving_spots(frames) for frames in videos[name]] for name in CLASS_NAMES}
        assert np.median(spots["pneumonia"]) > 1.5 * np.median(spots["normal"])

    def test_lung_slides_under_a_chest_wall_that_stands_still(self, videos):
        assert np.median([motion_above_and_below_pleura(frames) for frames in videos["normal"]]) < 0.3


@pytest.mark.parametrize(
    ("name", "value"),
    [("patients_per_class", 2), ("patients_per_class", 1001), ("videos_per_patient", 0), ("videos_per_patient", 1001), ("seed", -1)],
)
def test_number_out_of_range_is_a_usage_error(tmp_path, name, value):
    numbers = {"patients_per_class": 3, "videos_per_patient": 1, "seed": 0, name: value}
    with pytest.raises(UsageError, match=name):
        generate_phantoms(tmp_path / "set", **numbers)
    assert not list(tmp_path.iterdir())


def test_cloud_destination_is_a_usage_error():
    with pytest.raises(UsageError, match="local folder"):
        local_folder_of("gs://bucket/phantoms")
