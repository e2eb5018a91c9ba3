"""What a difference and a score are worth: against the champion, paired; against chance, by permutation."""

import numpy as np

from components.core.models.predictions import Predictions
from components.core.statistics.bootstrap import Interval, draw_weights, percentile_interval, weighted_metrics

NUM_PERMUTATIONS = 2000


def bootstrap_difference(challenger: Predictions, champion: Predictions, num_bootstrap: int, seed: int) -> Interval | None:
    """Returns the 95 % percentile interval of the challenger's macro-F1 less the champion's, paired: both see the same drawn groups.

    Args:
        challenger: per video.
        champion: of the same videos in the same order.
        num_bootstrap: replicates to draw; 0 for no interval.
        seed: of the draws.

    Returns:
        The interval, or None when there are fewer than two groups or fewer than half of the replicates hold every class.
    """
    if challenger.num_groups < 2:
        return None
    weights = draw_weights(challenger.groups, num_bootstrap, seed)
    of_challenger, of_champion = (weighted_metrics(videos, weights).overall["macro_f1"] for videos in (challenger, champion))
    return percentile_interval(of_challenger - of_champion)


def chance_p_value(predictions: Predictions, seed: int) -> float:
    """Returns how probable a macro-F1 at least this high is for a model that has learned nothing about the labels.

    A permutation test: the labels are dealt anew over the groups, whose videos keep the model's predictions. Whatever a model answers that
    does not depend on the true labels, and however few or unequal the groups are, its value is at most p with probability p. A group
    with several classes counts as one group for each of them.

    Args:
        predictions: per video.
        seed: of the permutations.

    Returns:
        A probability, at least 1 / (NUM_PERMUTATIONS + 1).
    """
    num_classes = predictions.probabilities.shape[1]
    units, unit_of_video = np.unique(
        np.stack([np.unique(predictions.groups, return_inverse=True)[1], predictions.labels], axis=1), axis=0, return_inverse=True
    )
    answers = np.zeros((len(units), num_classes), np.int64)
    np.add.at(answers, (unit_of_video.ravel(), predictions.predicted), 1)
    labels = units[:, 1]
    present = np.unique(labels)
    rng = np.random.default_rng(seed)
    dealt = np.concatenate([labels[None], rng.permuted(np.tile(labels, (NUM_PERMUTATIONS, 1)), axis=1)])
    confusions = np.einsum("puk,ul->pkl", np.eye(num_classes, dtype=np.int64)[dealt], answers)
    hits = np.diagonal(confusions, axis1=1, axis2=2)[:, present]
    totals = confusions.sum(axis=2)[:, present] + confusions.sum(axis=1)[:, present]
    scores = (2 * hits / totals).mean(axis=1)
    return float(np.mean(scores >= scores[0] - 1e-12))
