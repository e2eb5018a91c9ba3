"""The reference of a classifier: what the videos that it learnt from look like, to compare others with.

A look is the mean and the deviation over space of the maps that a network's heads decide by, averaged over the images of a clip, then over
the clips of a video: [2 × channels] float32. Two things are read from it beside the heads' answers:

    strangeness    how far a video is from those of the train split, as a part of what is usual. Probabilistic principal components
                   (Tipping and Bishop, J R Stat Soc B 61, 1999) of the train videos give the distance, the validation videos, of
                   other patients, the limit: of videos like these one in twenty is beyond it. docs/predict.md says what is found
    scores         the classes of a patient by the mean look of all videos: a logistic regression over the patients of the train
                   split, its penalty chosen by cross-validation over them (docs/findings.md has the figures). It is linear, so
                   that the scores of videos may be averaged instead of their looks

The model artifact keeps it as reference.npz. scikit-learn is imported when a reference is fitted, not before.
"""

import dataclasses
import math
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from components.core.errors import DataError
from components.core.models import heads

if TYPE_CHECKING:
    from components.core.models.predictions import Predictions

REFERENCE_NAME = "reference.npz"
STANDARDISED = "standardised"  # the layer of a classifier that stands between what sees and what decides
MAX_COMPONENTS = 32
USUAL = 0.95  # part of the validation videos within the limit
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
PENALTY_WITHOUT_CHOICE = 1e-2
NUM_FOLDS = 5
SMALLEST = 1e-12
NEVER = -100.0  # the score of a class that no train patient has

Floats = npt.NDArray[np.floating[Any]]


@dataclasses.dataclass(frozen=True, eq=False)
class Reference:
    """What the train videos look like; d numbers a look.

    Attributes:
        centre: [d], their mean.
        directions: [components, d], orthonormal, in which they differ most.
        variances: [components], how much.
        rest_variance: [], in every other direction.
        limit: [], the distance that is still usual.
        coefficients: [d, classes], of the rule for patients.
        intercepts: [classes], of the same.
    """

    centre: Floats
    directions: Floats
    variances: Floats
    rest_variance: Floats
    limit: Floats
    coefficients: Floats
    intercepts: Floats

    def strangeness(self, looks: Floats) -> Floats:
        """Returns how far looks [n, d] are from those of the train videos, [n]; beyond 1 they are strange to the model."""
        difference = looks - self.centre
        along = difference @ self.directions.T
        rest = np.maximum((difference**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        return np.asarray(np.sqrt((along**2 / self.variances).sum(axis=1) + rest / self.rest_variance) / self.limit)

    def num_strange(self, videos: "Predictions") -> int:
        """Returns how many videos are strange, given their looks."""
        return int((self.strangeness(_looks(videos)) > 1).sum())

    def scores(self, looks: Floats) -> Floats:
        """Returns what looks [n, d] say of the classes of a patient, [n, classes]: of_patients takes the mean over the videos."""
        return np.asarray(looks @ self.coefficients + self.intercepts)

    def check_shapes(self) -> None:
        """Checks that the arrays go together.

        Raises:
            ValueError: they do not; the message says which.
        """
        (size,), (num,), (num_classes,) = self.centre.shape, self.variances.shape, self.intercepts.shape
        expected = {"directions": (num, size), "rest_variance": (), "limit": (), "coefficients": (size, num_classes)}
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} have the shape {getattr(self, name).shape} instead of {shape}")

    def write(self, folder: Path) -> None:
        """Writes it into the folder of a model artifact."""
        np.savez(folder / REFERENCE_NAME, **dataclasses.asdict(self))


def of_patients(scores: Floats) -> npt.NDArray[np.float64]:
    """Returns the probabilities of the classes, [n, classes], of patients with the mean scores [n, classes]."""
    odds = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=-1, keepdims=True), np.float64)


def read_reference(folder: Path) -> Reference | None:
    """Reads the reference of a model artifact; None when it has none.

    Raises:
        DataError: the file is damaged.
    """
    path = folder / REFERENCE_NAME
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            reference = Reference(**arrays)
        reference.check_shapes()
        return reference
    except (OSError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{str(path)!r} cannot be read ({error}); train the model again.") from None


def look_of_maps(maps: Floats) -> Floats:
    """Returns the looks, [n, 2 × channels], of maps [n, images, height, width, channels]."""
    return np.concatenate([maps.mean(axis=(2, 3)), maps.std(axis=(2, 3))], axis=-1).mean(axis=1)


def with_looks(model: Any) -> Any:
    """Returns a classifier that gives the look of each clip (as look_of_maps), too, by the name heads.LOOK: [batch, d] float32.

    A model without the layer STANDARDISED gives what it gives, by head.
    """
    import tensorflow as tf
    import tf_keras

    outputs = dict(heads.by_head(model.output))
    if any(layer.name == STANDARDISED for layer in model.layers):
        maps = tf.cast(model.get_layer(STANDARDISED).input, tf.float32)
        parts = tf.reduce_mean(maps, [2, 3]), tf.math.reduce_std(maps, [2, 3])
        outputs[heads.LOOK] = tf.reduce_mean(tf.concat(parts, axis=-1), axis=1)
    return tf_keras.Model(model.input, outputs)


def write_reference(folder: Path, model: Any, dataset_path: Path, batch_size: int) -> None:
    """Computes the reference of a classifier that learnt from the train split, and writes it into the folder of its model artifact.

    Nothing is written for a model without the layer STANDARDISED.

    Raises:
        DataError: the dataset or the model cannot be used.
    """
    from components.core.models.predictions import predict_clips

    sizes = {name: shape[-1] for name, shape in heads.by_head(model.output_shape).items()}
    looking = with_looks(model)
    if heads.LOOK in looking.output:
        splits = ("train", "validation")
        train, held_out = (predict_clips("new", looking, dataset_path, split, sizes, batch_size).by_video() for split in splits)
        fit_reference(train, held_out).write(folder)


def fit_reference(train: "Predictions", held_out: "Predictions") -> Reference:
    """Computes a reference from the looks of the train and of the validation videos, a row a video."""
    from sklearn.decomposition import PCA

    looks = _looks(train)
    num_components = max(1, min(MAX_COMPONENTS, len(looks) // 2, looks.shape[1] - 1))
    components = PCA(num_components, svd_solver="full").fit(looks)
    rest_variance = max(float(components.noise_variance_), SMALLEST)
    variances = np.maximum(components.explained_variance_, rest_variance)
    rule = rule_for_patients(train.by_group())
    reference = Reference(components.mean_, components.components_, variances, np.array(rest_variance), np.array(1.0), *rule)
    distances = np.sort(reference.strangeness(_looks(held_out)))
    # As in conformal prediction: another of n videos like these is beyond the limit in at most 5 %, or with few videos in 1 of n + 1.
    usual = min(len(distances), math.ceil(USUAL * (len(distances) + 1)))
    reference = dataclasses.replace(reference, limit=np.maximum(distances[usual - 1], SMALLEST))
    return Reference(**{name: np.asarray(values, np.float32) for name, values in dataclasses.asdict(reference).items()})


def rule_for_patients(patients: "Predictions") -> tuple[Floats, Floats]:
    """Returns coefficients [d, classes] and intercepts [classes] of a multinomial logistic regression; a row a patient and class."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    looks, num_classes = _looks(patients), patients.probabilities.shape[1]
    present, counts = np.unique(patients.labels, return_counts=True)
    coefficients, intercepts = np.zeros((looks.shape[1], num_classes)), np.full(num_classes, NEVER)
    if len(present) < 2:
        intercepts[present] = 0
        return coefficients, intercepts
    regression = LogisticRegression(C=PENALTY_WITHOUT_CHOICE, class_weight="balanced", max_iter=5000)
    model = make_pipeline(StandardScaler(), regression)
    if counts.min() >= 2:
        folds = StratifiedKFold(min(NUM_FOLDS, int(counts.min())), shuffle=True, random_state=0)
        model = GridSearchCV(model, {"logisticregression__C": PENALTIES}, scoring="neg_log_loss", cv=folds)
    fitted = model.fit(looks, patients.labels)
    scaler, regression = getattr(fitted, "best_estimator_", fitted)
    weights, constants = regression.coef_, regression.intercept_
    if len(present) == 2:  # scikit-learn gives the difference of the two only
        weights, constants = np.stack([-weights[0], weights[0]]) / 2, np.array([-constants[0], constants[0]]) / 2
    coefficients[:, present] = (weights / scaler.scale_).T
    intercepts[present] = constants - weights @ (scaler.mean_ / scaler.scale_)
    return coefficients, intercepts


def by_rule(videos: "Predictions", coefficients: Floats, intercepts: Floats) -> "Predictions":
    """Returns the same videos, each with what the rule for patients says of its patient, by the looks of all of the patient's videos."""
    patients = videos.by_group()
    rows = {patient: row for row, patient in enumerate(_patients(patients))}
    of_patient = of_patients(np.asarray(_looks(patients) @ coefficients + intercepts, np.float64))
    return dataclasses.replace(videos, probabilities=of_patient[[rows[patient] for patient in _patients(videos)]], findings={})


def _patients(predictions: "Predictions") -> list[tuple[str, int]]:
    """Returns what Predictions.by_group takes for a patient: the group and the class."""
    return list(zip(predictions.groups.tolist(), predictions.labels.tolist(), strict=True))


def _looks(predictions: "Predictions") -> Floats:
    assert predictions.looks is not None
    return predictions.looks
