"""The tf.data reader against core.records.clips and OpenCV, and what it refuses."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from components.core.errors import DataError
from components.core.models.dataset import Part, failures_of_shards, part_of_split, read_clips, read_records
from components.core.records import clips, shards
from components.core.records.findings import FINDINGS
from tests.clip_datasets import write_toy_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_dataset(tmp_path_factory.mktemp("data") / "dataset", {"train": 3, "validation": 1, "test": 1}, findings=True)


def stored_records(dataset: Path, split: str) -> list[clips.ClipRecord]:
    names = [shard.name for shard in shards.DatasetIndex.read(dataset).splits[split].shards]
    return [clips.parse(data) for name in names for data in shards.read_tfrecords(dataset / name)]


def ids_of(examples: Any) -> list[str]:
    return [example["video_id"].decode() for example in examples.as_numpy_iterator()]


def test_clips_are_those_that_core_clips_and_opencv_read(dataset: Path) -> None:
    examples = list(read_clips(dataset, "train").as_numpy_iterator())
    records = stored_records(dataset, "train")
    assert len(examples) == len(records) == 9
    for example, record in zip(examples, records, strict=True):
        frames = np.stack([cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR)[..., ::-1] for frame in record.frames])
        assert example["clip"].dtype == np.uint8
        assert np.abs(example["clip"].astype(int) - frames).max() <= 1  # decoders may round differently
        assert example["label"] == record.label
        assert example["findings"].tolist() == [record.a_lines, record.b_lines, record.severity]
        assert [example[key].decode() for key in ("video_id", "group", "source")] == [record.video_id, record.group, record.source]


def test_shuffling_is_repeatable_and_another_one_in_every_pass(dataset: Path) -> None:
    stored, shuffled = ids_of(read_clips(dataset, "train")), read_clips(dataset, "train", shuffle_seed=1)
    first, second = ids_of(shuffled), ids_of(shuffled)
    again = read_clips(dataset, "train", shuffle_seed=1)
    assert sorted(first) == sorted(second) == sorted(stored)
    assert first != second
    assert [ids_of(again), ids_of(again)] == [first, second]


def test_class_weights_are_those_of_scikit_learn() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    counts = {"covid": 17, "pneumonia": 48, "normal": 98}
    labels = np.repeat([0, 1, 2], list(counts.values()))
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert Part("train", (), counts).class_weights() == pytest.approx(expected)


def test_a_class_without_clips_has_no_weight() -> None:
    part = Part("train", (), {"covid": 3, "pneumonia": 0, "normal": 1})
    assert part.class_weights() == pytest.approx((4 / 6, 0, 4 / 2))
    with pytest.raises(DataError, match="train split has no clips of class pneumonia"):
        part.check_classes()


@pytest.mark.parametrize("error", [1, -1])
def test_shards_with_another_number_of_clips_than_the_index_says_are_refused(dataset: Path, tmp_path: Path, error: int) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(dataset, damaged)
    edit_index(damaged, lambda fields: fields["splits"]["train"].update(num_clips=9 + error, clips_by_class={"covid": 9 + error}))
    part = part_of_split(damaged, "train")
    for examples in (read_clips(damaged, "train"), read_records(part, shuffle_seed=0).repeat(2)):
        with pytest.raises(DataError, match=r"is missing or damaged \(.*expected to contain"), failures_of_shards(damaged):
            list(examples.as_numpy_iterator())


def without_index(dataset: Path) -> None:
    (dataset / shards.INDEX_NAME).unlink()


def with_broken_index(dataset: Path) -> None:
    (dataset / shards.INDEX_NAME).write_text('{"splits": {"train": ')


def edit_index(dataset: Path, change: Callable[[dict[str, Any]], None]) -> None:
    fields = json.loads((dataset / shards.INDEX_NAME).read_text())
    change(fields)
    (dataset / shards.INDEX_NAME).write_text(json.dumps(fields))


def with_other_classes(dataset: Path) -> None:
    edit_index(dataset, lambda fields: fields.update(class_names=["ill", "well"]))


def with_other_clips(dataset: Path) -> None:
    edit_index(dataset, lambda fields: fields.update(clip_shape=[30, 224, 224, 3]))


def with_empty_train_split(dataset: Path) -> None:
    edit_index(dataset, lambda fields: fields["splits"]["train"].update(num_clips=0, shards=[]))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without_index, "has no index.json"),
        (with_broken_index, "is not the index of a clip dataset"),
        (with_other_classes, "has the classes"),
        (with_other_clips, "has clips of shape"),
        (with_empty_train_split, "train split of .* has no clips"),
    ],
)
def test_a_dataset_that_cannot_be_used_is_refused(dataset: Path, tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(dataset, damaged)
    damage(damaged)
    with pytest.raises(DataError, match=message):
        read_clips(damaged, "train")


def test_a_finding_counts_as_much_as_the_class_however_few_clips_state_it() -> None:
    a_lines, _, severity = FINDINGS
    part = Part("train", (), {"covid": 10, "normal": 30}, clips_by_grade={"a_lines": (5, 15), "severity": (10, 4, 0, 6)})
    assert part.grade_weights(a_lines) == pytest.approx((4, 4 / 3))  # both grades alike
    assert part.grade_weights(severity) == (2, 2, 2, 2)  # as frequent as they are
    for finding in part.findings:
        counts = part.clips_by_grade[finding.name]
        assert sum(np.multiply(counts, part.grade_weights(finding))) == pytest.approx(part.num_clips)
    assert Part("validation", (), {"covid": 3}, clips_by_grade={"severity": (0, 0, 0, 0)}).grade_weights(severity) == (0, 0, 0, 0)
