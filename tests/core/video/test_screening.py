"""Bad videos are made of scikit-learn's two photographs; good ones are speckle that moves."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from components.core.errors import DataError
from components.core.records.manifest import read_manifest
from components.core.video.clip_reader import read_clips
from components.core.video.sampling import Sampling
from components.core.video.screening import MAX_COLOURED, coloured_share
from tests.videos import write_video

SAMPLING = Sampling(10, 2)


def speckle(num_frames: int = 16) -> np.ndarray:
    noise = np.random.default_rng(0).rayleigh(40, (96 + num_frames, 128)).clip(0, 255).astype(np.uint8)
    moving = np.stack([noise[start : start + 96] for start in range(num_frames)])
    return np.repeat(moving[..., None], 3, axis=3)


def panned(photograph: str, num_frames: int = 16) -> np.ndarray:
    image = load_sample_image(photograph)
    return np.stack([image[100:292, 4 * start : 4 * start + 256] for start in range(num_frames)])


def read(folder: Path, frames: np.ndarray) -> None:
    read_clips(write_video(folder / "video.avi", frames, fps=10), None, SAMPLING)


def test_moving_speckle_is_taken_with_any_tint(tmp_path: Path) -> None:
    read(tmp_path, speckle())
    for tint in ((1, 0.75, 0.45), (0.6, 0.8, 1)):
        read(tmp_path, (speckle() * np.array(tint)).astype(np.uint8))


@pytest.mark.parametrize("photograph", ["china.jpg", "flower.jpg"])
def test_natural_colours_are_no_ultrasound(tmp_path: Path, photograph: str) -> None:
    with pytest.raises(DataError, match=r"not ultrasound: \d+% of its pixels have natural colours"):
        read(tmp_path, panned(photograph))


def test_a_recorded_page_of_text_is_no_ultrasound(tmp_path: Path) -> None:
    page = np.full((16, 96, 128, 3), 245, np.uint8)
    page[:, 10:90:8, 10:100] = 20
    for number, frame in enumerate(page):
        frame[:, 2 * number : 2 * number + 3] = 0
    with pytest.raises(DataError, match="not ultrasound: it is bright"):
        read(tmp_path, page)


def test_a_black_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it is black"):
        read(tmp_path, speckle() // 16)


def test_a_still_image_is_frozen_even_if_the_codec_makes_it_flicker(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it is frozen"):
        read(tmp_path, np.repeat(speckle(1), 16, axis=0))


def test_a_small_colour_doppler_box_passes() -> None:
    frame = speckle(1)[0]
    frame[40:64, 48:72, ::2] = (200, 20)
    assert 0.02 < coloured_share(frame) < MAX_COLOURED / 2


@pytest.mark.slow
@pytest.mark.real_data
def test_no_real_video_is_taken_for_something_else(real_manifest: Path) -> None:
    for row in read_manifest(str(real_manifest)):
        read_clips(Path(row.uri), row.crop, SAMPLING)
