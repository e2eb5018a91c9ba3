"""Which promotion rule makes good champions, by simulation: how often a challenger passes, and what ten retrainings come to.

    python benchmarks/promotion.py [--repeats 400]

A model answers the videos of a test split: a normal variable for each class, raised for the true one by the model's skill, made
probabilities by a softmax. A part of the variance is common to the videos of a patient, a part of it to all models, since some patients and
some videos are hard for every model. Models differ in how sure they are, since label smoothing, pruning and the length of a training change
that and not what is answered. True quality is the accuracy on infinitely many videos; classes are equally frequent, so it is the macro-F1,
too.

Measured, 1000 repeats: how often a challenger passes that is truly better than the champion (0.75) by so much.

                                     −0.20  −0.10  −0.05  equal  +0.05  +0.10  +0.20
     9 groups × 2  project            0.08   0.22   0.37   0.50   0.67   0.81   0.98
    15 groups × 2  project            0.04   0.16   0.30   0.50   0.70   0.87   0.99
                   not shown worse    0.56   0.79   0.88   0.94   0.98   1.00   1.00   (the rule before)
                   macro-F1 not lower 0.05   0.18   0.35   0.51   0.67   0.83   0.99
                   macro-F1 and Brier 0.02   0.11   0.24   0.41   0.61   0.79   0.99
                   shown better       0.00   0.00   0.01   0.05   0.12   0.25   0.75
    30 groups × 2  project            0.01   0.10   0.27   0.52   0.78   0.93   1.00

The champion's true quality after ten retrainings, 500 repeats, 15 (9) groups × 2: 0.850 (0.839) by the rule of the project, 0.781 (0.771)
when it must not be shown to be worse, 0.842 (0.830) when macro-F1 must not be lower, 0.848 (0.838) by macro-F1 less Brier score, 0.846
(0.837) by the mean probability of the true class, 0.851 (0.827) by macro-AUC; the last candidate has 0.750, the best one 0.878. Standard
errors of the differences are 0.002. With other correlations (15 × 2, 300 repeats) it is the best or within one standard error of it. Only
among models that are all equally sure is another rule better, the mean probability of the true class (0.860 against 0.851); where they are
not, it rewards the surer one, and a change of label smoothing would decide promotions.

What decision.md says could be shown, and how often a challenger so much worse is shown to be worse: 0.35 and 69 % with 9 groups × 2, 0.30
and 74 % with 15 × 2, 0.21 and 71 % with 30 × 2.
"""

import argparse
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from components.core.models.predictions import Floats, Predictions
from components.core.registry.versions import Comparison
from components.core.statistics.bootstrap import percentile_interval, sample_and_replicates, weighted_metrics
from components.promote.decision import DETECTABLE_WIDTHS, Rule, decide

NUM_CLASSES = 3
NUM_BOOTSTRAP = 200
CHAMPION = 0.75
DIFFERENCES = (-0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2)
# (groups, videos per group)
TEST_SPLITS = ((9, 2), (15, 1), (15, 2), (15, 5), (30, 2), (60, 2))
RETRAININGS = 10
CANDIDATES_DEVIATION = 0.08

_SKILLS = np.linspace(-1, 6, 701)
_Z = np.linspace(-8, 14, 2201)
_ACCURACIES = np.trapezoid(norm.pdf(_Z - _SKILLS[:, None]) * norm.cdf(_Z) ** (NUM_CLASSES - 1), _Z, axis=1)


@dataclasses.dataclass(frozen=True)
class World:
    """What models and patients are like.

    Attributes:
        within_group: part of the variance that the videos of a group have in common.
        between_models: part of the variance that all models have in common.
        sureness: deviation of the logarithm of the factor by which models differ in how sure they are.
    """

    within_group: float = 0.7
    between_models: float = 0.5
    sureness: float = 0.5


WORLD = World()
OTHER_WORLDS = (
    World(within_group=0.9),
    World(within_group=0.4),
    World(between_models=0.25),
    World(between_models=0.75),
    World(sureness=0.0),
)


@dataclasses.dataclass(frozen=True)
class Scores:
    """A model on a test split; row 0 is the split itself, the others are bootstrap replicates, the same for all models.

    Attributes:
        macro_f1: [1 + NUM_BOOTSTRAP]
        brier: of the split.
        right: mean probability of the true class, on the split.
        auc: macro-AUC, on the split.
    """

    macro_f1: Floats
    brier: float
    right: float
    auc: float


def answer(qualities: Any, num_groups: int, videos_per_group: int, rng: np.random.Generator, world: World = WORLD) -> list[Scores]:
    """Lets models of some true qualities answer one test split."""
    groups = np.repeat(np.arange(num_groups), videos_per_group)
    labels = groups % NUM_CLASSES

    def noise(share: float) -> Floats:
        of_group, of_video = (rng.normal(size=(size, NUM_CLASSES)) for size in (num_groups, len(groups)))
        return np.sqrt(share) * (np.sqrt(world.within_group) * of_group[groups] + np.sqrt(1 - world.within_group) * of_video)

    common = noise(world.between_models)
    weights = sample_and_replicates(groups.astype(str), NUM_BOOTSTRAP, seed=0)
    models = []
    for quality in qualities:
        logits = common + noise(1 - world.between_models)
        logits[np.arange(len(labels)), labels] += np.interp(quality, _ACCURACIES, _SKILLS)
        exponentials = np.exp(2 * rng.lognormal(sigma=world.sureness) * (logits - logits.max(axis=1, keepdims=True)))
        probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
        ids = np.arange(len(labels)).astype(str)
        found = weighted_metrics(Predictions(labels, probabilities, ids, groups.astype(str), ids), weights).overall
        right = float(probabilities[np.arange(len(labels)), labels].mean())
        models.append(Scores(found["macro_f1"], float(found["brier"][0]), right, float(found["macro_auc"][0])))
    return models


def passes_rule_of_the_project(challenger: Scores, champion: Scores) -> bool:
    """What promote decides, but for the threshold and chance."""
    interval = percentile_interval(challenger.macro_f1[1:] - champion.macro_f1[1:])
    comparison = Comparison(
        challenger_sha256="",
        challenger_macro_f1=float(challenger.macro_f1[0]),
        challenger_interval=None,
        chance_p_value=0.0,
        majority_macro_f1=0.0,
        champion_version="v",
        champion_macro_f1=float(champion.macro_f1[0]),
        difference_interval=(interval.low, interval.high) if interval else None,
        remark="",
        challenger_brier=challenger.brier,
        champion_brier=champion.brier,
    )
    return decide(comparison, Rule(min_macro_f1=0.0, tolerance=0.0, max_p_value=1.0)).promoted


def quantile_is_not_below_zero(quantile: float) -> Callable[[Scores, Scores], bool]:
    """Of the bootstrap of the difference in macro-F1: 0.975 is `not shown to be worse`, 0.025 `shown to be better`."""
    return lambda one, other: bool(np.nanquantile(one.macro_f1[1:] - other.macro_f1[1:], quantile) >= -1e-9)


RULES: dict[str, Callable[[Scores, Scores], bool]] = {
    "rule of the project": passes_rule_of_the_project,
    **{f"macro-F1, {quantile:.1%} bound ≥ 0": quantile_is_not_below_zero(quantile) for quantile in (0.975, 0.9, 0.75, 0.25, 0.1, 0.025)},
    "macro-F1 not lower": lambda one, other: one.macro_f1[0] >= other.macro_f1[0] - 1e-9,
    "macro-F1, ties by Brier": lambda one, other: (round(one.macro_f1[0], 9), -one.brier) >= (round(other.macro_f1[0], 9), -other.brier),
    "macro-F1 and Brier": lambda one, other: one.macro_f1[0] >= other.macro_f1[0] - 1e-9 and one.brier <= other.brier,
    "macro-F1 less Brier": lambda one, other: one.macro_f1[0] - one.brier >= other.macro_f1[0] - other.brier,
    "mean right probability": lambda one, other: one.right >= other.right,
    "macro-AUC": lambda one, other: one.auc >= other.auc,
}


def pass_rates(num_groups: int, videos_per_group: int, difference: float, repeats: int) -> dict[str, float]:
    """Returns how often each rule lets a challenger pass who is truly better than the champion by a difference."""
    rng = np.random.default_rng(0)
    pairs = [answer((CHAMPION, CHAMPION + difference), num_groups, videos_per_group, rng) for _ in range(repeats)]
    return {name: float(np.mean([rule(challenger, champion) for champion, challenger in pairs])) for name, rule in RULES.items()}


def chains(num_groups: int, videos_per_group: int, repeats: int, world: World = WORLD) -> dict[str, Floats]:
    """Returns the champion's true quality after RETRAININGS under each rule, always on the same test split, [repeats]."""
    rng = np.random.default_rng(0)
    final: dict[str, list[float]] = {name: [] for name in ("last candidate", *RULES, "best candidate")}
    for _ in range(repeats):
        qualities = np.clip(rng.normal(CHAMPION, CANDIDATES_DEVIATION, size=RETRAININGS + 1), 0.4, 0.97)
        candidates = answer(qualities, num_groups, videos_per_group, rng, world)
        final["last candidate"].append(qualities[-1])
        final["best candidate"].append(qualities.max())
        for name, rule in RULES.items():
            champion = 0
            for challenger in range(1, RETRAININGS + 1):
                champion = challenger if rule(candidates[challenger], candidates[champion]) else champion
            final[name].append(qualities[champion])
    return {name: np.array(values) for name, values in final.items()}


def detection_rate(num_groups: int, videos_per_group: int, repeats: int) -> tuple[float, float]:
    """Returns what decision.md says could be shown, the mean over equal models, and how often one so much worse is shown to be."""
    rng = np.random.default_rng(0)

    def interval(difference: float) -> Any:
        champion, challenger = answer((CHAMPION, CHAMPION + difference), num_groups, videos_per_group, rng)
        return percentile_interval(challenger.macro_f1[1:] - champion.macro_f1[1:])

    equal = filter(None, (interval(0.0) for _ in range(repeats)))
    shown = float(np.mean([DETECTABLE_WIDTHS * (found.high - found.low) for found in equal]))
    worse = filter(None, (interval(-shown) for _ in range(repeats)))
    return shown, float(np.mean([found.high < 0 for found in worse]))


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=400)
    repeats = parser.parse_args().repeats
    print("How often a challenger passes that is truly better than the champion by …")
    for split in TEST_SPLITS:
        rates = pd.DataFrame({f"{difference:+.2f}": pass_rates(*split, difference, repeats) for difference in DIFFERENCES})
        print(f"\n{split[0]} groups × {split[1]} videos\n{rates.round(2).to_string()}", flush=True)
    print(
        f"\nTrue quality of the champion after {RETRAININGS} retrainings; ± is the standard error of the difference to the project's rule"
    )
    for split in TEST_SPLITS:
        _print_chains(split, repeats, WORLD)
    for world in OTHER_WORLDS:
        _print_chains((15, 2), repeats, world)
    print("\nWhat decision.md says could be shown, and how often a challenger that is so much worse is shown to be worse")
    for split in TEST_SPLITS:
        shown, rate = detection_rate(*split, repeats)
        print(f"{f'{split[0]} groups × {split[1]} videos':28}{shown:7.2f}{rate:8.0%}", flush=True)


def _print_chains(split: tuple[int, int], repeats: int, world: World) -> None:
    final = chains(*split, repeats, world)
    table = pd.DataFrame(final)
    errors = table.sub(table["rule of the project"], axis=0).std() / repeats**0.5
    figures = pd.DataFrame({"mean": table.mean(), "±": errors, "worst 5 %": table.quantile(0.05)})
    print(f"\n{split[0]} groups × {split[1]} videos, {world}\n{figures.round(3).to_string()}", flush=True)


if __name__ == "__main__":
    main()
