"""How often the promotion rule errs, and what it says about that: a small version of benchmarks/promotion.py."""

import numpy as np
import pytest

from benchmarks.promotion import CHAMPION, answer, detection_rate, passes_rule_of_the_project

NUM_GROUPS, VIDEOS_PER_GROUP, NUM_SIMULATIONS = 15, 2, 200


@pytest.mark.parametrize(
    ("difference", "least", "most"), [(-0.1, 0.0, 0.35), (0.0, 0.45, 0.65), (0.1, 0.8, 1.0)], ids=["worse", "equal", "better"]
)
def test_on_thirty_videos_of_fifteen_patients_the_better_model_mostly_stays(difference: float, least: float, most: float) -> None:
    rng = np.random.default_rng(0)
    pairs = [answer((CHAMPION, CHAMPION + difference), NUM_GROUPS, VIDEOS_PER_GROUP, rng) for _ in range(NUM_SIMULATIONS)]
    assert least <= np.mean([passes_rule_of_the_project(challenger, champion) for champion, challenger in pairs]) <= most


def test_the_difference_that_could_be_shown_is_shown_three_times_of_four() -> None:
    """Tolerated are 65 to 95 %: 200 simulations have a standard error of 3 %."""
    shown, rate = detection_rate(NUM_GROUPS, VIDEOS_PER_GROUP, NUM_SIMULATIONS)
    assert 0.2 < shown < 0.4
    assert 0.65 <= rate <= 0.95
