"""A clip dataset on disk: sharded TFRecord files and the index that counts them.

    train-00000-of-00004.tfrecord …   clips as SequenceExamples (core.records.clips), likewise validation-…, test-…
    index.json                        DatasetIndex: counts, parameters, fingerprint; written last
    videos.jsonl                      one line a video: its split and clips, or why it gave none
    statistics.json                   counts and quantiles of the used videos (core.statistics.drift)

A TFRecord is: length (uint64), masked CRC-32C of the length, the bytes, masked CRC-32C of the bytes, all little-endian
(https://www.tensorflow.org/tutorials/load_data/tfrecord).
"""

import dataclasses
import hashlib
import json
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import google_crc32c

from components.core.errors import DataError
from components.core.files import json_lines
from components.core.records.clips import ClipRecord, parse
from components.core.records.findings import FINDINGS, Finding
from components.core.records.video_records import VideoSet

INDEX_NAME = "index.json"
VIDEOS_NAME = "videos.jsonl"
STATISTICS_NAME = "statistics.json"


def shard_name(split: str, shard: int, num_shards: int) -> str:
    """Returns the name of a shard's file."""
    return f"{split}-{shard:05d}-of-{num_shards:05d}.tfrecord"


def shard_of(key: str, num_shards: int) -> int:
    """Returns the shard that a key belongs to: the same on every machine and in every process."""
    return int.from_bytes(hashlib.sha1(key.encode()).digest()[:8], "big") % num_shards


def write_tfrecords(path: Path, records: Iterable[bytes]) -> int:
    """Writes records as one TFRecord file; returns how many there were."""
    num_records = 0
    with path.open("wb") as file:
        for record in records:
            length = struct.pack("<Q", len(record))
            file.write(length + _masked_crc(length) + record + _masked_crc(record))
            num_records += 1
    return num_records


def read_tfrecords(path: Path) -> Iterator[bytes]:
    """Yields the records of a TFRecord file.

    Raises:
        DataError: the file is truncated or a checksum does not match.
    """
    with path.open("rb") as file:
        while header := file.read(12):
            length = header[:8]
            # A damaged length may ask for more memory than there is.
            if header[8:] != _masked_crc(length):
                raise _damaged(path, file.tell())
            (num_bytes,) = struct.unpack("<Q", length)
            record, checksum = file.read(num_bytes), file.read(4)
            if checksum != _masked_crc(record):
                raise _damaged(path, file.tell())
            yield record


def read_clips(dataset_path: Path, split: str) -> Iterator[ClipRecord]:
    """Yields the clips of a split, whether or not the dataset has an index already.

    Raises:
        DataError: a shard is damaged.
    """
    for path in sorted(dataset_path.glob(f"{split}-*.tfrecord")):
        for record in read_tfrecords(path):
            yield parse(record)


def _damaged(path: Path, position: int) -> DataError:
    return DataError(f"shard {str(path)!r} is damaged near byte {position}; run preprocess again.")


def _masked_crc(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


@dataclasses.dataclass(frozen=True)
class ShardInfo:
    """What one shard holds."""

    name: str
    num_clips: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class SplitInfo:
    """What one split holds; classes are counted in clips and in videos, sources in clips, likewise the grades of stated findings."""

    shards: list[ShardInfo]
    num_clips: int
    num_videos: int
    num_groups: int
    clips_by_class: dict[str, int]
    videos_by_class: dict[str, int]
    clips_by_source: dict[str, int]
    clips_by_grade: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class DatasetIndex:
    """The index of a clip dataset.

    Attributes:
        class_names: class names in the order of the labels.
        clip_shape: frames, height, width and channels of a clip.
        parameters: what preprocess was asked to do.
        videos: what preprocess was given.
        splits: per split name, its shards and counts.
        fingerprint: SHA-256 over the shards; equal data and parameters give an equal fingerprint.
    """

    class_names: list[str]
    clip_shape: list[int]
    parameters: dict[str, Any]
    videos: VideoSet
    splits: dict[str, SplitInfo]
    fingerprint: str

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What can be learnt beside the classes: the findings of which the train clips have more than one grade."""
        known = self.splits["train"].clips_by_grade
        return tuple(finding for finding in FINDINGS if len(known.get(finding.name, ())) > 1)

    def to_json(self) -> str:
        """Returns the text of index.json."""
        return json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def read(cls, dataset_path: Path) -> "DatasetIndex":
        """Reads the index of a dataset.

        Raises:
            DataError: there is none, or it cannot be understood.
        """
        path = dataset_path / INDEX_NAME
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            splits = {
                split: SplitInfo(**{**info, "shards": [ShardInfo(**shard) for shard in info["shards"]]})
                for split, info in fields.pop("splits").items()
            }
            return cls(splits=splits, videos=VideoSet(**fields.pop("videos")), **fields)
        except FileNotFoundError:
            raise DataError(
                f"{str(dataset_path)!r} has no {INDEX_NAME}, so it is not a clip dataset; give the output of preprocess."
            ) from None
        except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{str(path)!r} is not the index of a clip dataset ({error}); run preprocess again.") from None


@dataclasses.dataclass(frozen=True)
class ClipSource:
    """A video that gave clips, as videos.jsonl lists it; `fold` is None in datasets without folds, a finding is empty if not stated."""

    video_id: str
    class_name: str
    group: str
    source: str
    split: str
    num_clips: int
    fold: int | None = None
    a_lines: str = ""
    b_lines: str = ""
    severity: str = ""


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Reads a file of JSON Lines.

    Raises:
        OSError, ValueError: it cannot be read, or is something else.
    """
    return json_lines.parse(path.read_bytes())


def read_clip_sources(dataset_path: Path) -> list[ClipSource]:
    """Reads which videos gave the clips of a dataset.

    Raises:
        DataError: there is no such list, or it cannot be understood.
    """
    path = dataset_path / VIDEOS_NAME
    names = [field.name for field in dataclasses.fields(ClipSource)]
    try:
        lines = read_json_lines(path)
        return [ClipSource(**{name: line[name] for name in names if name in line}) for line in lines if line["num_clips"]]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{str(path)!r} is not the list of a dataset's videos ({error}); run preprocess again.") from None


def fingerprint_of(shards: Iterable[ShardInfo]) -> str:
    """Returns the fingerprint of a dataset made of these shards."""
    lines = sorted(f"{shard.name} {shard.sha256}" for shard in shards)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
