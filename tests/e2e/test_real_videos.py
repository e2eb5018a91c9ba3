"""Ingest and preprocess on the real videos."""

import collections
import json
from pathlib import Path

import pytest

from components.core.records.clips import parse
from components.core.records.manifest import read_manifest
from components.core.records.shards import read_tfrecords
from components.ingest.ingest import ingest_videos
from components.preprocess.outcomes import BuiltDataset
from components.preprocess.preprocess import Settings, build_dataset

pytestmark = pytest.mark.real_data
SETTINGS = Settings(
    sampling="window",
    frames_per_second=10,
    max_clips_per_video=4,
    test_fraction=0.3,
    validation_fraction=0.2,
    num_folds=5,
    num_shards=4,
    keep_other=False,
    seed=0,
)


def build(folder: Path, manifest: Path, name: str, num_workers: int) -> BuiltDataset:
    result = ingest_videos(str(manifest), str(folder / "storage"))
    result.write(folder / f"{name}.jsonl", folder / f"{name}.md")
    return build_dataset(folder / f"{name}.jsonl", str(folder / "storage"), folder / name, SETTINGS, num_workers)


def test_the_real_videos_become_the_same_dataset_twice(tmp_path: Path, real_manifest: Path) -> None:
    first, again = build(tmp_path, real_manifest, "first", 2), build(tmp_path, real_manifest, "again", 1)
    assert (tmp_path / "first.jsonl").read_bytes() == (tmp_path / "again.jsonl").read_bytes()
    for path in first.path.iterdir():
        assert path.read_bytes() == (again.path / path.name).read_bytes()

    outcomes = [json.loads(line) for line in (first.path / "videos.jsonl").read_text().splitlines()]
    assert {outcome["video_id"] for outcome in outcomes} == {row.video_id for row in read_manifest(str(real_manifest))}
    assert all(outcome["num_clips"] or outcome["reason"] for outcome in outcomes)

    sides = collections.defaultdict(set)
    for split, info in first.index.splits.items():
        for shard in info.shards:
            for record in read_tfrecords(first.path / shard.name):
                sides[parse(record).group].add(split)
    assert all(len(splits) == 1 for splits in sides.values())
