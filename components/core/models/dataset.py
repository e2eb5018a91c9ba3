"""Clip datasets as tf.data: what train, prune and evaluate read."""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from components.core.errors import DataError
from components.core.models import heads
from components.core.records import clips
from components.core.records.findings import FINDINGS, NOT_STATED, Finding
from components.core.records.shards import ClipSource, DatasetIndex

CLIP_SHAPE = (clips.CLIP_FRAMES, clips.FRAME_SIZE_PX, clips.FRAME_SIZE_PX, 3)
GREY_SHAPE = (*CLIP_SHAPE[:-1], 1)
MAX_SHUFFLED_CLIPS = 2048  # they wait as JPEG, about 0.2 MB each
_CARDINALITY_MESSAGE = "Input dataset was expected to contain"  # of tf.data.experimental.assert_cardinality

_CONTEXT_FEATURES = {
    clips.KEY_LABEL: tf.io.FixedLenFeature([], tf.int64),
    clips.KEY_CLIP_INDEX: tf.io.FixedLenFeature([], tf.int64),
    clips.KEY_VIDEO_ID: tf.io.FixedLenFeature([], tf.string),
    clips.KEY_GROUP: tf.io.FixedLenFeature([], tf.string),
    clips.KEY_SOURCE: tf.io.FixedLenFeature([], tf.string),
    **{key: tf.io.FixedLenFeature([], tf.int64, NOT_STATED) for key in clips.KEYS_OF_FINDINGS.values()},
}
_SEQUENCE_FEATURES = {clips.KEY_FRAMES: tf.io.FixedLenSequenceFeature([], tf.string)}


def open_dataset(dataset_path: Path) -> DatasetIndex:
    """Reads the index of a dataset and checks that the models of this project can take its clips.

    Raises:
        DataError: it has no index, or other classes or another clip shape than this project's.
    """
    index = DatasetIndex.read(dataset_path)
    if tuple(index.class_names) not in (clips.CLASS_NAMES, clips.ALL_CLASS_NAMES):
        expected = f"{list(clips.CLASS_NAMES)}, and {clips.OTHER!r} if it was kept"
        raise DataError(f"the dataset has the classes {index.class_names}, expected {expected}; run preprocess again.")
    if tuple(index.clip_shape) != CLIP_SHAPE:
        raise DataError(f"the dataset has clips of shape {index.clip_shape}, expected {list(CLIP_SHAPE)}; run preprocess again.")
    return index


@dataclasses.dataclass(frozen=True)
class Part:
    """Clips of a dataset that are used together: a split, or some videos, as a cross-validation divides them.

    Attributes:
        name: to call it by.
        paths: shards with these clips, and perhaps with others.
        clips_by_class: how many clips each class has, in the order of the labels.
        video_ids: the videos to take; None takes all clips of the shards.
        clips_by_grade: of each finding that is to be learnt, by its name, how many clips have each grade, in the order of the grades.
    """

    name: str
    paths: tuple[Path, ...]
    clips_by_class: dict[str, int]
    video_ids: frozenset[str] | None = None
    clips_by_grade: dict[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)

    @property
    def num_clips(self) -> int:
        """Number of clips."""
        return sum(self.clips_by_class.values())

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is to be learnt beside the classes."""
        return tuple(finding for finding in FINDINGS if finding.name in self.clips_by_grade)

    @property
    def heads(self) -> dict[str, int]:
        """How many numbers each head gives of a model that learns from these clips."""
        return heads.sizes(len(self.clips_by_class), list(self.clips_by_grade))

    def class_weights(self) -> tuple[float, ...]:
        """Returns the weight of each label that makes all classes with clips count alike: n / (classes × n of the class); others get 0."""
        return self._balanced(tuple(self.clips_by_class.values()))

    def grade_weights(self, finding: Finding) -> tuple[float, ...]:
        """Returns the weight of each grade of a finding; its mean over all clips is one, so that a finding counts as much as the class.

        Of two grades, both count alike. More are left as frequent as they are: balanced, the expected grade would lean to the middle, and
        the sum over the zones of a chest with it.
        """
        counts = self.clips_by_grade[finding.name]
        if finding.num_thresholds == 1 or not any(counts):
            return self._balanced(counts)
        return (self.num_clips / sum(counts),) * len(counts)

    def _balanced(self, counts: Sequence[int]) -> tuple[float, ...]:
        present = sum(count > 0 for count in counts)
        return tuple(self.num_clips / (present * count) if count else 0.0 for count in counts)

    def check_classes(self) -> None:
        """Checks that there is something to learn about every class.

        Raises:
            DataError: a class has no clip.
        """
        if absent := [name for name, count in self.clips_by_class.items() if not count]:
            raise DataError(f"the {self.name} split has no clips of class {', '.join(absent)}; give preprocess videos of every class.")


def part_of_split(dataset_path: Path, split: str) -> Part:
    """Returns the clips of a split.

    Raises:
        DataError: the dataset cannot be used, or the split has no clips.
    """
    index = open_dataset(dataset_path)
    if split not in index.splits or not index.splits[split].num_clips:
        raise DataError(f"the {split} split of {str(dataset_path)!r} has no clips; give preprocess more videos.")
    info = index.splits[split]
    counts = {name: info.clips_by_class.get(name, 0) for name in index.class_names}
    grades = {
        finding.name: tuple(info.clips_by_grade.get(finding.name, {}).get(grade, 0) for grade in finding.grades)
        for finding in index.findings
    }
    return Part(split, tuple(dataset_path / shard.name for shard in info.shards), counts, clips_by_grade=grades)


def part_of_videos(dataset_path: Path, name: str, videos: Iterable[ClipSource]) -> Part:
    """Returns the clips of some videos, whichever splits they are in.

    Raises:
        DataError: the dataset cannot be used.
    """
    index = open_dataset(dataset_path)
    chosen = list(videos)
    shards = {split: [dataset_path / shard.name for shard in info.shards] for split, info in index.splits.items()}
    counts = {name: sum(video.num_clips for video in chosen if video.class_name == name) for name in index.class_names}
    grades = {
        finding.name: tuple(sum(video.num_clips for video in chosen if getattr(video, finding.name) == grade) for grade in finding.grades)
        for finding in index.findings
    }
    splits = sorted({video.split for video in chosen})
    paths = tuple(path for split in splits for path in shards[split])
    return Part(name, paths, counts, frozenset(video.video_id for video in chosen), grades)


def read_clips(dataset_path: Path, part: str | Part, shuffle_seed: int | None = None) -> tf.data.Dataset:
    """Reads the clips of one split, or of another part of the dataset.

    Args:
        dataset_path: output folder of preprocess.
        part: train, validation or test; or a Part.
        shuffle_seed: seed of the order, another one in every pass; None keeps the order of the shards.

    Returns:
        A dataset of dicts: `clip` [14, 224, 224, 3] uint8 RGB, `label` [] int32, `findings` [3] int32, the grades of FINDINGS or
        NOT_STATED, and `video_id`, `group`, `source` [] string.

    Raises:
        DataError: the dataset cannot be used, or the split has no clips.
    """
    chosen = part_of_split(dataset_path, part) if isinstance(part, str) else part

    def in_three_channels(record: tf.Tensor) -> dict[str, tf.Tensor]:
        example = parse_clip(record)
        return {**example, "clip": in_colour(example["clip"])}

    return read_records(chosen, shuffle_seed).map(in_three_channels, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def read_records(part: Part, shuffle_seed: int | None = None) -> tf.data.Dataset:
    """Reads the records of a part, not yet decoded: a dataset of [] string, for parse_clip."""
    records = tf.data.TFRecordDataset([str(path) for path in part.paths])
    if part.video_ids is not None:
        records = records.filter(_is_of(part.video_ids))
    records = records.apply(tf.data.experimental.assert_cardinality(part.num_clips))
    if shuffle_seed is not None:
        records = records.shuffle(min(part.num_clips, MAX_SHUFFLED_CLIPS), seed=shuffle_seed)
    return records


def _is_of(video_ids: frozenset[str]) -> Any:
    wanted = tf.constant(sorted(video_ids))
    feature = {clips.KEY_VIDEO_ID: _CONTEXT_FEATURES[clips.KEY_VIDEO_ID]}

    def is_wanted(record: tf.Tensor) -> tf.Tensor:
        context, _ = tf.io.parse_single_sequence_example(record, feature, {})
        return tf.reduce_any(wanted == context[clips.KEY_VIDEO_ID])

    return is_wanted


def parse_clip(record: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns what `read_clips` gives of one record, but the clip has one channel: [14, 224, 224, 1] uint8 grey."""
    context, sequence = tf.io.parse_single_sequence_example(record, _CONTEXT_FEATURES, _SEQUENCE_FEATURES)
    return {
        "clip": _grey_frames(sequence[clips.KEY_FRAMES]),
        "label": tf.cast(context[clips.KEY_LABEL], tf.int32),
        "video_id": context[clips.KEY_VIDEO_ID],
        "group": context[clips.KEY_GROUP],
        "source": context[clips.KEY_SOURCE],
        "findings": tf.cast(tf.stack([context[key] for key in clips.KEYS_OF_FINDINGS.values()]), tf.int32),
    }


def decode_frames(jpegs: tf.Tensor) -> tf.Tensor:
    """Returns a clip, [14, 224, 224, 3] uint8 RGB, from its frames as JPEG files, [14] string."""
    return in_colour(_grey_frames(jpegs))


def _grey_frames(jpegs: tf.Tensor) -> tf.Tensor:
    frames = tf.map_fn(
        lambda frame: tf.io.decode_jpeg(frame, channels=1, dct_method="INTEGER_ACCURATE"),
        jpegs,
        fn_output_signature=tf.TensorSpec(GREY_SHAPE[1:], tf.uint8),
    )
    return tf.ensure_shape(frames, GREY_SHAPE)


def in_colour(clip: tf.Tensor) -> tf.Tensor:
    """Returns a grey clip [14, 224, 224, 1] as the three equal channels [14, 224, 224, 3] that models take."""
    return tf.image.grayscale_to_rgb(clip)


@contextlib.contextmanager
def failures_of_shards(dataset_path: Path) -> Iterator[None]:
    """Turns what TensorFlow raises in the block about missing or damaged shards, or about a wrong number of clips, into a DataError."""
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.NotFoundError, tf.errors.FailedPreconditionError) as error:
        if isinstance(error, tf.errors.FailedPreconditionError) and _CARDINALITY_MESSAGE not in error.message:
            raise
        detail = error.message.splitlines()[0]
        raise DataError(f"a shard of {str(dataset_path)!r} is missing or damaged ({detail}); run preprocess again.") from error
