"""Damaged exports are told as such; tests/prune/test_export.py runs whole ones."""

from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf

from components.core.errors import DataError
from components.core.models.exports import load_export


class Halves(tf.Module):
    """Gives back half of what it takes, by a thousand weights."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = tf.Variable(tf.fill([1000], 0.5))

    @tf.function(input_signature=[tf.TensorSpec([None, 1000], name="clip")])
    def serve(self, clip: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": clip * self.weights}


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(path.read_bytes()[:50]), Path.unlink], ids=["cut", "missing"])
def test_a_served_model_without_its_weights_is_refused(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    model = Halves()
    tf.saved_model.save(model, str(tmp_path / "1"), signatures=model.serve)
    assert load_export(tmp_path).predict_on_batch(tf.ones([1, 1000]))["probabilities"].sum() == 500
    damage(next((tmp_path / "1" / "variables").glob("*.data-*")))
    with pytest.raises(DataError, match=f"'{tmp_path}' cannot be loaded .*; run the step that wrote it again"):
        load_export(tmp_path)
