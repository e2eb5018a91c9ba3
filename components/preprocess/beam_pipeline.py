"""The two Apache Beam pipelines of preprocess, and what they pass to each other on disk.

    decode      videos ── decode and sample ── one file of clips per video ── outcomes (JSON Lines)
    assemble    shards, each a list of such files ── write shard ── what each holds (JSON Lines)

Between them the splits are decided, over the videos that gave clips. Paths travel between workers, not frames: storage URIs, so that the
workers of a cluster need no common disk. Which shard a clip goes to, and its place in it, follow from the video's id alone, therefore every
runner and every number of workers writes the same bytes. Files appear complete or not at all, so that work which a runner tries again does
no harm. A worker decodes in a child process (core.video.guarded_reader) and needs no TensorFlow.
"""

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.metrics.metric import Metrics
from apache_beam.options.pipeline_options import PipelineOptions

from components.core import storage
from components.core.beam.beam_options import VideoProgress, check_workers_see, worker_failures
from components.core.beam.completeness import results_of_all
from components.core.errors import AbsentError, DataError
from components.core.files import json_lines
from components.core.files.local_files import sha256_of
from components.core.records.clips import ALL_CLASS_NAMES, ClipRecord, parse, serialize
from components.core.records.findings import FINDINGS
from components.core.records.manifest import ManifestRow
from components.core.records.shards import ShardInfo, read_tfrecords, write_tfrecords
from components.core.video.clip_reader import Clip, VideoClips, read_clips
from components.core.video.guarded_reader import GuardedReader
from components.core.video.sampling import Sampling
from components.preprocess import near_duplicates


@dataclasses.dataclass(frozen=True)
class VideoTask:
    """One stored video, and where its clips are written to, as one TFRecord file."""

    row: ManifestRow
    storage_uri: str
    clips_uri: str


@dataclasses.dataclass(frozen=True)
class DecodingOutcome:
    """What one video gave, or the reason why it gave nothing.

    Attributes:
        video_id: its id.
        num_clips: how many clips it gave.
        sector: the kind of its sector.
        reason: why it gave no clip, or an empty string.
        width_px: of its frames as they are shown, as their height.
        height_px: of its frames.
        frames_per_second: its nominal rate.
        codec: FFmpeg's name of it.
        pixel_aspect: width of a stored pixel by its height.
        num_interlaced: frames that hold two fields, of those that were read.
        num_damaged: parts that could not be decoded, of what was read.
        read_s: how much of it was read, in seconds.
        brightness: mean grey level of its clips.
        hashes: perceptual hashes of its frames (near_duplicates).
    """

    video_id: str
    num_clips: int = 0
    sector: str = ""
    reason: str = ""
    width_px: int = 0
    height_px: int = 0
    frames_per_second: float = 0.0
    codec: str = ""
    pixel_aspect: float = 0.0
    num_interlaced: int = 0
    num_damaged: int = 0
    read_s: float = 0.0
    brightness: float = 0.0
    hashes: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class ShardTask:
    """One shard to write, and the files of clips that it is made of, in their order, each with the group that its clips are to name."""

    uri: str
    clips: tuple[tuple[str, str], ...]


def decode(tasks: list[VideoTask], sampling: Sampling, outcomes_uri: str, options: PipelineOptions) -> dict[str, DecodingOutcome]:
    """Writes the clips of every video to its own file.

    Args:
        tasks: the videos.
        sampling: which frames are wanted.
        outcomes_uri: a file for the outcomes.
        options: Beam's options.

    Returns:
        The outcome of every video, by its id.

    Raises:
        UsageError: workers do not see a video.
        OutageError: the runner loses outcomes again and again.
        StorageError: the clips or the outcomes cannot be written.
    """
    check_workers_see(options, (task.storage_uri for task in tasks))

    def run(chosen: Sequence[VideoTask]) -> dict[str, DecodingOutcome]:
        decoding = DecodeVideos(sampling, len(chosen))
        with worker_failures(), decoding.progress.shown(options), beam.Pipeline(options=options) as pipeline:
            outcomes = pipeline | "videos" >> beam.Create(chosen, reshuffle=True) | "decode and sample" >> beam.ParDo(decoding)
            _gather(outcomes, outcomes_uri)
        return {fields["video_id"]: DecodingOutcome(**fields) for fields in json_lines.parse(storage.read_bytes(outcomes_uri))}

    return results_of_all({task.row.video_id: task for task in tasks}, run, "videos")


def assemble(tasks: list[ShardTask], shards_uri: str, options: PipelineOptions) -> list[ShardInfo]:
    """Writes the shards from the files that `decode` wrote.

    Args:
        tasks: all shards that are to exist, empty ones too.
        shards_uri: a file for what was written.
        options: Beam's options.

    Returns:
        What each shard holds, sorted by its name.

    Raises:
        DataError: a file of clips is damaged.
        OutageError: the runner loses results again and again.
        StorageError: a file of clips cannot be read, or a shard or `shards_uri` cannot be written.
    """

    def run(chosen: Sequence[ShardTask]) -> dict[str, ShardInfo]:
        with worker_failures(), beam.Pipeline(options=options) as pipeline:
            _gather(pipeline | "shards" >> beam.Create(chosen, reshuffle=True) | "write shard" >> beam.Map(_write_shard), shards_uri)
        return {fields["name"]: ShardInfo(**fields) for fields in json_lines.parse(storage.read_bytes(shards_uri))}

    written = results_of_all({storage.path_of(task.uri).name: task for task in tasks}, run, "shards")
    return [written[name] for name in sorted(written)]


def _gather(items: Any, uri: str) -> None:
    """Writes dataclass instances, whose first field tells them apart, as sorted JSON Lines."""
    (
        items
        | "to JSON" >> beam.Map(lambda item: (None, json.dumps(dataclasses.asdict(item), ensure_ascii=False)))
        | "gather" >> beam.GroupByKey()
        | "write lines" >> beam.Map(_write_lines, uri=uri)
    )


def _write_lines(gathered: tuple[None, Iterable[str]], uri: str) -> None:
    _, lines = gathered
    storage.write_bytes(uri, json_lines.to_bytes(sorted(lines)))


class DecodeVideos(beam.DoFn):  # type: ignore[misc]
    """Decodes videos; whatever is wrong with one becomes the reason of its outcome.

    Attributes:
        progress: counts the videos.
    """

    def __init__(self, sampling: Sampling, num_videos: int, read: Callable[..., VideoClips] = read_clips) -> None:
        self.progress = VideoProgress(num_videos)
        self._sampling = sampling
        self._read = read

    def setup(self) -> None:
        """Prepares a worker thread."""
        self._reader = GuardedReader()

    def process(self, task: VideoTask) -> Iterator[DecodingOutcome]:
        """Yields the outcome of one video.

        Raises:
            StorageError: the storage does not give it, though it is there, or its clips cannot be written.
        """
        outcome = self._decoded(task)
        Metrics.counter("videos", "without clips" if outcome.reason else "decoded").inc()
        Metrics.counter("videos", "clips").inc(outcome.num_clips)
        self.progress.count(outcome.video_id, outcome.num_clips)
        yield outcome

    def teardown(self) -> None:
        """Ends the child process of the thread."""
        self._reader.close()

    def _decoded(self, task: VideoTask) -> DecodingOutcome:
        try:
            with storage.local_copy(task.storage_uri) as path:
                video = self._reader(self._read, path, task.row.crop, self._sampling)
        except (DataError, AbsentError) as error:
            return DecodingOutcome(task.row.video_id, reason=str(error))
        with storage.new_file(task.clips_uri) as file:
            write_tfrecords(file, (serialize(_clip_record(task.row, number, clip)) for number, clip in enumerate(video.clips)))
        frames = np.concatenate([clip.frames for clip in video.clips])
        return DecodingOutcome(
            video_id=task.row.video_id,
            num_clips=len(video.clips),
            sector=video.sector.value,
            width_px=video.facts.width_px,
            height_px=video.facts.height_px,
            frames_per_second=round(video.facts.frames_per_second, 3),
            codec=video.facts.codec,
            pixel_aspect=round(video.facts.pixel_aspect, 4),
            num_interlaced=video.facts.num_interlaced,
            num_damaged=video.facts.num_damaged,
            read_s=round(video.facts.duration_s, 3),
            brightness=round(float(frames.mean()), 2),
            hashes=near_duplicates.hashes_of(frames),
        )


def _clip_record(row: ManifestRow, number: int, clip: Clip) -> ClipRecord:
    return ClipRecord(
        frames=clip.jpegs(),
        label=ALL_CLASS_NAMES.index(row.class_name),
        video_id=row.video_id,
        group=row.group,
        source=row.source,
        probe=row.probe,
        license=row.license,
        clip_index=number,
        timestamps_us=tuple(round(time_s * 1e6) for time_s in clip.times_s),
        frame_indices=clip.indices,
        zone=row.zone,
        patient_id=row.patient_id,
        **{finding.name: finding.grade_of(getattr(row, finding.name)) for finding in FINDINGS},
    )


def _write_shard(task: ShardTask) -> ShardInfo:
    with storage.new_file(task.uri) as shard:
        num_clips = write_tfrecords(shard, _records(task))
        return ShardInfo(storage.path_of(task.uri).name, num_clips, sha256_of(shard))


def _records(task: ShardTask) -> Iterator[bytes]:
    """Yields the clips of a shard, each with the group that its video has now."""
    for uri, group in task.clips:
        with storage.local_copy(uri) as path:
            for record in read_tfrecords(path):
                clip = parse(record)
                yield record if clip.group == group else serialize(dataclasses.replace(clip, group=group))
