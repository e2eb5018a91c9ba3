"""Preprocess: the videos that ingest stored → a clip dataset (core.records.shards has its layout)."""

import collections
import contextlib
import dataclasses
import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Collection, Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from components.core import parameters, storage
from components.core.beam.beam_options import pipeline_options, work_folder
from components.core.errors import UsageError
from components.core.files import json_lines
from components.core.files.outputs import staged_folder, written_aside
from components.core.records.clips import CLIP_FRAMES, FRAME_SIZE_PX, SPLITS, class_names
from components.core.records.findings import FINDINGS
from components.core.records.manifest import ManifestRow, check_groups
from components.core.records.shards import (
    INDEX_NAME,
    STATISTICS_NAME,
    VIDEOS_NAME,
    DatasetIndex,
    ShardInfo,
    SplitInfo,
    fingerprint_of,
    shard_name,
    shard_of,
)
from components.core.records.video_records import Status, VideoRecord, VideoSet, read_videos
from components.core.statistics.drift import statistics_of
from components.core.video.sampling import Sampling
from components.preprocess import beam_pipeline, near_duplicates, splits
from components.preprocess.beam_pipeline import VideoTask
from components.preprocess.leaks import check_leaks
from components.preprocess.outcomes import BuiltDataset, VideoOutcome

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What decides the content of a clip dataset; the parameters of component.py explain each."""

    sampling: str
    frames_per_second: float
    max_clips_per_video: int
    test_fraction: float
    validation_fraction: float
    num_folds: int
    num_shards: int
    keep_other: bool
    seed: int

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes of the dataset."""
        return class_names(self.keep_other)


def build_dataset(
    videos_uri: Path | str,
    storage_uri: str,
    dataset_path: Path,
    settings: Settings,
    num_workers: int,
    beam_options: str = "",
    report_path: Path | None = None,
) -> BuiltDataset:
    """Builds a clip dataset; it appears at `dataset_path`, and its report at `report_path`, complete or not at all.

    Args:
        videos_uri: the list of videos of ingest.
        storage_uri: where the splits of groups are kept.
        dataset_path: folder to write.
        settings: see Settings.
        num_workers: threads of the direct runner.
        beam_options: options of another runner, whose workers pass files through `<storage_uri>/work/`.
        report_path: HTML file for the report; None for none.

    Raises:
        UsageError: a parameter is out of its range, or there is no such list.
        DataError: a class has too few groups of usable videos, or copies of one recording are on two sides.
        StorageError: the storage cannot be read or written.
    """
    parameters.check_values(num_workers=num_workers, **dataclasses.asdict(settings))
    options = pipeline_options(beam_options, "--direct_running_mode=multi_threading", f"--direct_num_workers={num_workers}")
    if not storage.exists(videos_uri):
        raise UsageError(f"the list of videos {str(videos_uri)!r} does not exist; give what ingest wrote.")
    records = read_videos(videos_uri)
    exclusions = _exclusions(records, settings.class_names)
    candidates = [record for record in records if record.row.video_id not in exclusions]
    check_groups((record.row for record in candidates), settings.class_names)
    _log.info("%d videos to decode, %d excluded", len(candidates), len(exclusions))
    report = written_aside(report_path) if report_path else contextlib.nullcontext()
    with report as new_report, staged_folder(dataset_path) as staged, work_folder(options, storage_uri, staged) as work_uri:
        decoding = _decode(candidates, work_uri, settings, options)
        pairs = near_duplicates.find_near_duplicates({video_id: outcome.hashes for video_id, outcome in decoding.items()})
        merged = near_duplicates.linked_groups({record.row.group for record in records}, _links(records, pairs))
        usable = [_in_group(record.row, merged) for record in candidates if decoding[record.row.video_id].num_clips]
        earlier = splits.merged_assignments(splits.read_assignments(storage_uri), merged)
        check_groups(usable, settings.class_names)
        counts = _counts(usable, lambda row: [row.class_name]), _counts(usable, _grades)
        assignments = splits.assign_splits(*counts, earlier, settings.test_fraction, settings.validation_fraction, settings.seed)
        folds = splits.assign_folds(*counts, settings.num_folds, settings.seed)
        rows = [dataclasses.replace(record, row=_in_group(record.row, merged)) for record in records]
        outcomes = [_outcome(record, exclusions, decoding, assignments, folds, pairs) for record in rows]
        shards = _assemble(usable, assignments, work_uri, settings, options)
        for shard in shards:
            with storage.local_copy(_shard_uri(work_uri, shard.name)) as path:
                shutil.move(path, staged / shard.name)
        check_leaks(staged, outcomes)
        index = _index(shards, outcomes, settings, VideoSet.of(records))
        _write_outcomes(staged / VIDEOS_NAME, outcomes)
        statistics = statistics_of([dataclasses.asdict(outcome) for outcome in outcomes if outcome.num_clips])
        (staged / STATISTICS_NAME).write_text(json.dumps(statistics, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        (staged / INDEX_NAME).write_text(index.to_json(), encoding="utf-8")
        if new_report:
            new_report.write_text(BuiltDataset(staged, index, outcomes).report_html(), encoding="utf-8")
        # Before the dataset appears: when another run has decided otherwise meanwhile, it must not.
        splits.write_assignments(storage_uri, {group: assignments[name] for group, name in merged.items() if name in assignments})
    _report(index, outcomes, {record.row.video_id for record in records if record.status is Status.STORED})
    return BuiltDataset(dataset_path, index, outcomes)


def _decode(
    candidates: list[VideoRecord], work_uri: str, settings: Settings, options: PipelineOptions
) -> dict[str, beam_pipeline.DecodingOutcome]:
    """Decodes the videos into files of clips; returns what became of each, by its id."""
    tasks = [VideoTask(record.row, record.storage_uri, _clips_uri(work_uri, record.row)) for record in candidates]
    sampling = Sampling.of(dataclasses.asdict(settings))
    return beam_pipeline.decode(tasks, sampling, storage.join(work_uri, "outcomes.jsonl"), options)


def _clips_uri(work_uri: str, row: ManifestRow) -> str:
    """Returns the file of a video's clips; an id may hold any character, a file name may not."""
    return storage.join(work_uri, "clips", f"{hashlib.sha1(row.video_id.encode()).hexdigest()}.tfrecord")


def _shard_uri(work_uri: str, name: str) -> str:
    return storage.join(work_uri, "shards", name)


def _in_group(row: ManifestRow, merged: dict[str, str]) -> ManifestRow:
    return dataclasses.replace(row, group=merged[row.group])


def _links(records: list[VideoRecord], pairs: list[near_duplicates.Pair]) -> list[tuple[str, str]]:
    """Returns which groups hold the same file or near-duplicates."""
    group_of = {record.row.video_id: record.row.group for record in records}
    first_of_file: dict[str, str] = {}
    stored = [record for record in records if record.status is Status.STORED]
    same_file = [(first_of_file.setdefault(record.sha256, record.row.group), record.row.group) for record in stored]
    return same_file + [(group_of[one], group_of[other]) for one, other, _ in pairs]


def _counts(rows: list[ManifestRow], names: Callable[[ManifestRow], Iterable[str]]) -> dict[str, collections.Counter[str]]:
    """Returns, per group, how many of its videos have each of the names."""
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for row in rows:
        counts[row.group].update(names(row))
    return counts


def _grades(row: ManifestRow) -> list[str]:
    return [f"{name} {grade}" for name, grade in row.findings().items()]


def _assemble(
    usable: list[ManifestRow], assignments: dict[str, str], work_uri: str, settings: Settings, options: PipelineOptions
) -> list[ShardInfo]:
    """Writes the shards of all splits; clips are sorted by the id of their video."""
    members: dict[str, list[tuple[str, str]]] = {
        shard_name(split, shard, settings.num_shards): [] for split in SPLITS for shard in range(settings.num_shards)
    }
    for row in sorted(usable, key=lambda row: row.video_id):
        name = shard_name(assignments[row.group], shard_of(row.video_id, settings.num_shards), settings.num_shards)
        members[name].append((_clips_uri(work_uri, row), row.group))
    tasks = [beam_pipeline.ShardTask(_shard_uri(work_uri, name), tuple(clips)) for name, clips in members.items()]
    return beam_pipeline.assemble(tasks, storage.join(work_uri, "shards.jsonl"), options)


def _exclusions(records: list[VideoRecord], class_names: tuple[str, ...]) -> dict[str, str]:
    """Returns the ids of the videos that are not decoded, and why.

    Of several rows with the same bytes the first one counts; when their classes or findings contradict each other, none does.
    """
    by_content: dict[str, list[VideoRecord]] = collections.defaultdict(list)
    for record in records:
        by_content[record.sha256].append(record)
    reasons = {}
    for record in records:
        alike = by_content[record.sha256]
        contrary = [other.row.video_id for other in alike if _contradict(other.row, record.row)]
        if record.status is not Status.STORED:
            reasons[record.row.video_id] = f"{record.status.value} at ingest: {record.reason}"
        elif record.row.class_name not in class_names:
            reasons[record.row.video_id] = f"its class is {record.row.class_name}, which is not kept (keep_other)"
        elif contrary:
            reasons[record.row.video_id] = f"the same file is labelled otherwise as {contrary[0]!r}"
        elif record is not alike[0]:
            reasons[record.row.video_id] = f"the same file as {alike[0].row.video_id!r}"
    return reasons


def _contradict(one: ManifestRow, other: ManifestRow) -> bool:
    stated = other.findings()
    return one.class_name != other.class_name or any(stated.get(name, grade) != grade for name, grade in one.findings().items())


def _outcome(
    record: VideoRecord,
    exclusions: dict[str, str],
    decoding: dict[str, beam_pipeline.DecodingOutcome],
    assignments: dict[str, str],
    folds: dict[str, int],
    pairs: list[near_duplicates.Pair],
) -> VideoOutcome:
    row = record.row
    excluded = beam_pipeline.DecodingOutcome(row.video_id, reason=exclusions.get(row.video_id, ""))
    outcome = decoding.get(row.video_id, excluded)
    known: dict[str, Any] = {
        **dataclasses.asdict(row),
        **dataclasses.asdict(outcome),
        "split": assignments[row.group] if outcome.num_clips else "",
        "fold": folds[row.group] if outcome.num_clips else None,
        "container": PurePosixPath(record.storage_uri).suffix.removeprefix("."),
        "sha256": record.sha256,
        "near_duplicates": sorted({other for pair in pairs if row.video_id in pair[:2] for other in pair[:2]} - {row.video_id}),
    }
    return VideoOutcome(**{field.name: known[field.name] for field in dataclasses.fields(VideoOutcome)})


def _write_outcomes(path: Path, outcomes: list[VideoOutcome]) -> None:
    lines = (json.dumps(dataclasses.asdict(outcome), ensure_ascii=False) for outcome in sorted(outcomes, key=lambda o: o.video_id))
    path.write_bytes(json_lines.to_bytes(lines))


def _index(shards: list[ShardInfo], outcomes: list[VideoOutcome], settings: Settings, videos: VideoSet) -> DatasetIndex:
    return DatasetIndex(
        class_names=list(settings.class_names),
        clip_shape=[CLIP_FRAMES, FRAME_SIZE_PX, FRAME_SIZE_PX, 3],
        parameters=dataclasses.asdict(settings),
        videos=videos,
        splits={split: _split_info(split, shards, outcomes) for split in SPLITS},
        fingerprint=fingerprint_of(shards),
    )


def _split_info(split: str, shards: list[ShardInfo], outcomes: list[VideoOutcome]) -> SplitInfo:
    shards = [shard for shard in shards if shard.name.startswith(f"{split}-")]
    outcomes = [outcome for outcome in outcomes if outcome.split == split]
    clips_by_class: collections.Counter[str] = collections.Counter()
    clips_by_source: collections.Counter[str] = collections.Counter()
    clips_by_grade: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for outcome in outcomes:
        clips_by_class[outcome.class_name] += outcome.num_clips
        clips_by_source[outcome.source] += outcome.num_clips
        for finding in FINDINGS:
            if grade := getattr(outcome, finding.name):
                clips_by_grade[finding.name][grade] += outcome.num_clips
    return SplitInfo(
        shards=shards,
        num_clips=sum(shard.num_clips for shard in shards),
        num_videos=len(outcomes),
        num_groups=len({outcome.group for outcome in outcomes}),
        clips_by_class=dict(clips_by_class),
        videos_by_class=dict(collections.Counter(outcome.class_name for outcome in outcomes)),
        clips_by_source=dict(clips_by_source),
        clips_by_grade={name: dict(sorted(counts.items())) for name, counts in clips_by_grade.items()},
    )


def _report(index: DatasetIndex, outcomes: list[VideoOutcome], stored: Collection[str]) -> None:
    """Logs what became of the videos; of those that are not stored, ingest has warned."""
    for outcome in outcomes:
        if not outcome.num_clips:
            _log.log(
                logging.WARNING if outcome.video_id in stored else logging.INFO, "no clip from %s: %s", outcome.video_id, outcome.reason
            )
        elif outcome.num_damaged:
            _log.warning("%s is damaged: %d parts could not be decoded and are left out", outcome.video_id, outcome.num_damaged)
    for outcome in outcomes:
        if outcome.near_duplicates:
            _log.info("%s is a near-duplicate of %s; group %s", outcome.video_id, ", ".join(outcome.near_duplicates), outcome.group)
    for split, info in index.splits.items():
        classes = ", ".join(f"{info.videos_by_class[name]} {name}" for name in index.class_names)
        _log.info("%s: %d clips of %d videos (%s) in %d groups", split, info.num_clips, info.num_videos, classes, info.num_groups)
    counts = ", ".join(f"{split} {info.num_clips}/{info.num_videos}" for split, info in index.splits.items())
    _log.info("result: clips/videos: %s", counts)
