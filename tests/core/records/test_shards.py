import collections
import hashlib
import json
from pathlib import Path

import pytest
from apache_beam.io.tfrecordio import ReadFromTFRecord
from apache_beam.testing import test_pipeline
from apache_beam.testing.util import assert_that, equal_to

from components.core.errors import DataError
from components.core.records.shards import (
    ClipSource,
    DatasetIndex,
    ShardInfo,
    SplitInfo,
    read_clip_sources,
    read_tfrecords,
    shard_name,
    shard_of,
    write_tfrecords,
)
from components.core.records.video_records import VideoSet

RECORDS = [b"", b"a", bytes(range(256)) * 40]


def test_shards_are_named_as_tensorflow_names_them() -> None:
    assert shard_name("train", 3, 8) == "train-00003-of-00008.tfrecord"


def test_beam_reads_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "x.tfrecord"
    write_tfrecords(path, RECORDS)
    with test_pipeline.TestPipeline(runner="apache_beam.runners.portability.fn_api_runner.FnApiRunner") as pipeline:
        assert_that(pipeline | ReadFromTFRecord(str(path)), equal_to(RECORDS))


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    write_tfrecords(tmp_path / "x", RECORDS)
    assert list(read_tfrecords(tmp_path / "x")) == RECORDS


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[:5],
        lambda data: data[:20] + b"\x01" + data[21:],
        lambda data: data[:7] + b"\x7f" + data[8:],
    ],
    ids=["end missing", "header cut", "record changed", "length of exabytes"],
)
def test_damage_is_noticed(tmp_path: Path, damage: object) -> None:
    write_tfrecords(tmp_path / "x", [b"0123456789" * 3])
    (tmp_path / "x").write_bytes(damage((tmp_path / "x").read_bytes()))  # type: ignore[operator]
    with pytest.raises(DataError, match="damaged"):
        list(read_tfrecords(tmp_path / "x"))


def test_keys_are_spread_over_shards_by_their_sha1() -> None:
    expected = int(hashlib.sha1(b"video-1").hexdigest()[:16], 16) % 5
    assert shard_of("video-1", 5) == expected
    counts = collections.Counter(shard_of(f"video-{number}", 4) for number in range(400))
    assert min(counts.values()) > 60


def test_the_index_is_read_back(tmp_path: Path) -> None:
    split = SplitInfo([ShardInfo("train-00000-of-00001.tfrecord", 2, "ab")], 2, 1, 1, {"covid": 2}, {"covid": 1}, {"litfl": 2})
    index = DatasetIndex(["covid"], [14, 224, 224, 3], {"seed": 0}, VideoSet("beef", 3), {"train": split}, "f00d")
    (tmp_path / "index.json").write_text(index.to_json())
    assert DatasetIndex.read(tmp_path) == index


@pytest.mark.parametrize("text", ["{", json.dumps({"splits": {}}), json.dumps({"splits": []}), json.dumps([]), json.dumps("index")])
def test_a_foreign_index_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(DataError, match=r"index\.json' is not the index of a clip dataset"):
        DatasetIndex.read(tmp_path)


def test_a_folder_without_index_and_a_file_are_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no index\.json, so it is not a clip dataset"):
        DatasetIndex.read(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is not the index of a clip dataset"):
        DatasetIndex.read(tmp_path / "file")


def test_line_separators_in_a_name_do_not_divide_the_list_of_videos(tmp_path: Path) -> None:
    fields = {"video_id": "a\u2028b", "class_name": "covid", "group": "p\x85", "source": "", "split": "train", "num_clips": 2, "fold": 1}
    lines = [fields, {**fields, "video_id": "short", "num_clips": 0}]
    (tmp_path / "videos.jsonl").write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    assert read_clip_sources(tmp_path) == [ClipSource("a\u2028b", "covid", "p\x85", "", "train", 2, 1)]
