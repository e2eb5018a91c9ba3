import re
import struct
from pathlib import Path

import av
import numpy as np
import pytest

from components.core.errors import DataError
from components.core.video.decoding import open_video
from components.core.video.pixels import Image
from components.core.video.sampling import Sampling, sample_clips
from tests.videos import CODECS, decoded, numbered_frames, write_video

# Mean absolute difference in grey levels between two decoders of one frame: they round colour conversion differently,
# most in frames of odd size (1.3 measured on a real video of 148 × 141 px, 0.01 on all others).
DECODER_TOLERANCE = 2.0


def read_frames(path: Path) -> list[tuple[int, float, Image]]:
    with open_video(path) as video:
        return [(frame.index, frame.time_s, frame.colours()) for frame in video.frames()]


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
        assert video.facts.frames_per_second == pytest.approx(25)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"not a video", "not a video: the content is of no known type"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "not a video: the content is image/png"),
        (b"<!DOCTYPE html><title>gone</title>", "not a video: the content is a web page"),
        (b"\x00\x00\x00\x18ftypmp42" + bytes(500), "a video that cannot be opened: video/mp4, cut short or damaged"),
        # What points elsewhere is not followed.
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nv.ts\n#EXT-X-ENDLIST\n", "not a video"),
        (b"ffconcat version 1.0\nfile v.ts\n", "not a video"),
        (b"\x1b[31mANSI art\x1b[0m\n" * 40, "not a video"),
    ],
)
def test_what_is_no_video_is_refused_in_true_words(tmp_path: Path, content: bytes, reason: str) -> None:
    write_video(tmp_path / "v.mpeg", numbered_frames(14)).rename(tmp_path / "v.ts")
    (tmp_path / "x.mp4").write_bytes(content)
    with pytest.raises(DataError, match=reason):
        read_frames(tmp_path / "x.mp4")


def test_music_with_a_cover_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(sound.encode(frame))
        container.mux(sound.encode())
    with pytest.raises(DataError, match="not a video: it holds no moving pictures"):
        read_frames(path)


def test_a_part_that_is_damaged_is_left_out_and_counted(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi", numbered_frames(20))
    data = bytearray(path.read_bytes())
    starts = [match.start() for match in re.finditer(b"00dc", data) if match.start() > data.index(b"movi")]
    for start in starts[5:7]:
        (length,) = struct.unpack_from("<I", data, start + 4)
        data[start + 8 : start + 8 + length] = bytes(length)
    path.write_bytes(data)
    with open_video(path) as video:
        levels = [float(frame.grey().mean()) for frame in video.frames()]
        facts = video.facts
    expected = np.delete(numbered_frames(20)[:, 0, 0, 0], [5, 6])
    assert levels == pytest.approx(expected.tolist(), abs=3)
    assert (facts.num_frames, facts.num_damaged) == (18, 2)
    (clip,) = sample_clips(path, Sampling(10, 4, "uniform")).clips
    assert (clip[0].index, clip[-1].index) == (0, 17)


def test_frames_of_another_size_are_scaled_to_the_first_one(tmp_path: Path) -> None:
    ramp = np.linspace(30, 220, 128, dtype=np.uint8)[None, None, :, None].repeat(3, axis=3).repeat(96, axis=1).repeat(8, axis=0)
    parts = [write_video(tmp_path / f"{number}.mpeg", frames) for number, frames in enumerate((ramp, ramp[:, ::2, ::2]))]
    both = tmp_path / "both.mpg"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    images = [image for _, _, image in read_frames(both)]
    assert {image.shape for image in images} == {(96, 128, 3)}
    assert len(images) >= 15
    for image in images:
        assert np.abs(image.astype(int) - ramp[0]).mean() < 6
