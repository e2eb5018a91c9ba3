import cv2
import numpy as np
import pytest

from components.preprocess.near_duplicates import find_near_duplicates, hashes_of, linked_groups


def recording(seed: int, num_frames: int = 16) -> np.ndarray:
    """Returns [frames, 224, 224] uint8: layers and shadows of one patient, and speckle that changes."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.normal(0, 1, (28, 28)).astype(np.float32), (224, 224), interpolation=cv2.INTER_CUBIC)
    frames = [
        100 + 35 * np.roll(coarse, shift, axis=1) + cv2.GaussianBlur(rng.normal(0, 20, (224, 224)).astype(np.float32), (0, 0), 1)
        for shift in range(num_frames)
    ]
    return np.stack(frames).clip(0, 255).astype(np.uint8)


def reencoded(frames: np.ndarray) -> np.ndarray:
    small = [cv2.resize(frame, (120, 120), interpolation=cv2.INTER_AREA) for frame in frames]
    jpegs = [cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 30])[1] for frame in small]
    return np.stack([cv2.resize(cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE), (224, 224)) for jpeg in jpegs])


def cropped(frames: np.ndarray) -> np.ndarray:
    return np.stack([cv2.resize(frame[1:-2, 2:-1], (224, 224)) for frame in frames])


@pytest.mark.parametrize("change", [reencoded, cropped, lambda frames: frames[4:], lambda frames: (frames * 0.7).astype(np.uint8)])
def test_a_changed_copy_is_found_among_others(change) -> None:
    hashes = {f"video-{seed}": hashes_of(recording(seed)) for seed in range(8)}
    hashes["copy"] = hashes_of(change(recording(3)))
    ((one, other, distance),) = find_near_duplicates(hashes)
    assert (one, other) == ("copy", "video-3")
    assert 0 <= distance < 0.3


def test_the_same_frames_have_distance_zero() -> None:
    hashes = hashes_of(recording(0))
    assert find_near_duplicates({"a": hashes, "b": hashes}) == [("a", "b", 0.0)]


def test_flat_frames_are_not_compared() -> None:
    flat = np.full((14, 224, 224), 90, np.uint8)
    assert hashes_of(flat) == []
    assert find_near_duplicates({"a": hashes_of(flat), "b": hashes_of(flat)}) == []


def test_links_make_groups_one_however_they_are_chained() -> None:
    merged = linked_groups(["d", "c", "b", "a", "e"], [("c", "b"), ("a", "d"), ("d", "c")])
    assert merged == {"a": "a+b+c+d", "b": "a+b+c+d", "c": "a+b+c+d", "d": "a+b+c+d", "e": "e"}


@pytest.mark.slow
@pytest.mark.real_data
def test_the_known_copy_among_the_real_videos_is_found_and_nobody_is_taken_for_somebody_else(real_manifest) -> None:
    from pathlib import Path

    from components.core.records.manifest import read_manifest
    from components.core.video.clip_reader import read_clips
    from components.core.video.sampling import Sampling

    rows = {row.video_id: row for row in read_manifest(str(real_manifest))}
    hashes = {
        video_id: hashes_of(np.concatenate([clip.frames for clip in read_clips(Path(row.uri), row.crop, Sampling(10, 4)).clips]))
        for video_id, row in rows.items()
    }
    pairs = find_near_duplicates(hashes)
    assert ("pneu-avi-video-002", "pneu-northumbria-1009-vid1") in [pair[:2] for pair in pairs]
    assert all(rows[one].group == rows[other].group for one, other, _ in pairs)
