"""The two Apache Beam pipelines of preprocess, and what they pass to each other on disk.

    decode      videos ── decode and sample ── one file of clips per video ── outcomes (JSON Lines)
    assemble    shards, each a list of such files ── write shard ── summaries (JSON Lines)

Between them the splits are decided, over the videos that gave clips. Paths travel between workers, not frames. Which shard a clip goes to,
and its place in it, follow from the video's id alone, therefore every runner and every number of workers writes the same bytes. Files are
written aside and moved into place, so that work which a runner tries again does no harm. Workers need no TensorFlow.
"""

import collections
import dataclasses
import hashlib
import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.metrics.metric import Metrics
from apache_beam.options.pipeline_options import PipelineOptions

from components.core import storage
from components.core.clips import CLASS_NAMES, ClipRecord, parse, serialize
from components.core.errors import PipelineError
from components.core.manifest import ManifestRow
from components.core.shards import read_tfrecords, write_tfrecords
from components.core.video.clip_reader import Clip, read_clips
from components.core.video.sampling import Sampling

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class VideoTask:
    """One stored video, and the file that its clips are written to."""

    row: ManifestRow
    storage_uri: str
    clips_path: str


@dataclasses.dataclass(frozen=True)
class DecodingOutcome:
    """How many clips one video gave and the kind of its sector, or the reason why it gave none."""

    video_id: str
    num_clips: int
    sector: str
    reason: str


@dataclasses.dataclass(frozen=True)
class ShardTask:
    """One shard to write, and the files of clips that it is made of, in their order."""

    path: str
    clips_paths: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class ShardSummary:
    """What was written to one shard."""

    name: str
    sha256: str
    clips_by_class: dict[str, int]
    clips_by_source: dict[str, int]


def decode(tasks: list[VideoTask], sampling: Sampling, outcomes_path: Path, options: PipelineOptions) -> list[DecodingOutcome]:
    """Writes the clips of every video to its own file, on a file system that all workers share.

    Args:
        tasks: the videos.
        sampling: which frames are wanted.
        outcomes_path: a file for the outcomes.
        options: Beam's options.

    Returns:
        One outcome a video, sorted by its id.
    """
    with beam.Pipeline(options=options) as pipeline:
        outcomes = (
            pipeline | "videos" >> beam.Create(tasks, reshuffle=True) | "decode and sample" >> beam.Map(_decode_video, sampling=sampling)
        )
        _gather(outcomes, outcomes_path)
    return [DecodingOutcome(**fields) for fields in _read_lines(outcomes_path)]


def assemble(tasks: list[ShardTask], summaries_path: Path, options: PipelineOptions) -> list[ShardSummary]:
    """Writes the shards from the files that `decode` wrote.

    Args:
        tasks: all shards that are to exist, empty ones too.
        summaries_path: a file for the summaries.
        options: Beam's options.

    Returns:
        One summary a shard, sorted by its name.
    """
    with beam.Pipeline(options=options) as pipeline:
        _gather(pipeline | "shards" >> beam.Create(tasks, reshuffle=True) | "write shard" >> beam.Map(_write_shard), summaries_path)
    return [ShardSummary(**fields) for fields in _read_lines(summaries_path)]


def _gather(items: Any, path: Path) -> None:
    """Writes dataclass instances, whose first field tells them apart, as sorted lines of one JSON file."""
    (
        items
        | "to JSON" >> beam.Map(lambda item: (None, json.dumps(dataclasses.asdict(item), ensure_ascii=False)))
        | "gather" >> beam.GroupByKey()
        | "write lines" >> beam.Map(_write_lines, path=str(path))
    )


def _write_lines(gathered: tuple[None, Iterable[str]], path: str) -> None:
    _, lines = gathered
    storage.write_bytes(path, "".join(f"{line}\n" for line in sorted(lines)).encode())


def _read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _decode_video(task: VideoTask, sampling: Sampling) -> DecodingOutcome:
    """Decodes one video; whatever is wrong with it becomes the reason of its outcome."""
    clips: list[bytes] = []
    reason = sector = ""
    try:
        with storage.local_copy(task.storage_uri) as path:
            video = read_clips(path, task.row.crop, sampling)
        sector = video.sector.value
        clips = [serialize(_clip_record(task.row, number, clip)) for number, clip in enumerate(video.clips)]
        with storage.written_aside(Path(task.clips_path)) as aside:
            write_tfrecords(aside, clips)
    except PipelineError as error:
        reason = str(error)
    Metrics.counter("videos", "without clips" if reason else "decoded").inc()
    _log.info("%s: %s", task.row.video_id, reason or f"{len(clips)} clip(s), sector {sector}")
    return DecodingOutcome(task.row.video_id, len(clips), sector, reason)


def _clip_record(row: ManifestRow, number: int, clip: Clip) -> ClipRecord:
    return ClipRecord(
        frames=clip.jpegs(),
        label=CLASS_NAMES.index(row.class_name),
        video_id=row.video_id,
        group=row.group,
        source=row.source,
        probe=row.probe,
        license=row.license,
        clip_index=number,
        timestamps_us=tuple(round(time_s * 1e6) for time_s in clip.times_s),
        frame_indices=clip.indices,
    )


def _write_shard(task: ShardTask) -> ShardSummary:
    by_class: collections.Counter[str] = collections.Counter()
    by_source: collections.Counter[str] = collections.Counter()

    def records() -> Iterator[bytes]:
        for path in task.clips_paths:
            for record in read_tfrecords(Path(path)):
                clip = parse(record)
                by_class[CLASS_NAMES[clip.label]] += 1
                by_source[clip.source] += 1
                yield record

    path = Path(task.path)
    with storage.written_aside(path) as aside:
        write_tfrecords(aside, records())
        with aside.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return ShardSummary(path.name, sha256, dict(sorted(by_class.items())), dict(sorted(by_source.items())))
