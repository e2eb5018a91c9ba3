"""The promotion rule: a pure function of four numbers."""

import dataclasses

# Scores that differ by less are equal: 0.75 - 0.70 is not exactly 0.05.
ROUNDING = 1e-9


@dataclasses.dataclass(frozen=True)
class Decision:
    """Whether the challenger becomes the champion, and why, in sentences."""

    promoted: bool
    reasons: tuple[str, ...]


def decide(challenger_macro_f1: float, champion_macro_f1: float | None, min_macro_f1: float, tolerance: float) -> Decision:
    """Decides whether a challenger becomes the champion.

    Args:
        challenger_macro_f1: of the challenger, per video.
        champion_macro_f1: of the champion on the same videos; None leaves the decision to the threshold.
        min_macro_f1: what a champion must reach.
        tolerance: by how much the challenger may be worse than the champion.
    """
    reaches = challenger_macro_f1 >= min_macro_f1 - ROUNDING
    verb = "reaches" if reaches else "is below"
    reasons = [f"The challenger's macro-F1 of {challenger_macro_f1:.4f} {verb} the threshold of {min_macro_f1:.4f}."]
    if champion_macro_f1 is None:
        return Decision(reaches, tuple(reasons))
    loss = champion_macro_f1 - challenger_macro_f1
    holds = loss <= tolerance + ROUNDING
    reasons.append(
        f"On the same test videos the champion has {champion_macro_f1:.4f}: the challenger is {_compared(loss)}, "
        f"which {'is' if holds else 'is not'} within the tolerance of {tolerance:.4f}."
    )
    return Decision(reaches and holds, tuple(reasons))


def _compared(loss: float) -> str:
    if abs(loss) <= ROUNDING:
        return "equally good"
    return f"{abs(loss):.4f} {'worse' if loss > 0 else 'better'}"
