import json
import math
from pathlib import Path

import numpy as np
import pytest

from components.core.drift import drift, statistics_of, used_videos
from components.core.errors import DataError


def videos(num: int, seed: int, brightness: float = 60, source: str = "a") -> list[dict]:
    rng = np.random.default_rng(seed)
    return [
        {
            "video_id": f"v{number}",
            "num_clips": 1,
            "class_name": ("covid", "normal")[number % 2],
            "source": source if number % 4 else "b",
            "probe": "convex",
            "sector": "convex",
            "brightness": float(rng.normal(brightness, 5)),
            "frames_per_second": float(rng.choice([10, 25, 30])),
            "width_px": 640,
            "height_px": 480,
            "read_s": float(rng.uniform(1, 5)),
        }
        for number in range(num)
    ]


def test_the_index_is_that_of_the_formula() -> None:
    first = [{**video, "class_name": name} for video, name in zip(videos(100, 0), ["covid"] * 50 + ["normal"] * 50, strict=True)]
    second = [{**video, "class_name": name} for video, name in zip(videos(100, 0), ["covid"] * 80 + ["normal"] * 20, strict=True)]
    result = next(field for field in drift(first, second) if field.field == "class_name")
    a, b = (50.5 / 101, 50.5 / 101), (80.5 / 101, 20.5 / 101)
    assert result.index == pytest.approx(sum((y - x) * math.log(y / x) for x, y in zip(a, b, strict=True)), abs=1e-3)
    assert result.reading == "large shift"
    assert result.largest == "covid: 50% → 80%"


def test_two_samples_of_one_kind_have_no_shift() -> None:
    assert {field.reading for field in drift(videos(60, 1), videos(40, 2))} == {"no shift beyond chance"}


def test_what_changed_is_named_and_nothing_else() -> None:
    readings = {field.field: field.reading for field in drift(videos(80, 1), videos(80, 2, brightness=75, source="c"))}
    assert {field for field, reading in readings.items() if reading == "large shift"} == {"brightness", "source"}


def test_statistics_count_and_summarise() -> None:
    statistics = statistics_of(videos(8, 0))
    assert statistics["names"]["source"] == {"a": 6, "b": 2}
    assert statistics["numbers"]["width_px"]["median"] == 640
    assert set(statistics["schema"]) == {*statistics["names"], *statistics["numbers"]}


def test_a_folder_that_is_no_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="give the output of preprocess"):
        used_videos(tmp_path)
    (tmp_path / "videos.jsonl").write_text(json.dumps({"num_clips": 2, "class_name": "covid"}) + "\n")
    with pytest.raises(DataError, match="lacks brightness"):
        used_videos(tmp_path)
