"""Augmentation: one draw a clip, repeatable, and each of its parts does what it says."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from components.core.models.augmentation import Augmentation, augment

NOTHING = Augmentation(flip=0, time_reversal=0, rotation_deg=0, scale=0, shift=0, gain=0, gamma=0, depth_gain=0, speckle=0)
NUM_SEEDS = 20


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    """[14, 64, 64, 3] uint8: smooth structures, another picture in every frame, black at the border."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(60, 200, (14, 8, 8, 3)).astype(np.float32)
    frames = np.array(tf.image.resize(coarse, [64, 64]).numpy())
    frames[:, :4] = frames[:, -4:] = frames[:, :, :4] = frames[:, :, -4:] = 0
    return frames.astype(np.uint8)


def changed(clip: np.ndarray, augmentation: Augmentation, seed: int = 0) -> np.ndarray:
    return augment(tf.constant(clip), tf.constant([7, seed], tf.int64), augmentation).numpy()


def test_the_frames_of_a_clip_are_changed_alike(clip: np.ndarray) -> None:
    still = np.repeat(clip[:1], 14, axis=0)
    for seed in range(NUM_SEEDS):
        frames = changed(still, Augmentation(), seed)
        assert not np.array_equal(frames, still)
        assert (frames == frames[0]).all()


def test_a_clip_keeps_its_shape_and_type(clip: np.ndarray) -> None:
    frames = changed(clip, Augmentation(gain=0.9, speckle=1.0))
    assert frames.shape == clip.shape
    assert frames.dtype == np.uint8


def test_too_bright_pixels_stay_white(clip: np.ndarray) -> None:
    white = np.full_like(clip, 255)
    brightened = np.stack([changed(white, dataclasses.replace(NOTHING, gain=0.5), seed) for seed in range(NUM_SEEDS)])
    assert brightened.min() >= 127
    assert (brightened == 255).any()


def test_equal_seeds_give_equal_clips_and_others_do_not(clip: np.ndarray) -> None:
    assert np.array_equal(changed(clip, Augmentation(), 3), changed(clip, Augmentation(), 3))
    assert len({changed(clip, Augmentation(), seed).tobytes() for seed in range(NUM_SEEDS)}) == NUM_SEEDS


def test_nothing_changes_when_nothing_is_asked_for(clip: np.ndarray) -> None:
    assert np.array_equal(changed(clip, NOTHING), clip)


def test_flip_exchanges_left_and_right(clip: np.ndarray) -> None:
    assert np.array_equal(changed(clip, dataclasses.replace(NOTHING, flip=1)), clip[:, :, ::-1])
    flipped = [np.array_equal(changed(clip, dataclasses.replace(NOTHING, flip=0.5), seed), clip) for seed in range(NUM_SEEDS)]
    assert 0 < sum(flipped) < NUM_SEEDS


def test_time_reversal_turns_the_frames_round(clip: np.ndarray) -> None:
    assert np.array_equal(changed(clip, dataclasses.replace(NOTHING, time_reversal=1)), clip[::-1])


def test_shift_moves_by_up_to_its_part_of_the_frame() -> None:
    dot = np.zeros((14, 64, 64, 3), np.uint8)
    dot[:, 32, 32] = 255
    places = []
    for seed in range(NUM_SEEDS):
        weights = changed(dot, dataclasses.replace(NOTHING, shift=0.25), seed)[0, ..., 0].astype(float)
        places.append([(weights.sum(axis).dot(np.arange(64)) / weights.sum()) - 32 for axis in (0, 1)])
    moves = np.array(places)
    assert np.abs(moves).max() <= 16.5
    assert (moves.min(axis=0) < -4).all()
    assert (moves.max(axis=0) > 4).all()


@pytest.mark.parametrize("mirrored", [0, 1])
def test_rotation_and_scale_keep_the_centre_and_its_distances(mirrored: int) -> None:
    dot = np.zeros((14, 65, 65, 3), np.uint8)
    dot[:, 31:34, 51:54] = 255  # 20 px right of the centre
    for seed in range(NUM_SEEDS):
        moving = dataclasses.replace(NOTHING, flip=mirrored, rotation_deg=30, scale=0.2)
        weights = changed(dot, moving, seed)[0, ..., 0].astype(float)
        x, y = ((weights.sum(axis).dot(np.arange(65)) / weights.sum()) - 32 for axis in (0, 1))
        assert 20 * np.exp(-0.21) < np.hypot(x, y) < 20 * np.exp(0.21)
        assert abs(np.degrees(np.arctan2(y, -x if mirrored else x))) < 31


def test_gain_and_gamma_keep_black_and_the_order_of_grey_levels() -> None:
    ramp = np.tile(np.arange(64, dtype=np.uint8)[:, None] * 4, (14, 64, 1, 3)).reshape(14, 64, 64, 3)
    levels = np.sort(np.unique(ramp))
    for seed in range(NUM_SEEDS):
        frames = changed(ramp, dataclasses.replace(NOTHING, gain=0.3, gamma=0.3), seed)
        curve = np.array([frames[ramp == level][0] for level in levels]).astype(int)
        assert curve[0] == 0
        assert (np.diff(curve) >= 0).all()


def test_width_and_depth_are_scaled_apart() -> None:
    dots = np.zeros((14, 65, 65, 3), np.uint8)
    dots[:, 31:34, 51:54] = 255  # 20 px right of the centre
    dots[:, 51:54, 31:34] = 100  # 20 px below it
    factors = []
    for seed in range(NUM_SEEDS):
        frame = changed(dots, dataclasses.replace(NOTHING, scale=0.2), seed)[0, ..., 0].astype(float)
        right, below = frame[29:36, 40:], frame[40:, 29:36]
        x = right.sum(axis=0).dot(np.arange(40, 65)) / right.sum() - 32
        y = below.sum(axis=1).dot(np.arange(40, 65)) / below.sum() - 32
        factors.append([x / 20, y / 20])
    logarithms = np.log(factors)
    assert np.abs(logarithms).max() < 0.21
    assert abs(np.corrcoef(logarithms.T)[0, 1]) < 0.6


def test_gain_over_depth_brightens_one_end_and_darkens_the_other(clip: np.ndarray) -> None:
    grey = np.full_like(clip, 100)
    for seed in range(NUM_SEEDS):
        rows = changed(grey, dataclasses.replace(NOTHING, depth_gain=0.25), seed)[0, :, 0, 0].astype(float)
        assert 75 <= rows.min() <= rows.max() <= 125
        assert rows[0] + rows[-1] == pytest.approx(200, abs=1)
        assert rows == pytest.approx(np.linspace(rows[0], rows[-1], 64), abs=1)


def test_speckle_multiplies_the_pixels(clip: np.ndarray) -> None:
    grey = np.full_like(clip, 100)
    grey[:, :32] = 0
    frames = changed(grey, dataclasses.replace(NOTHING, speckle=0.1))
    assert (frames[:, :32] == 0).all()
    assert 3 < frames[:, 32:].std() < 12
    assert 95 < frames[:, 32:].mean() < 105
