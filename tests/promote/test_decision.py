import dataclasses

import pytest

from components.core.registry.versions import Comparison
from components.promote.decision import Rule, decide

RULE = Rule(min_macro_f1=0.5, tolerance=0.0, max_p_value=0.05)
FIRST = Comparison(
    challenger_sha256="0" * 64,
    challenger_macro_f1=0.63,
    challenger_interval=(0.41, 0.79),
    chance_p_value=0.002,
    majority_macro_f1=0.21,
    champion_version=None,
    champion_macro_f1=None,
    difference_interval=None,
    remark="",
)
SECOND = dataclasses.replace(
    FIRST, champion_version="v", champion_macro_f1=0.66, difference_interval=(-0.12, 0.07), challenger_brier=0.48, champion_brier=0.5
)


@pytest.mark.parametrize(
    ("challenger", "p_value", "rule", "promoted"),
    [
        (0.63, 0.002, {}, True),
        (0.5, 0.002, {}, True),
        (0.499, 0.002, {}, False),
        (0.63, 0.05, {}, True),
        (0.63, 0.051, {}, False),  # reaches the threshold, yet labels dealt at random do so too
        (0.63, 0.2, {"max_p_value": 1.0}, True),
        (0.21, 1.0, {"min_macro_f1": 0.0, "max_p_value": 1.0}, True),
        (0.21, 0.6, {"min_macro_f1": 0.0}, False),
        (1.0, 0.0005, {"min_macro_f1": 1.0}, True),
    ],
)
def test_a_first_champion_needs_the_threshold_and_more_than_luck(
    challenger: float, p_value: float, rule: dict[str, float], promoted: bool
) -> None:
    comparison = dataclasses.replace(FIRST, challenger_macro_f1=challenger, chance_p_value=p_value)
    assert decide(comparison, dataclasses.replace(RULE, **rule)).promoted is promoted


@pytest.mark.parametrize(
    ("challenger", "champion", "interval", "tolerance", "promoted"),
    [
        (0.70, 0.61, (0.02, 0.15), 0.0, True),
        (0.63, 0.66, (-0.12, 0.07), 0.0, True),  # below, but not shown to be worse
        (0.63, 0.71, (-0.15, -0.01), 0.0, False),
        (0.63, 0.71, (-0.15, -0.01), 0.01, True),  # the tolerance is inclusive
        (0.63, 0.71, (-0.15, -0.02), 0.01, False),
        (0.63, 0.63, (0.0, 0.0), 0.0, True),
        (0.45, 0.30, (0.05, 0.20), 0.0, False),  # better than a weak champion, yet below the threshold
        (0.63, 0.63, None, 0.0, True),
        (0.70, 0.75, None, 0.05, True),  # although 0.75 - 0.70 > 0.05 in binary
        (0.699, 0.75, None, 0.05, False),
    ],
)
def test_a_successor_must_not_be_shown_to_be_worse(
    challenger: float, champion: float, interval: tuple[float, float] | None, tolerance: float, promoted: bool
) -> None:
    comparison = dataclasses.replace(SECOND, challenger_macro_f1=challenger, champion_macro_f1=champion, difference_interval=interval)
    assert decide(comparison, dataclasses.replace(RULE, tolerance=tolerance)).promoted is promoted


@pytest.mark.parametrize(
    ("challenger", "champion", "promoted"),
    [(0.48, 0.5, True), (0.5, 0.5, True), (0.1 + 0.2, 0.3, True), (0.51, 0.5, False), (0.48, None, False), (None, None, False)],
)
def test_a_successor_must_be_as_near_to_the_truth(challenger: float | None, champion: float | None, promoted: bool) -> None:
    assert decide(dataclasses.replace(SECOND, challenger_brier=challenger, champion_brier=champion), RULE).promoted is promoted


def test_a_successor_is_measured_against_chance_too() -> None:
    assert not decide(dataclasses.replace(SECOND, chance_p_value=0.3), RULE).promoted


def test_reasons_name_every_number() -> None:
    worse = dataclasses.replace(SECOND, difference_interval=(-0.12, -0.025))
    assert decide(worse, Rule(0.5, 0.015, 0.05)).reasons == (
        "The challenger's macro-F1 of 0.6300 reaches the threshold of 0.5000.",
        "Labels dealt at random over the test groups reach it with a probability of 0.0020, which is at most 0.0500.",
        "On the same test videos the champion has 0.6600: the difference is -0.0300 (95 % interval -0.1200 to -0.0250, "
        "paired over groups), so the challenger is shown to be worse by more than 0.0150.",
        "Its Brier score, the distance of its probabilities from the truth, is 0.4800 against the champion's 0.5000, which is not worse.",
        # (1.960 + 0.842) standard errors, of which the interval of 0.095 is 2 · 1.960 wide.
        "On these test groups, a model that is truly better or worse than the champion by about 0.07 in macro-F1 is told from it in about "
        "three comparisons of four; less can be missed.",
    )


@pytest.mark.parametrize(("tolerance", "limit"), [(0.0, "below zero."), (0.05, "not below the tolerated -0.0500.")])
def test_without_an_interval_the_difference_and_its_limit_are_told(tolerance: float, limit: str) -> None:
    reason = decide(dataclasses.replace(SECOND, difference_interval=None), Rule(0.5, tolerance, 0.05)).reasons[2]
    assert "the difference is -0.0300, too few groups" in reason
    assert reason.endswith(f"and it is {limit}")


def test_every_failure_is_told() -> None:
    comparison = dataclasses.replace(
        SECOND, challenger_macro_f1=0.4, chance_p_value=0.4, difference_interval=(-0.4, -0.1), challenger_brier=0.7
    )
    below, luck, worse, farther, _ = decide(comparison, RULE).reasons
    assert "is below the threshold" in below
    assert "may be luck" in luck
    assert "is shown to be worse" in worse
    assert farther.endswith("is 0.7000 against the champion's 0.5000, which is worse.")


def test_why_a_champion_could_not_be_compared_is_told() -> None:
    reasons = decide(dataclasses.replace(FIRST, remark="It knows other classes."), RULE).reasons
    assert len(reasons) == 3
    assert reasons[-1] == "It knows other classes."
