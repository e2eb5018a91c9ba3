"""Search: a few trainings with other hyper-parameters, of which the best on the validation clips is kept.

The space is small on purpose: with few groups to choose by, a large one finds luck. The first trial has the values that were asked for, the
others are drawn by Optuna's tree-structured Parzen estimator. The test split is not read.
"""

import dataclasses
import logging
from collections.abc import Callable

import optuna

from components.train.options import TrainingOptions

# The intervals that trials are drawn from; they grow to hold the values that were asked for.
LEARNING_RATES = (3e-4, 3e-3)
LABEL_SMOOTHINGS = (0.0, 0.2)

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Trial:
    """One training of the search."""

    learning_rate: float
    label_smoothing: float
    macro_f1: float


def search_hyperparameters(options: TrainingOptions, fit: Callable[[TrainingOptions], float]) -> tuple[TrainingOptions, list[Trial]]:
    """Tries `options.num_trials` sets of hyper-parameters.

    Args:
        options: what the user asked for, the values of the first trial among them.
        fit: trains, and returns the macro-F1 on the validation clips.

    Returns:
        The options with the best hyper-parameters, and all trials in order.
    """
    trials: list[Trial] = []

    def objective(trial: optuna.Trial) -> float:
        learning_rate = trial.suggest_float("learning_rate", *_with(options.learning_rate, LEARNING_RATES), log=True)
        label_smoothing = trial.suggest_float("label_smoothing", *_with(options.label_smoothing, LABEL_SMOOTHINGS))
        macro_f1 = fit(dataclasses.replace(options, learning_rate=learning_rate, label_smoothing=label_smoothing))
        trials.append(Trial(learning_rate, label_smoothing, macro_f1))
        _log.info(
            "trial %d/%d: learning rate %.2g, label smoothing %.2f: validation macro-F1 %.3f",
            len(trials),
            options.num_trials,
            learning_rate,
            label_smoothing,
            macro_f1,
        )
        return macro_f1

    optuna.logging.set_verbosity(optuna.logging.ERROR)  # what ends a trial is told by whoever takes the exception
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=options.seed))
    study.enqueue_trial({"learning_rate": options.learning_rate, "label_smoothing": options.label_smoothing})
    study.optimize(objective, n_trials=options.num_trials)
    best = max(trials, key=lambda trial: trial.macro_f1)  # of equals the first: what was asked for stays unless something is better
    return dataclasses.replace(options, learning_rate=best.learning_rate, label_smoothing=best.label_smoothing), trials


def _with(value: float, interval: tuple[float, float]) -> tuple[float, float]:
    return min(value, interval[0]), max(value, interval[1])
