import numpy as np
import pytest

from components.evaluate.attention import attention_of


def test_even_attribution_has_the_shares_of_the_areas() -> None:
    clips = np.full((1, 14, 224, 224, 3), 100, np.uint8)
    clips[:, :, :56] = 0
    found = attention_of(clips, np.ones((1, 14, 7, 7), np.float32))
    # A ring 16 pixels wide of 224: 1 - (192/224)².
    assert found.ring == pytest.approx(1 - (192 / 224) ** 2)
    assert found.ring == pytest.approx(found.ring_area)
    assert found.black == pytest.approx(0.25)
    assert found.black_area == pytest.approx(0.25)
    assert found.frames == pytest.approx((1 / 14,) * 14)


def test_attribution_in_the_corner_of_one_frame_is_seen() -> None:
    attributions = np.zeros((1, 14, 7, 7), np.float32)
    attributions[0, 13, 0, 0] = 5
    found = attention_of(np.full((1, 14, 224, 224, 3), 100, np.uint8), attributions)
    # Of the corner cell of 32 × 32 pixels, all but 16 × 16 are in the ring.
    assert found.ring == pytest.approx(0.75)
    assert found.black == 0
    assert found.frames == (0.0,) * 13 + (1.0,)


def test_a_flicker_is_not_black_throughout() -> None:
    clips = np.zeros((1, 14, 224, 224, 3), np.uint8)
    clips[0, 3] = 200
    assert attention_of(clips, np.ones((1, 14, 7, 7), np.float32)).black_area == 0


def test_without_attribution_the_shares_are_undefined() -> None:
    found = attention_of(np.zeros((2, 14, 224, 224, 3), np.uint8), np.zeros((2, 14, 7, 7), np.float32))
    assert (found.ring, found.black, found.frames) == (None, None, ())
