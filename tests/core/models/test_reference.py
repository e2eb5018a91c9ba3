"""The reference: distances, false alarms, the rule for patients, and its file."""

from pathlib import Path

import numpy as np
import pytest
import tf_keras
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from components.core.errors import DataError
from components.core.models import heads
from components.core.models.predictions import Predictions
from components.core.models.reference import (
    REFERENCE_NAME,
    STANDARDISED,
    Reference,
    by_rule,
    fit_reference,
    of_patients,
    read_reference,
    with_looks,
)

NUM_CLASSES = 3


def videos(looks: np.ndarray, labels: np.ndarray | None = None, per_patient: int = 1) -> Predictions:
    """Videos with these looks; each patient has so many that follow each other."""
    labels = np.arange(len(looks)) // per_patient % NUM_CLASSES if labels is None else labels
    groups = np.array([f"patient {number // per_patient:04d}" for number in range(len(looks))])
    ids = np.array([f"video {number:04d}" for number in range(len(looks))])
    return Predictions(labels, np.eye(NUM_CLASSES)[labels], ids, groups, np.full(len(looks), "hospital"), looks=looks)


def alike(looks: np.ndarray) -> Predictions:
    """Videos of one class: there is no rule for patients to be learnt."""
    return videos(looks, np.zeros(len(looks), int))


def drawn(rng: np.random.Generator, num: int, size: int = 12, shift: float = 0.0) -> np.ndarray:
    """Looks whose numbers vary by different amounts."""
    return rng.normal(size=(num, size)) * np.linspace(3, 0.5, size) + shift


def test_strangeness_is_the_distance_under_the_covariance_of_the_principal_components() -> None:
    rng = np.random.default_rng(0)
    train, held_out, others = drawn(rng, 9), drawn(rng, 30), drawn(rng, 5, shift=2)
    reference = fit_reference(alike(train), alike(held_out))
    components = PCA(4).fit(train)

    def distances(looks: np.ndarray) -> np.ndarray:
        difference = looks - components.mean_
        return np.sqrt(np.einsum("ni,ij,nj->n", difference, components.get_precision(), difference))

    limit = np.sort(distances(held_out))[29]  # of 30, the 30th is the first that one in twenty may pass
    assert reference.strangeness(others) == pytest.approx(distances(others) / limit, rel=1e-3)


def test_one_in_twenty_videos_like_the_others_is_called_strange_and_most_others_are() -> None:
    rng = np.random.default_rng(1)
    alarms, found = [], []
    for _ in range(100):
        reference = fit_reference(alike(drawn(rng, 60)), alike(drawn(rng, 40)))
        alarms.append((reference.strangeness(drawn(rng, 200)) > 1).mean())
        found.append((reference.strangeness(drawn(rng, 200, shift=3)) > 1).mean())
    assert 0.035 < np.mean(alarms) < 0.06
    assert np.mean(found) > 0.95


def test_few_validation_videos_give_no_more_false_alarms_than_they_can_tell() -> None:
    rng = np.random.default_rng(2)
    rates = []
    for _ in range(200):
        reference = fit_reference(alike(drawn(rng, 60)), alike(drawn(rng, 7)))
        rates.append((reference.strangeness(drawn(rng, 100)) > 1).mean())
    assert np.mean(rates) == pytest.approx(1 / 8, abs=0.03)  # an eighth of eight draws is the largest


@pytest.mark.parametrize("num_present", [2, 3])
def test_the_rule_for_patients_is_a_logistic_regression_over_their_mean_looks(num_present: int) -> None:
    rng = np.random.default_rng(3)
    labels = np.repeat(np.append(np.arange(num_present).repeat(1), np.zeros(6, int)), 4)  # a class with one patient: no choice
    looks = drawn(rng, len(labels)) + labels[:, None]
    reference = fit_reference(videos(looks, labels, per_patient=4), videos(drawn(rng, 20)))
    patients, known = looks.reshape(-1, 4, 12).mean(axis=1), labels[::4]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=5000)).fit(patients, known)
    others = drawn(rng, 6)
    expected = np.zeros((6, NUM_CLASSES))
    expected[:, :num_present] = model.predict_proba(others)
    assert of_patients(reference.scores(others)) == pytest.approx(expected, abs=1e-3)


def test_the_rule_for_patients_learns_what_single_videos_hardly_show() -> None:
    rng = np.random.default_rng(4)

    def sick_and_healthy(num_patients: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(num_patients).repeat(6) % NUM_CLASSES
        return rng.normal(size=(len(labels), 12)) * 2 + np.eye(12)[labels] * 2, labels

    reference = fit_reference(videos(*sick_and_healthy(60), per_patient=6), videos(drawn(rng, 20)))
    looks, labels = sick_and_healthy(60)
    scores = reference.scores(looks)
    by_video = (of_patients(scores).argmax(axis=1) == labels).mean()
    by_patient = (of_patients(scores.reshape(60, 6, NUM_CLASSES).mean(axis=1)).argmax(axis=1) == labels[::6]).mean()
    assert by_patient > 0.75
    assert by_patient > by_video + 0.1


def test_every_video_gets_what_the_rule_says_of_its_patient() -> None:
    rng = np.random.default_rng(8)
    looks, coefficients, intercepts = rng.normal(size=(6, 4)), rng.normal(size=(4, NUM_CLASSES)), rng.normal(size=NUM_CLASSES)
    told = by_rule(videos(looks, np.array([0, 0, 0, 1, 2, 2]), per_patient=3), coefficients, intercepts)
    # The second patient has videos of two classes and counts once for each.
    for rows in ([0, 1, 2], [3], [4, 5]):
        odds = np.exp(looks[rows].mean(axis=0) @ coefficients + intercepts)
        assert told.probabilities[rows] == pytest.approx(np.tile(odds / odds.sum(), (len(rows), 1)))


def test_train_videos_of_one_class_give_that_class() -> None:
    rng = np.random.default_rng(5)
    reference = fit_reference(videos(drawn(rng, 9), np.ones(9, int)), videos(drawn(rng, 9)))
    assert of_patients(reference.scores(drawn(rng, 4))) == pytest.approx(np.tile([0, 1, 0], (4, 1)))


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    reference = fit_reference(videos(drawn(rng, 30)), videos(drawn(rng, 9)))
    reference.write(tmp_path)
    read = read_reference(tmp_path)
    assert read is not None
    looks = drawn(rng, 5)
    assert np.array_equal(read.strangeness(looks), reference.strangeness(looks))
    assert np.array_equal(read.scores(looks), reference.scores(looks))


def test_a_model_without_reference_and_a_damaged_one(tmp_path: Path) -> None:
    assert read_reference(tmp_path) is None
    (tmp_path / REFERENCE_NAME).write_bytes(b"PK\x03\x04 no arrays")
    with pytest.raises(DataError, match=r"reference.npz' cannot be read .*; train the model again"):
        read_reference(tmp_path)


def test_arrays_that_do_not_go_together_are_told(tmp_path: Path) -> None:
    size = np.zeros
    Reference(size(4), size((2, 5)), size(2), size(()), size(()), size((4, 3)), size(3)).write(tmp_path)
    with pytest.raises(DataError, match=r"directions have the shape \(2, 5\) instead of \(2, 4\)"):
        read_reference(tmp_path)


def test_a_look_is_the_mean_and_the_deviation_of_the_maps_before_the_heads() -> None:
    clip = tf_keras.Input((3, 4, 5, 2))
    maps = tf_keras.layers.BatchNormalization(name=STANDARDISED)(clip)
    model = tf_keras.Model(clip, tf_keras.layers.Dense(2, name="classes")(tf_keras.layers.Flatten()(maps)))
    clips = np.random.default_rng(7).normal(size=(6, 3, 4, 5, 2)).astype(np.float32)
    given = with_looks(model).predict(clips, verbose=0)
    expected = np.concatenate([clips.mean(axis=(2, 3)), clips.std(axis=(2, 3))], axis=-1).mean(axis=1)
    assert given[heads.LOOK] == pytest.approx(expected, abs=1e-5)
    assert given[heads.CLASSES] == pytest.approx(model.predict(clips, verbose=0), abs=1e-6)


def test_a_model_that_has_no_such_layer_has_no_looks() -> None:
    clip = tf_keras.Input((4,))
    model = tf_keras.Model(clip, tf_keras.layers.Dense(2)(clip))
    assert set(with_looks(model).output) == {heads.CLASSES}
