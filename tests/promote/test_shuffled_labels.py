"""Models that were trained on shuffled labels are promoted no more often than the chance rule allows; one trained on the true ones is.

Every class gets each label equally often, so that the shuffled labels hold nothing about the pictures. A shuffle that happens to hold
something can teach something, and no test on the test split can tell that from knowledge.
"""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from components.core import storage
from components.core.models.predictions import Predictions
from components.core.registry.versions import Comparison, model_sha256
from components.evaluate.metrics import score
from components.evaluate.significance import chance_p_value
from components.promote.decision import Rule, decide
from components.promote.promote import promote_model
from tests.clip_datasets import toy_clip

CLASS_NAMES = ["covid", "pneumonia", "normal"]
NUM_TRAIN, NUM_TEST, NUM_SHUFFLES = 15, 8, 100
RULE = Rule(min_macro_f1=0.5, tolerance=0.0, max_p_value=0.05)


def describe(label: int, rng: np.random.Generator) -> np.ndarray:
    """Returns how a toy clip changes from row to row and from column to column, and its thumbnail."""
    grey = toy_clip(label, rng)[0, ..., 0].reshape(56, 4, 56, 4).mean(axis=(1, 3))
    changes = [np.abs(np.diff(grey, axis=axis)).mean() for axis in (0, 1)]
    return np.concatenate([changes, grey.reshape(8, 7, 8, 7).mean(axis=(1, 3)).ravel()])


@pytest.fixture(scope="module")
def toys() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Descriptions and labels of train videos, then of test videos."""
    rng = np.random.default_rng(0)
    labels = [np.repeat([0, 1, 2], number) for number in (NUM_TRAIN, NUM_TEST)]
    train, test = (np.stack([describe(label, rng) for label in split]) for split in labels)
    return train, labels[0], test, labels[1]


def compared(toys: tuple[np.ndarray, ...], shuffle_seed: int | None, sha256: str = "") -> Comparison:
    """Trains on labels that are shuffled, or not, and returns what evaluate would find on the true labels of the test videos."""
    train, train_labels, test, labels = toys
    if shuffle_seed is not None:
        rng = np.random.default_rng(shuffle_seed)
        train_labels = np.concatenate([rng.permutation(np.repeat([0, 1, 2], NUM_TRAIN // 3)) for _ in CLASS_NAMES])
    model = KNeighborsClassifier(1).fit(train, train_labels)
    ids = np.array([f"v{number}" for number in range(len(labels))])
    predictions = Predictions(labels, model.predict_proba(test), ids, ids, np.full(len(labels), "toy"))
    macro_f1 = score(predictions, CLASS_NAMES).macro_f1
    return Comparison(sha256, macro_f1, None, chance_p_value(predictions, seed=0), 1 / 6, None, None, None, "")


def test_shuffled_labels_pass_at_the_rate_of_the_chance_rule(toys: tuple[np.ndarray, ...]) -> None:
    comparisons = [compared(toys, seed) for seed in range(NUM_SHUFFLES)]
    lucky = sum(decide(comparison, Rule(0.0, 0.0, 0.05)).promoted for comparison in comparisons)
    assert lucky / NUM_SHUFFLES <= 0.05 + 2 * (0.05 * 0.95 / NUM_SHUFFLES) ** 0.5
    assert sum(decide(comparison, RULE).promoted for comparison in comparisons) <= lucky
    assert sum(comparison.challenger_macro_f1 >= 0.45 for comparison in comparisons) > lucky, "a threshold alone would let more luck pass"


# One shuffle in twenty may pass, as the test above counts; these do not.
@pytest.mark.parametrize("shuffle_seed", [None, 0, 1, 3])
def test_only_true_labels_make_a_champion(toys: tuple[np.ndarray, ...], tmp_path: Path, shuffle_seed: int | None) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.keras").write_text(f"{shuffle_seed}")
    (tmp_path / "model" / "metadata.json").write_text("{}")
    (tmp_path / "report").write_text("")
    comparison = compared(toys, shuffle_seed, model_sha256(tmp_path / "model"))
    (tmp_path / "evaluation").write_text(json.dumps({"comparison": asdict(comparison)}))
    root = str(tmp_path / "storage")
    promotion = promote_model(tmp_path / "model", tmp_path / "evaluation", tmp_path / "report", root, RULE)
    assert promotion.decision.promoted == (shuffle_seed is None), promotion.to_markdown()
    assert storage.exists(storage.join(root, "models")) == (shuffle_seed is None)
