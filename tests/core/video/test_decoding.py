import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from components.core.errors import DataError
from components.core.manifest import read_manifest
from components.core.video.decoding import Image, check_decoder, open_video
from components.core.video.sampling import Sampling, sample_clips
from tests.videos import CODECS, decoded, numbered_frames, write_video

# Mean absolute difference in grey levels between two decoders of one frame: they round colour conversion differently,
# most in frames of odd size (1.3 measured on a real video of 148 × 141 px, 0.01 on all others).
DECODER_TOLERANCE = 2.0


def read_frames(path: Path) -> list[tuple[int, float, Image]]:
    with open_video(path) as video:
        return [(index, time_s, pixels()) for index, time_s, pixels in video.frames()]


@pytest.mark.parametrize("suffix", sorted(CODECS))
def test_frames_equal_those_of_an_independent_decoder(tmp_path: Path, suffix: str) -> None:
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (1, 12, 16, 3)).repeat(8, axis=1).repeat(8, axis=2)
    path = write_video(tmp_path / f"video{suffix}", (numbered_frames(20) // 2 + noise // 2).astype(np.uint8))
    expected = decoded(path)
    frames = read_frames(path)
    assert [index for index, _, _ in frames] == list(range(len(expected)))
    for (_, _, image), other in zip(frames, expected, strict=True):
        assert np.abs(image[:, :, ::-1].astype(int) - other).mean() < DECODER_TOLERANCE


@pytest.mark.parametrize("suffix", [".gif", ".mov", ".avi"])
@pytest.mark.parametrize("size", [(97, 131), (141, 148), (35, 17)])
def test_frames_of_odd_size_are_whole(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    height, width = size
    if suffix == ".mov":
        height, width = height + height % 2, width + width % 2 + 2
    ramp = np.linspace(30, 220, width, dtype=np.uint8)[None, None, :, None].repeat(3, axis=3).repeat(height, axis=1).repeat(5, axis=0)
    path = write_video(tmp_path / f"odd{suffix}", ramp)
    for (_, _, image), other in zip(read_frames(path), decoded(path), strict=True):
        assert image.shape == (height, width, 3)
        assert np.abs(image[:, :, ::-1].astype(int) - other).mean() < DECODER_TOLERANCE
    check_decoder(path)


@pytest.mark.parametrize(("turns", "matrix"), [(1, (0, 1, -1, 0)), (2, (-1, 0, 0, -1)), (3, (0, -1, 1, 0))])
def test_a_rotation_flag_is_followed(tmp_path: Path, turns: int, matrix: tuple[int, ...]) -> None:
    frames = np.zeros((5, 96, 128, 3), np.uint8)
    frames[:, :48, :64] = 220
    path = write_video(tmp_path / "turned.mov", frames)
    upright = decoded(path)[0]
    # The track header of ISO 14496-12, 8.3.2: a transformation matrix, 16.16 fixed point, the third column 2.30.
    path.write_bytes(path.read_bytes().replace(track_matrix(1, 0, 0, 1), track_matrix(*matrix)))
    for _, _, image in read_frames(path):
        assert np.abs(image[:, :, ::-1].astype(int) - np.rot90(upright, -turns)).mean() < DECODER_TOLERANCE


def track_matrix(a: int, b: int, c: int, d: int) -> bytes:
    # After it stand the width and the height of the track, which the matrix of the movie header has not.
    one = 1 << 16
    return struct.pack(">9i2I", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30, 128 * one, 96 * one)


@pytest.mark.parametrize(("size", "reason"), [((8192, 8192), "8192 × 8192 px are too large"), ((1, 1), "1 × 1 px are too small")])
def test_frames_of_senseless_size_are_refused_before_they_are_decoded(tmp_path: Path, size: tuple[int, int], reason: str) -> None:
    path = write_video(tmp_path / "video.gif", np.zeros((2, *size, 3), np.uint8))
    with pytest.raises(DataError, match=reason):
        read_frames(path)


def test_a_decoder_that_gives_memory_it_never_wrote_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "v.avi", numbered_frames(14))
    check_decoder(path)

    class UnwrittenMemory:
        def __init__(self, *arguments: Any) -> None:
            self._capture = capture_class(*arguments)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._capture, name)

        def retrieve(self) -> tuple[bool, np.ndarray]:
            return True, np.empty((96, 128, 3), np.uint8)

    capture_class = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", UnwrittenMemory)
    with pytest.raises(DataError, match="other pixels each time"):
        check_decoder(path)


def test_times_follow_the_file_when_the_rate_varies(tmp_path: Path) -> None:
    times_s = [0.0, 0.04, 0.08, 0.5, 0.54, 1.0]
    path = write_video(tmp_path / "variable.mp4", numbered_frames(6), times_s=times_s)
    assert [time_s for _, time_s, _ in read_frames(path)] == pytest.approx(times_s, abs=1e-3)


@pytest.mark.parametrize("suffix", sorted(CODECS))
def test_times_grow_strictly_in_every_container(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f"video{suffix}", numbered_frames(20), fps=25)
    times_s = np.array([time_s for _, time_s, _ in read_frames(path)])
    assert times_s[0] == 0
    assert np.diff(times_s) == pytest.approx(0.04, abs=0.011)
    with open_video(path) as video:
        assert video.frames_per_second == pytest.approx(25)


@pytest.mark.parametrize("content", [b"", b"not a video", b"\x00\x00\x00\x18ftypmp42" + bytes(500)])
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.mp4").write_bytes(content)
    with pytest.raises(DataError, match="cannot open"):
        read_frames(tmp_path / "x.mp4")


@pytest.mark.real_data
def test_sampled_frames_of_every_real_video_equal_those_of_an_independent_decoder(real_manifest: Path) -> None:
    differences = {}
    rows = read_manifest(str(real_manifest))
    for row in rows:
        path = Path(row.uri)
        sampled = {frame.index for clip in sample_clips(path, Sampling(10, 4)).clips for frame in clip}
        with open_video(path) as video:
            images = [pixels()[:, :, ::-1] for index, _, pixels in video.frames() if index in sampled]
        pairs = zip(images, decoded(path, sampled), strict=True)
        differences[row.video_id] = max(cv2.absdiff(np.ascontiguousarray(image), expected).mean() for image, expected in pairs)
    assert rows
    assert {video_id: value for video_id, value in differences.items() if value >= DECODER_TOLERANCE} == {}
