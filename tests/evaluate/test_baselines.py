import dataclasses

import numpy as np
import pytest

from components.evaluate.baselines import BORDER, MAJORITY, METADATA, SOURCE, Baseline, border_features, fit_baselines
from components.evaluate.video_facts import VideoFacts

CLASS_NAMES = ["covid", "normal"]


def make_videos(num: int, source_of: dict[int, tuple[str, ...]]) -> list[VideoFacts]:
    """As many covid as normal videos but for one more of the latter; every video is a group of its own; a third is the test split."""
    videos = []
    for number in range(num):
        label = 0 if number % 2 and number > 1 else 1
        videos.append(
            VideoFacts(
                video_id=f"{number:03}",
                class_name=CLASS_NAMES[label],
                group=str(number),
                source=source_of[label][number % len(source_of[label])],
                license="",
                split="test" if number % 3 == 0 else "train",
                num_clips=1,
                is_stored=True,
                reason="",
                sha256=None,
                near_duplicates=None,
                descriptions={},
                traits={},
            )
        )
    return videos


def fit(videos: list[VideoFacts], borders: dict[str, np.ndarray] | None = None) -> dict[str, Baseline]:
    borders = borders or {video.video_id: np.zeros(3) for video in videos}
    return {baseline.name: baseline for baseline in fit_baselines(videos, borders, CLASS_NAMES, 50, 0)}


def test_a_source_that_tells_the_class_is_told() -> None:
    found = fit(make_videos(60, {0: ("a",), 1: ("b",)}))
    assert found[SOURCE].scores is not None
    assert found[SOURCE].scores.macro_f1 == 1.0
    assert found[MAJORITY].scores is not None
    # Always normal: 11 of 20 test videos, F1 = 2 · 11 / (20 + 11) for it.
    assert found[MAJORITY].scores.macro_f1 == pytest.approx(22 / 31 / 2, abs=0.03)
    assert "fewer than two classes" in found[MAJORITY].held_out_reason


def test_of_several_sources_that_cannot_be_left_out_the_first_is_named() -> None:
    """Every group has a video of every source, so that without a source nothing is left; the order must not depend on hashes."""
    names = tuple("jihgfedcba")
    videos = make_videos(60, {0: names, 1: names})
    shared = [dataclasses.replace(video, group="p") for video in videos]
    assert fit(shared)[BORDER].held_out_reason == "without a fewer than two classes are left"


def test_leaving_sources_out_takes_back_what_a_source_gave() -> None:
    """Two hospitals per class; the border tells the hospital, and of a new hospital it tells nothing about the class."""
    rng = np.random.default_rng(0)
    videos = make_videos(120, {0: ("a", "b"), 1: ("c", "d")})
    place = {"a": [4, 0], "b": [-4, 0], "c": [0, 4], "d": [0, -4]}
    hospitals = {"covid": "ab", "normal": "cd"}
    videos = [dataclasses.replace(video, source=hospitals[video.class_name][int(video.video_id) % 4 // 2]) for video in videos]
    borders = {video.video_id: np.array(place[video.source]) + 0.1 * rng.normal(size=2) for video in videos}
    borders = {key: np.array([*value, abs(value[0]), rng.normal()]) for key, value in borders.items()}
    found = fit(videos, borders)[BORDER]
    assert found.scores is not None
    assert found.held_out is not None
    assert found.scores.macro_f1 > 0.95
    assert found.held_out.num == 120, "every video is answered once"
    unrelated = fit(videos, {video.video_id: rng.normal(size=2) for video in videos})[BORDER]
    assert unrelated.held_out is not None
    assert unrelated.held_out.macro_f1 < 0.7


def test_metadata_is_used_when_it_is_stated_and_missed_when_not() -> None:
    videos = make_videos(60, {0: ("a",), 1: ("a",)})
    assert fit(videos)[METADATA].reason == "the dataset states nothing about the files"
    stated = [dataclasses.replace(video, traits={"container": "mov" if video.class_name == "covid" else "mp4"}) for video in videos]
    found = fit(stated)[METADATA]
    assert found.scores is not None
    assert found.scores.macro_f1 == 1.0
    assert "container" in found.sees


def test_the_border_is_the_outermost_ring_of_the_mean_frame() -> None:
    clip = np.zeros((14, 224, 224, 3), np.uint8)
    clip[7:, :4] = 100
    clip[:, 100:120, 100:120] = 255
    features = border_features(clip)
    assert features.shape == (4 * 56 - 4,)
    np.testing.assert_allclose(features[:56], 50)
    np.testing.assert_allclose(features[56:], 0)
