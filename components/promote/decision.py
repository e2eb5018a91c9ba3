"""The promotion rule: a pure function of what evaluate found.

A challenger becomes the champion when all of this holds on the test videos, whose groups neither model has trained on:

    threshold   its macro-F1 is at least `min_macro_f1`
    chance      a model that has learned nothing about the labels would reach its macro-F1 with a probability of at most `max_p_value`
    champion    its Brier score is not above the champion's, and the 95 % interval of its macro-F1 less the champion's does not lie wholly
                below -`tolerance`: it is not shown to be worse

The first champion, and the successor of one that could not be compared, needs the first two only. Where too few groups define no interval,
the difference itself takes its place: what cannot be told apart by resampling may at least not be below.

The Brier score (mean squared distance of the probabilities from the truth, summed over the classes) decides between models that an interval
over few groups cannot tell apart: it sees how sure a right or wrong answer was. benchmarks/promotion.py compares this rule with others.
"""

import dataclasses
import statistics

from components.core.registry.versions import Comparison

# Scores that differ by less are equal: 0.75 - 0.70 is not exactly 0.05.
ROUNDING = 1e-9
# A difference is found by a 95 % interval in 80 % of tests when it is so many standard errors: Φ⁻¹(0.975) + Φ⁻¹(0.8). Such an interval is
# 2 Φ⁻¹(0.975) of them wide. Over few groups it is found in 69 to 74 % (benchmarks/promotion.py), since a worse model's score varies more.
NORMAL = statistics.NormalDist()
DETECTABLE_WIDTHS = (NORMAL.inv_cdf(0.975) + NORMAL.inv_cdf(0.8)) / (2 * NORMAL.inv_cdf(0.975))


@dataclasses.dataclass(frozen=True)
class Rule:
    """The limits of the promotion rule; the step's interface explains them."""

    min_macro_f1: float
    tolerance: float
    max_p_value: float


@dataclasses.dataclass(frozen=True)
class Decision:
    """Whether the challenger becomes the champion, and why, in sentences; `obstacle` is the first that speaks against it, or empty."""

    promoted: bool
    reasons: tuple[str, ...]
    obstacle: str


def decide(comparison: Comparison, rule: Rule) -> Decision:
    """Decides whether a challenger becomes the champion."""
    checks = [_reaches_threshold(comparison, rule), _beats_chance(comparison, rule)]
    if comparison.champion_macro_f1 is not None:
        checks += [_holds_against(comparison.champion_macro_f1, comparison, rule), _is_as_near_to_the_truth(comparison)]
    reasons = [reason for _, reason in checks]
    notes = (_what_could_be_shown(comparison), comparison.remark)
    obstacle = next((reason for passed, reason in checks if not passed), "")
    return Decision(not obstacle, (*reasons, *filter(None, notes)), obstacle)


def _reaches_threshold(comparison: Comparison, rule: Rule) -> tuple[bool, str]:
    passed = comparison.challenger_macro_f1 >= rule.min_macro_f1 - ROUNDING
    verb = "reaches" if passed else "is below"
    return passed, f"The challenger's macro-F1 of {comparison.challenger_macro_f1:.4f} {verb} the threshold of {rule.min_macro_f1:.4f}."


def _beats_chance(comparison: Comparison, rule: Rule) -> tuple[bool, str]:
    passed = comparison.chance_p_value <= rule.max_p_value + ROUNDING
    return passed, (
        f"Labels dealt at random over the test groups reach it with a probability of {comparison.chance_p_value:.4f}, which "
        + (f"is at most {rule.max_p_value:.4f}." if passed else f"is above {rule.max_p_value:.4f}: it may be luck.")
    )


def _holds_against(champion_macro_f1: float, comparison: Comparison, rule: Rule) -> tuple[bool, str]:
    difference = comparison.challenger_macro_f1 - champion_macro_f1
    known = f"On the same test videos the champion has {champion_macro_f1:.4f}: the difference is {difference:+.4f}"
    if comparison.difference_interval is None:
        passed = difference >= -rule.tolerance - ROUNDING
        sign = "not below" if passed else "below"
        limit = f"the tolerated {-rule.tolerance:+.4f}" if rule.tolerance else "zero"
        return passed, f"{known}, too few groups or replicates give it an interval, and it is {sign} {limit}."
    low, high = comparison.difference_interval
    passed = high >= -rule.tolerance - ROUNDING
    verdict = "so the challenger is not shown to be worse" if passed else "so the challenger is shown to be worse"
    beyond = f" by more than {rule.tolerance:.4f}" if rule.tolerance else ""
    return passed, f"{known} (95 % interval {low:+.4f} to {high:+.4f}, paired over groups), {verdict}{beyond}."


def _is_as_near_to_the_truth(comparison: Comparison) -> tuple[bool, str]:
    challenger, champion = comparison.challenger_brier, comparison.champion_brier
    if challenger is None or champion is None:
        return False, "The evaluation does not tell the Brier scores of both models; evaluate again."
    passed = challenger <= champion + ROUNDING
    known = f"Its Brier score, the distance of its probabilities from the truth, is {challenger:.4f} against the champion's {champion:.4f}"
    return passed, f"{known}, which is {'not worse' if passed else 'worse'}."


def _what_could_be_shown(comparison: Comparison) -> str:
    """Returns how large a difference these test groups show, or an empty string."""
    if comparison.difference_interval is None:
        return ""
    low, high = comparison.difference_interval
    return (
        "On these test groups, a model that is truly better or worse than the champion by about "
        f"{DETECTABLE_WIDTHS * (high - low):.2f} in macro-F1 is told from it in about three comparisons of four; less can be missed."
    )
