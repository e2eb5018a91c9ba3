"""Metrics of predictions, per clip or per video: numpy and scikit-learn, no TensorFlow.

A score that the data does not define is None, never zero: everything about a class that has no example, precision of a class that was
never predicted, an ROC curve without examples on both sides. Macro-F1 and balanced accuracy are means over the classes that have examples.
"""

import dataclasses
import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn import metrics

Integers: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Strings: TypeAlias = npt.NDArray[np.str_]

CONFIDENCE = 0.95
MIN_COMPLETE_REPLICATES = 0.5
NUM_PERMUTATIONS = 2000


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says about n clips or n videos.

    Attributes:
        labels: [n], the true labels.
        probabilities: [n, classes], rows that sum to 1.
        video_ids: [n]
        groups: [n]
        sources: [n]
    """

    labels: Integers
    probabilities: Floats
    video_ids: Strings
    groups: Strings
    sources: Strings

    @property
    def predicted(self) -> Integers:
        """The most probable labels, [n]."""
        return self.probabilities.argmax(axis=1)

    @property
    def num_groups(self) -> int:
        """Number of different groups."""
        return len(np.unique(self.groups))

    def by_video(self) -> "Predictions":
        """Returns one row per video, sorted by video id: the mean probability of its clips."""
        video_ids, first, inverse, counts = np.unique(self.video_ids, return_index=True, return_inverse=True, return_counts=True)
        sums = np.zeros((len(video_ids), self.probabilities.shape[1]))
        np.add.at(sums, inverse, self.probabilities)
        return Predictions(self.labels[first], sums / counts[:, None], video_ids, self.groups[first], self.sources[first])


@dataclasses.dataclass(frozen=True)
class RocCurve:
    """One class against the rest; thresholds fall, and lie in [0, 1]."""

    false_positive_rates: tuple[float, ...]
    true_positive_rates: tuple[float, ...]
    thresholds: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class ClassScores:
    """Scores of one class against the rest; None where undefined."""

    class_name: str
    support: int
    precision: float | None
    recall: float | None
    f1: float | None
    auc: float | None
    roc: RocCurve | None


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores of n predictions.

    Attributes:
        num: n.
        macro_f1: mean F1 of the classes that have examples.
        accuracy: part that is right.
        balanced_accuracy: mean recall of the classes that have examples.
        macro_auc: mean area under the ROC curves, or None when a class has none.
        confusion_matrix: counts; a row is a true class, a column a predicted one.
        classes: scores by class, in the order of the labels.
    """

    num: int
    macro_f1: float
    accuracy: float
    balanced_accuracy: float
    macro_auc: float | None
    confusion_matrix: tuple[tuple[int, ...], ...]
    classes: tuple[ClassScores, ...]


@dataclasses.dataclass(frozen=True)
class Interval:
    """A bootstrap percentile interval.

    Attributes:
        low: lower end.
        high: upper end.
        num_replicates: replicates that it rests on.
        num_left_out: replicates that lacked a class of the test set and were left out.
    """

    low: float
    high: float
    num_replicates: int
    num_left_out: int


def score(predictions: Predictions, class_names: list[str]) -> Scores:
    """Returns the scores of at least one prediction."""
    truth, predicted = predictions.labels, predictions.predicted
    labels = list(range(len(class_names)))
    present = np.unique(truth)
    columns = metrics.precision_recall_fscore_support(truth, predicted, labels=labels, zero_division=np.nan)
    classes = tuple(
        _class_scores(predictions, label, name, *(column[label] for column in columns)) for label, name in enumerate(class_names)
    )
    aucs = [scores.auc for scores in classes if scores.auc is not None]
    return Scores(
        num=len(truth),
        macro_f1=float(metrics.f1_score(truth, predicted, labels=present, average="macro", zero_division=0)),
        accuracy=float(metrics.accuracy_score(truth, predicted)),
        balanced_accuracy=float(metrics.recall_score(truth, predicted, labels=present, average="macro")),
        macro_auc=math.fsum(aucs) / len(aucs) if len(aucs) == len(class_names) else None,
        confusion_matrix=tuple(tuple(row) for row in metrics.confusion_matrix(truth, predicted, labels=labels).tolist()),
        classes=classes,
    )


def _class_scores(predictions: Predictions, label: int, name: str, precision: float, recall: float, f1: float, support: int) -> ClassScores:
    roc = roc_curve(predictions, label)
    return ClassScores(
        class_name=name,
        support=int(support),
        precision=None if not support or math.isnan(precision) else float(precision),
        recall=float(recall) if support else None,
        f1=float(f1) if support else None,
        auc=float(metrics.auc(roc.false_positive_rates, roc.true_positive_rates)) if roc else None,
        roc=roc,
    )


def roc_curve(predictions: Predictions, label: int) -> RocCurve | None:
    """Returns the curve of one class against the rest, or None when one side has no example."""
    positive = predictions.labels == label
    if positive.all() or not positive.any():
        return None
    false_positive_rates, true_positive_rates, thresholds = metrics.roc_curve(positive, predictions.probabilities[:, label])
    # scikit-learn opens the curve at an infinite threshold, which neither JSON nor the Kubeflow UI knows.
    thresholds = np.clip(thresholds, 0, 1)
    return RocCurve(tuple(false_positive_rates.tolist()), tuple(true_positive_rates.tolist()), tuple(thresholds.tolist()))


def bootstrap_macro_f1(predictions: Predictions, num_bootstrap: int, seed: int) -> Interval | None:
    """Returns the 95 % percentile interval of macro-F1 over groups.

    A replicate draws as many groups as there are, with replacement, and takes all predictions of a drawn group: predictions of one group
    resemble each other, so they are not independent evidence. A replicate that lacks a class of the test set measures another quantity;
    it is left out and counted.

    Args:
        predictions: per video, or per clip.
        num_bootstrap: replicates to draw; 0 for no interval.
        seed: of the draws.

    Returns:
        The interval, or None when there are fewer than two groups or fewer than half of the replicates hold every class.
    """
    confusions, present = _confusions_by_group(predictions), np.unique(predictions.labels)
    draws = _draws_of_groups(len(confusions), num_bootstrap, seed)
    return _percentile_interval([_macro_f1(confusions[draw].sum(axis=0), present) for draw in draws], len(confusions))


def bootstrap_difference(challenger: Predictions, champion: Predictions, num_bootstrap: int, seed: int) -> Interval | None:
    """Returns the 95 % percentile interval of the challenger's macro-F1 less the champion's, paired: both see the same drawn groups.

    Args:
        challenger: per video.
        champion: of the same videos in the same order.
        num_bootstrap: replicates to draw, as in `bootstrap_macro_f1`; 0 for no interval.
        seed: of the draws.

    Returns:
        The interval, or None under the conditions of `bootstrap_macro_f1`.
    """
    of_challenger, of_champion = _confusions_by_group(challenger), _confusions_by_group(champion)
    present = np.unique(challenger.labels)
    differences: list[float | None] = []
    for draw in _draws_of_groups(len(of_challenger), num_bootstrap, seed):
        scores = [_macro_f1(confusions[draw].sum(axis=0), present) for confusions in (of_challenger, of_champion)]
        differences.append(None if scores[0] is None or scores[1] is None else scores[0] - scores[1])
    return _percentile_interval(differences, len(of_challenger))


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


def _confusions_by_group(predictions: Predictions) -> Integers:
    """Returns a confusion matrix for each group, [groups, classes, classes]."""
    _, group_indices = np.unique(predictions.groups, return_inverse=True)
    num_classes = predictions.probabilities.shape[1]
    confusions = np.zeros((int(group_indices.max()) + 1, num_classes, num_classes), np.int64)
    np.add.at(confusions, (group_indices, predictions.labels, predictions.predicted), 1)
    return confusions


def _draws_of_groups(num_groups: int, num_bootstrap: int, seed: int) -> list[Integers]:
    """Returns the groups of every replicate: as many as there are, with replacement."""
    rng = np.random.default_rng(seed)
    return [rng.integers(num_groups, size=num_groups) for _ in range(num_bootstrap)]


def _percentile_interval(values: list[float | None], num_groups: int) -> Interval | None:
    complete = [value for value in values if value is not None]
    if num_groups < 2 or not complete or len(complete) < MIN_COMPLETE_REPLICATES * len(values):
        return None
    low, high = np.quantile(complete, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(low), float(high), len(complete), len(values) - len(complete))


def _macro_f1(confusion: Integers, present: Integers) -> float | None:
    """Returns macro-F1 from a confusion matrix, or None when one of the classes `present` has no example in it."""
    support, num_predicted = confusion.sum(axis=1)[present], confusion.sum(axis=0)[present]
    if not support.all():
        return None
    return float(np.mean(2 * confusion[present, present] / (support + num_predicted)))
