import pytest

from components.promote.decision import decide


@pytest.mark.parametrize(
    ("challenger", "champion", "min_macro_f1", "tolerance", "promoted"),
    [
        (0.63, None, 0.5, 0.0, True),
        (0.5, None, 0.5, 0.0, True),
        (0.499, None, 0.5, 0.0, False),
        (0.21, None, 0.5, 0.0, False),
        (0.63, 0.61, 0.5, 0.0, True),
        (0.61, 0.63, 0.5, 0.0, False),
        (0.61, 0.63, 0.5, 0.03, True),
        (0.63, 0.63, 0.5, 0.0, True),
        (0.70, 0.75, 0.5, 0.05, True),  # the tolerance is inclusive, although 0.75 - 0.70 > 0.05 in binary
        (0.699, 0.75, 0.5, 0.05, False),
        (0.45, 0.30, 0.5, 0.0, False),  # better than a weak champion, yet below the threshold
        (0.45, 0.47, 0.5, 0.1, False),
        (0.0, None, 0.0, 0.0, True),
        (1.0, 1.0, 1.0, 0.0, True),
    ],
)
def test_a_challenger_must_reach_the_threshold_and_not_be_worse(
    challenger: float, champion: float | None, min_macro_f1: float, tolerance: float, promoted: bool
) -> None:
    assert decide(challenger, champion, min_macro_f1, tolerance).promoted is promoted


def test_reasons_name_every_number() -> None:
    decision = decide(0.61, 0.63, 0.5, 0.015)
    assert decision.reasons == (
        "The challenger's macro-F1 of 0.6100 reaches the threshold of 0.5000.",
        "On the same test videos the champion has 0.6300: the challenger is 0.0200 worse, which is not within the tolerance of 0.0150.",
    )


def test_both_failures_are_told() -> None:
    below, worse = decide(0.4, 0.6, 0.5, 0.0).reasons
    assert "is below the threshold" in below
    assert "is not within the tolerance" in worse


def test_a_first_champion_has_one_reason() -> None:
    assert len(decide(0.61, None, 0.5, 0.0).reasons) == 1
