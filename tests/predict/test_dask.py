"""Predictions on Dask: a cluster on this machine, as RunInference and two shuffles of clips use it."""

from pathlib import Path
from typing import Any

import pytest

from components.core.errors import UsageError
from components.predict.inputs import list_videos
from tests.predict.test_predict import _without_probabilities, predict, predicted  # noqa: F401 (a fixture)

pytestmark = pytest.mark.slow


def test_dask_gives_the_same_lines(
    phantoms: Path,
    model: Path,
    predicted: tuple[list[dict[str, Any]], Path],  # noqa: F811
    tmp_path: Path,
) -> None:
    options = "--runner=DaskRunner --direct_num_workers=2 --dask_partition_size=2"
    lines = predict(list_videos([str(phantoms)]), str(model), tmp_path, beam_options=options, draw_strips=True)
    for line, direct in zip(lines, predicted[0], strict=True):
        assert _without_probabilities(line) == _without_probabilities(direct)
        for found, expected in zip([line, *line["clips"]], [direct, *direct["clips"]], strict=True):
            assert found["probabilities"] == (expected["probabilities"] and pytest.approx(expected["probabilities"], abs=2e-6))
    assert len(list((tmp_path / "strips").iterdir())) == len(lines) - 1


def test_what_workers_do_not_see_is_refused(phantoms: Path, model: Path, tmp_path: Path) -> None:
    options = "--runner=DaskRunner --dask_client_address=tcp://127.0.0.1:1"
    with pytest.raises(UsageError, match=f"do not see '{model}'; keep it in a bucket"):
        predict(list_videos([str(phantoms)]), str(model), tmp_path, "s3://bucket", beam_options=options)
    assert not (tmp_path / "predictions").exists()
