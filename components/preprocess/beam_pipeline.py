"""The Apache Beam pipeline: videos → clips → deterministic shards.

    videos ── decode and sample ──┬── clips by shard ── group ── write shard ── shards.jsonl
                                  └── outcome of every video ────────────────── videos.jsonl

Paths travel between workers, decoding happens inside the DoFn. Which shard a clip goes to, and its place in it, follow from the video's
id alone, therefore every runner and every number of workers writes the same bytes. Writers write files aside and move them into place,
so that a bundle that is tried again does no harm. Workers need no TensorFlow.
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
import cv2
from apache_beam.metrics.metric import Metrics
from apache_beam.options.pipeline_options import PipelineOptions

from components.core import storage
from components.core.clips import CLASS_NAMES, FRAME_SIZE_PX, ClipRecord, parse, serialize
from components.core.errors import DataError, PipelineError
from components.core.manifest import ManifestRow
from components.core.shards import VIDEOS_NAME, ShardName, shard_of, write_tfrecords
from components.preprocess.decoding import Image
from components.preprocess.sampling import SampledFrame, sample_clips

SHARD_SUMMARIES_NAME = "shards.jsonl"
JPEG_QUALITY = 95

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class VideoTask:
    """One stored video and the shard that its clips go to."""

    row: ManifestRow
    storage_uri: str
    shard: ShardName


@dataclasses.dataclass(frozen=True)
class VideoOutcome:
    """What became of one video: its split and number of clips, or the reason why it gave none."""

    video_id: str
    class_name: str
    group: str
    source: str
    license: str
    split: str
    num_clips: int
    reason: str


@dataclasses.dataclass(frozen=True)
class ShardSummary:
    """What was written to one shard."""

    name: str
    sha256: str
    clips_by_class: dict[str, int]
    clips_by_source: dict[str, int]


def run(
    tasks: list[VideoTask],
    excluded: list[VideoOutcome],
    shards: list[ShardName],
    frames_per_second: float,
    max_clips_per_video: int,
    output_path: Path,
    options: PipelineOptions,
) -> None:
    """Writes every shard, videos.jsonl (VideoOutcome) and shards.jsonl (ShardSummary) to a folder that all workers share.

    Args:
        tasks: the videos to decode.
        excluded: outcomes of videos that are not decoded.
        shards: all shards that are to exist, empty ones too.
        frames_per_second: rate at which frames are sampled.
        max_clips_per_video: most clips of one video.
        output_path: existing folder.
        options: Beam's options.
    """
    with beam.Pipeline(options=options) as pipeline:
        sampled = (
            pipeline
            | "videos" >> beam.Create(tasks, reshuffle=True)
            | "decode and sample" >> beam.ParDo(_SampleClips(frames_per_second, max_clips_per_video)).with_outputs("clips", main="outcomes")
        )
        all_shards = pipeline | "all shards" >> beam.Create([(str(shard), None) for shard in shards], reshuffle=False)
        summaries = (
            (sampled.clips, all_shards)
            | "clips and shards" >> beam.Flatten()
            | "by shard" >> beam.GroupByKey()
            | "write shard" >> beam.Map(_write_shard, output_path=str(output_path))
        )
        excluded_outcomes = pipeline | "excluded" >> beam.Create(excluded, reshuffle=False)
        outcomes = (sampled.outcomes, excluded_outcomes) | "outcomes" >> beam.Flatten()
        for name, collection in ((SHARD_SUMMARIES_NAME, summaries), (VIDEOS_NAME, outcomes)):
            (
                collection
                | f"{name}: to JSON"
                >> beam.Map(lambda item: (None, json.dumps(dataclasses.asdict(item), sort_keys=True, ensure_ascii=False)))
                | f"{name}: gather" >> beam.GroupByKey()
                | f"{name}: write" >> beam.Map(_write_lines, path=str(output_path / name))
            )


class _SampleClips(beam.DoFn):
    """VideoTask → its VideoOutcome, and under the tag `clips` pairs of shard name and (video id, clip number, serialized clip)."""

    def __init__(self, frames_per_second: float, max_clips: int) -> None:
        self._frames_per_second = frames_per_second
        self._max_clips = max_clips

    def process(self, task: VideoTask) -> Iterator[Any]:
        """Decodes one video; whatever is wrong with it becomes the reason of its outcome."""
        clips: list[bytes] = []
        reason = ""
        try:
            with storage.local_copy(task.storage_uri) as path:
                sampled = sample_clips(path, self._frames_per_second, self._max_clips)
            clips = [serialize(_clip_record(task.row, number, frames)) for number, frames in enumerate(sampled)]
        except PipelineError as error:
            reason = str(error)
        Metrics.counter("videos", "decoded" if clips else "without clips").inc()
        _log.info("%s: %s", task.row.video_id, reason or f"{len(clips)} clip(s)")
        for number, data in enumerate(clips):
            yield beam.pvalue.TaggedOutput("clips", (str(task.shard), (task.row.video_id, number, data)))
        yield outcome_of(task.row, task.shard.split, len(clips), reason)


def outcome_of(row: ManifestRow, split: str, num_clips: int, reason: str) -> VideoOutcome:
    """Returns the outcome of a manifest row."""
    return VideoOutcome(row.video_id, row.class_name, row.group, row.source, row.license, split, num_clips, reason)


def _clip_record(row: ManifestRow, number: int, frames: list[SampledFrame]) -> ClipRecord:
    return ClipRecord(
        frames=tuple(_encoded(frame.image, row.crop) for frame in frames),
        label=CLASS_NAMES.index(row.class_name),
        video_id=row.video_id,
        group=row.group,
        source=row.source,
        probe=row.probe,
        license=row.license,
        clip_index=number,
        timestamps_us=tuple(round(frame.time_s * 1e6) for frame in frames),
        frame_indices=tuple(frame.index for frame in frames),
    )


def _encoded(image: Image, crop: tuple[int, int, int, int] | None) -> bytes:
    """Returns the box of an image, resized to FRAME_SIZE_PX × FRAME_SIZE_PX, as a JPEG file."""
    if crop:
        image = _cropped(image, crop)
    shrinks = min(image.shape[:2]) > FRAME_SIZE_PX
    resized = cv2.resize(image, (FRAME_SIZE_PX, FRAME_SIZE_PX), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return cv2.imencode(".jpg", resized, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def _cropped(image: Image, crop: tuple[int, int, int, int]) -> Image:
    x, y, width, height = crop
    if y + height > image.shape[0] or x + width > image.shape[1]:
        raise DataError(f"the crop {x},{y},{width},{height} of the manifest leaves the frame of {image.shape[1]} × {image.shape[0]} px")
    return image[y : y + height, x : x + width]


def _write_shard(shard: tuple[str, Iterable[tuple[str, int, bytes] | None]], output_path: str) -> ShardSummary:
    """Writes the clips of one shard, sorted by video and clip."""
    name, clips = shard
    records = [data for _, _, data in sorted(clip for clip in clips if clip)]
    path = Path(output_path) / name
    with storage.written_aside(path) as aside:
        write_tfrecords(aside, records)
        sha256 = hashlib.sha256(aside.read_bytes()).hexdigest()
    parsed = [parse(record) for record in records]
    return ShardSummary(
        name=name,
        sha256=sha256,
        clips_by_class=dict(sorted(collections.Counter(CLASS_NAMES[clip.label] for clip in parsed).items())),
        clips_by_source=dict(sorted(collections.Counter(clip.source for clip in parsed).items())),
    )


def _write_lines(gathered: tuple[None, Iterable[str]], path: str) -> None:
    _, lines = gathered
    storage.write_bytes(path, "".join(f"{line}\n" for line in sorted(lines)).encode())


def shard_for(video_id: str, split: str, num_shards: int) -> ShardName:
    """Returns the shard of a video's clips."""
    return ShardName(split, shard_of(video_id, num_shards), num_shards)
