from pathlib import Path

import av
import numpy as np
import pytest

from components.core.errors import DataError
from components.core.records.clips import CLIP_FRAMES
from components.core.video.sampling import Sampling, sample_clips
from tests.videos import numbered_frames, write_video


def indices(path: Path, rate: float = 10, max_clips: int = 4, mode: str = "window") -> list[list[int]]:
    return [[frame.index for frame in clip] for clip in sample_clips(path, Sampling(rate, max_clips, mode)).clips]


@pytest.mark.parametrize(("fps", "step"), [(10, 1), (20, 2), (50, 5), (60, 6)])
def test_a_clip_spans_the_same_time_at_every_source_rate(tmp_path: Path, fps: int, step: int) -> None:
    path = write_video(tmp_path / "v.avi", numbered_frames(2 * fps, 16, 16), fps=fps)
    assert indices(path) == [list(range(0, CLIP_FRAMES * step, step))]


def test_frames_are_the_nearest_ones_in_time(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi", numbered_frames(60, 16, 16), fps=24)
    (clip,) = indices(path)
    expected = [int(np.abs(np.arange(60) / 24 - k / 10).argmin()) for k in range(CLIP_FRAMES)]
    # 24 / 10 puts every fifth instant just between two frames, where either is the nearest.
    assert np.abs(np.array(clip) - expected).max() <= 1
    assert np.mean(np.array(clip) == expected) > 0.7


def test_a_slow_video_repeats_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi", numbered_frames(20, 16, 16), fps=5)
    first, second = indices(path)
    assert first[0] == 0
    assert set(np.diff(first)) == {0, 1}
    assert (first[-1] - first[0]) / 5 == pytest.approx(1.3, abs=0.2)
    assert second[0] == 7


def test_a_slow_video_whose_first_frames_fill_the_clips_has_enough_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi", numbered_frames(20, 16, 16), fps=5)
    video = sample_clips(path, Sampling(10, 1))
    (clip,) = video.clips
    assert clip[-1].index < 8
    assert video.facts.num_frames == CLIP_FRAMES


def test_clips_follow_each_other_and_end_at_the_limit(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi", numbered_frames(60, 16, 16), fps=10)
    assert indices(path, max_clips=10) == [list(range(s, s + 14)) for s in (0, 14, 28, 42)]
    assert indices(path, max_clips=2) == [list(range(s, s + 14)) for s in (0, 14)]


def test_a_brief_video_gives_one_clip_over_all_of_it(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi", numbered_frames(27, 16, 16), fps=50)
    assert indices(path) == [list(range(0, 27, 2))]


def test_exactly_fourteen_frames_are_enough(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi", numbered_frames(14, 16, 16), fps=60)
    assert indices(path) == [list(range(14))]


def test_fewer_frames_than_a_clip_are_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi", numbered_frames(13, 16, 16), fps=10)
    for mode in ("window", "uniform"):
        with pytest.raises(DataError, match="it has 13 frames, a clip needs 14"):
            sample_clips(path, Sampling(10, 4, mode))


@pytest.mark.parametrize("num_frames", [14, 27, 40, 131])
def test_uniform_spreads_one_clip_over_the_whole_video(tmp_path: Path, num_frames: int) -> None:
    path = write_video(tmp_path / "v.avi", numbered_frames(num_frames, 16, 16), fps=30)
    (clip,) = indices(path, mode="uniform")
    ideal = [number * (num_frames - 1) / 13 for number in range(14)]
    assert (clip[0], clip[-1], len(clip)) == (0, num_frames - 1, 14)
    assert np.abs(np.subtract(clip, ideal)).max() <= 0.5


def test_uniform_counts_the_frames_of_a_video_whose_header_is_wrong(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi", numbered_frames(40, 16, 16), fps=30)
    data = path.read_bytes()
    header = data.index(b"strh")
    for start in (data.index(b"avih") + 24, header + 40):
        assert data[start : start + 4] == (40).to_bytes(4, "little")
        data = data[:start] + (29).to_bytes(4, "little") + data[start + 4 :]
    index = data.index(b"idx1")
    path.write_bytes(data[:index])
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 29
    assert indices(path, mode="uniform") == [list(range(0, 40, 3))]


@pytest.mark.parametrize("mode", ["window", "uniform"])
def test_what_a_dataset_was_asked_for_tells_how_to_sample_a_new_video(mode: str) -> None:
    parameters = {"sampling": mode, "frames_per_second": 7.5, "max_clips_per_video": 3, "seed": 0}
    assert Sampling.of(parameters) == Sampling(frames_per_second=7.5, max_clips=3, mode=mode)
    with pytest.raises(KeyError):
        Sampling.of({"sampling": mode})
