"""How often strangers are taken for copies, and copies for strangers. All recordings have a pattern in common, as all lungs have."""

import numpy as np
import pytest

from components.preprocess.near_duplicates import find_near_duplicates, hashes_of
from tests.preprocess.test_near_duplicates import cropped, recording, reencoded

NUM_PATIENTS = 40
IN_COMMON = 0.4


@pytest.fixture(scope="module")
def recordings() -> list[np.ndarray]:
    everyone = recording(NUM_PATIENTS)
    return [(IN_COMMON * everyone + (1 - IN_COMMON) * recording(seed)).astype(np.uint8) for seed in range(NUM_PATIENTS)]


def test_none_of_the_pairs_of_strangers_is_called_a_copy(recordings: list[np.ndarray]) -> None:
    assert find_near_duplicates({str(number): hashes_of(frames) for number, frames in enumerate(recordings)}) == []


@pytest.mark.parametrize(
    "change",
    [reencoded, cropped, lambda frames: frames[5:], lambda frames: reencoded(frames[:9])],
    ids=["re-encoded", "cropped", "beginning cut off", "end cut off and re-encoded"],
)
def test_at_most_one_copy_of_twenty_is_missed(recordings: list[np.ndarray], change) -> None:
    found = [len(find_near_duplicates({"original": hashes_of(frames), "copy": hashes_of(change(frames))})) for frames in recordings]
    assert np.mean(found) >= 0.95
