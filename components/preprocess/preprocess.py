"""Preprocess: the videos that ingest stored → a clip dataset (core.shards has its layout)."""

import base64
import collections
import dataclasses
import json
import logging
import shlex
from pathlib import Path

from apache_beam.options.pipeline_options import PipelineOptions

from components.core import parameters, storage
from components.core.clips import CLASS_NAMES, CLIP_FRAMES, FRAME_SIZE_PX, SPLITS
from components.core.errors import DataError, UsageError
from components.core.manifest import Status, VideoRecord, check_groups, read_videos
from components.core.shards import (
    CONTACT_SHEET_NAME,
    INDEX_NAME,
    VIDEOS_NAME,
    DatasetIndex,
    ShardInfo,
    ShardName,
    SplitInfo,
    fingerprint_of,
)
from components.preprocess import beam_pipeline, splits
from components.preprocess.beam_pipeline import ShardSummary, VideoOutcome, VideoTask
from components.preprocess.contact_sheet import write_contact_sheet

# Named by its class: `DirectRunner` would first look for the Prism runner's binary on the network.
DIRECT_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"

# Beam tells of every channel and thread that it opens.
logging.getLogger("apache_beam").setLevel(logging.WARNING)

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What decides the content of a clip dataset; the parameters of component.py explain each."""

    frames_per_second: float
    max_clips_per_video: int
    test_fraction: float
    validation_fraction: float
    num_shards: int
    seed: int


@dataclasses.dataclass(frozen=True)
class BuiltDataset:
    """A finished clip dataset and what became of every video."""

    path: Path
    index: DatasetIndex
    outcomes: list[VideoOutcome]

    def metrics(self) -> dict[str, float]:
        """Returns the counts that the Kubeflow UI shows."""
        counts: dict[str, float] = {"num_videos_without_clips": sum(not outcome.num_clips for outcome in self.outcomes)}
        for split, info in self.index.splits.items():
            counts |= {f"{split}_videos": info.num_videos, f"{split}_clips": info.num_clips, f"{split}_groups": info.num_groups}
        return counts

    def contact_sheet_html(self) -> str:
        """Returns the contact sheet as a page of its own."""
        image = base64.b64encode((self.path / CONTACT_SHEET_NAME).read_bytes()).decode()
        return f'<!doctype html><title>Contact sheet</title><img alt="One frame of every video" src="data:image/jpeg;base64,{image}">'


def build_dataset(
    videos_path: Path, storage_uri: str, dataset_path: Path, settings: Settings, num_workers: int, beam_options: str = ""
) -> BuiltDataset:
    """Builds a clip dataset; it appears at `dataset_path` complete or not at all.

    Args:
        videos_path: the videos.jsonl of ingest.
        storage_uri: where the splits of groups are kept.
        dataset_path: folder to write.
        settings: see Settings.
        num_workers: threads of the direct runner.
        beam_options: options of another runner; its workers must share the file system of `dataset_path`.

    Raises:
        UsageError: a parameter is out of its range.
        DataError: a class has too few groups, or no usable video in a split.
        StorageError: the storage cannot be read or written.
    """
    parameters.check_ranges(num_workers=num_workers, **dataclasses.asdict(settings))
    options = _pipeline_options(beam_options, num_workers)
    usable, excluded = _select(read_videos(videos_path))
    check_groups(record.row for record in usable)
    earlier = splits.read_assignments(storage_uri)
    assignments = splits.assign_splits(
        _videos_by_class(usable), earlier, settings.test_fraction, settings.validation_fraction, settings.seed
    )
    tasks = [
        VideoTask(
            record.row, record.storage_uri, beam_pipeline.shard_for(record.row.video_id, assignments[record.row.group], settings.num_shards)
        )
        for record in usable
    ]
    shards = [ShardName(split, shard, settings.num_shards) for split in SPLITS for shard in range(settings.num_shards)]
    _log.info("%d videos to decode, %d excluded", len(tasks), len(excluded))
    with storage.staged_folder(dataset_path) as staged:
        beam_pipeline.run(tasks, excluded, shards, settings.frames_per_second, settings.max_clips_per_video, staged, options)
        outcomes = [VideoOutcome(**json.loads(line)) for line in (staged / VIDEOS_NAME).read_text(encoding="utf-8").splitlines()]
        index = _index(_pop_summaries(staged), outcomes, settings)
        _check_classes(index)
        write_contact_sheet(staged)
        (staged / INDEX_NAME).write_text(index.to_json(), encoding="utf-8")
        splits.write_assignments(storage_uri, {**earlier, **assignments})
    _report(index, outcomes)
    return BuiltDataset(dataset_path, index, outcomes)


def _pipeline_options(beam_options: str, num_workers: int) -> PipelineOptions:
    try:
        given = shlex.split(beam_options)
    except ValueError as error:
        raise UsageError(f"beam_options {beam_options!r} cannot be split into options ({error}); quote them as in a shell.") from None
    defaults = [f"--runner={DIRECT_RUNNER}", "--direct_running_mode=multi_threading", f"--direct_num_workers={num_workers}"]
    return PipelineOptions([*defaults, *given])


def _select(records: list[VideoRecord]) -> tuple[list[VideoRecord], list[VideoOutcome]]:
    """Divides the videos into those to decode and the outcomes of the others.

    Of several rows with the same bytes the first one counts; when their labels differ, none does.
    """
    by_content: dict[str, list[VideoRecord]] = collections.defaultdict(list)
    for record in records:
        if record.status is Status.STORED:
            by_content[record.sha256].append(record)
    usable, excluded = [], []
    for record in records:
        alike = by_content[record.sha256] if record.status is Status.STORED else []
        contrary = [other.row.video_id for other in alike if other.row.class_name != record.row.class_name]
        if not alike:
            reason = f"{record.status.value} at ingest: {record.reason}"
        elif contrary:
            reason = f"the same file is labelled otherwise as {contrary[0]!r}"
        elif record is not alike[0]:
            reason = f"the same file as {alike[0].row.video_id!r}"
        else:
            usable.append(record)
            continue
        excluded.append(beam_pipeline.outcome_of(record.row, split="", num_clips=0, reason=reason))
    return usable, excluded


def _videos_by_class(records: list[VideoRecord]) -> dict[str, collections.Counter[str]]:
    groups: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for record in records:
        groups[record.row.group][record.row.class_name] += 1
    return groups


def _pop_summaries(folder: Path) -> list[ShardSummary]:
    path = folder / beam_pipeline.SHARD_SUMMARIES_NAME
    summaries = [ShardSummary(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    path.unlink()
    return sorted(summaries, key=lambda summary: summary.name)


def _index(summaries: list[ShardSummary], outcomes: list[VideoOutcome], settings: Settings) -> DatasetIndex:
    split_infos = {
        split: _split_info(
            [summary for summary in summaries if ShardName.parse(summary.name).split == split],
            [outcome for outcome in outcomes if outcome.split == split and outcome.num_clips],
        )
        for split in SPLITS
    }
    return DatasetIndex(
        class_names=list(CLASS_NAMES),
        clip_shape=[CLIP_FRAMES, FRAME_SIZE_PX, FRAME_SIZE_PX, 3],
        parameters=dataclasses.asdict(settings),
        splits=split_infos,
        fingerprint=fingerprint_of(shard for info in split_infos.values() for shard in info.shards),
    )


def _split_info(summaries: list[ShardSummary], outcomes: list[VideoOutcome]) -> SplitInfo:
    clips_by_class = sum((collections.Counter(summary.clips_by_class) for summary in summaries), collections.Counter())
    clips_by_source = sum((collections.Counter(summary.clips_by_source) for summary in summaries), collections.Counter())
    return SplitInfo(
        shards=[ShardInfo(summary.name, sum(summary.clips_by_class.values()), summary.sha256) for summary in summaries],
        num_clips=clips_by_class.total(),
        num_videos=len(outcomes),
        num_groups=len({outcome.group for outcome in outcomes}),
        clips_by_class=dict(clips_by_class),
        videos_by_class=dict(collections.Counter(outcome.class_name for outcome in outcomes)),
        clips_by_source=dict(clips_by_source),
    )


def _check_classes(index: DatasetIndex) -> None:
    for split, info in index.splits.items():
        absent = [name for name in index.class_names if not info.clips_by_class.get(name)]
        if absent:
            raise DataError(f"the {split} split has no clip of class {', '.join(absent)}; its videos gave none, so add usable ones.")


def _report(index: DatasetIndex, outcomes: list[VideoOutcome]) -> None:
    for outcome in outcomes:
        if not outcome.num_clips:
            _log.warning("no clip from %s: %s", outcome.video_id, outcome.reason)
    for split, info in index.splits.items():
        classes = ", ".join(f"{info.videos_by_class[name]} {name}" for name in index.class_names)
        _log.info("%s: %d clips of %d videos (%s) in %d groups", split, info.num_clips, info.num_videos, classes, info.num_groups)
