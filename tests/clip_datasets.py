"""Tiny clip datasets for tests: toy clips whose classes are easy to tell apart, written as preprocess writes them."""

import collections
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from components.core.records import clips, shards
from components.core.records.findings import FINDINGS
from components.core.records.video_records import VideoSet

TOY_SPLITS = {"train": 6, "validation": 3, "test": 2}
VIDEOS = VideoSet("beef", 24)
SHAPE = (clips.CLIP_FRAMES, clips.FRAME_SIZE_PX, clips.FRAME_SIZE_PX, 3)


def toy_clip(label: int, rng: np.random.Generator) -> np.ndarray:
    """Returns [14, 224, 224, 3] uint8: vertical stripes (0), a bright disc (1) or wide horizontal stripes (2), drifting, with noise.

    The classes differ in brightness, too, so that a few steps of a small network suffice whatever the processor rounds.
    """
    rows, columns = np.mgrid[: SHAPE[1], : SHAPE[2]]
    time = np.arange(SHAPE[0])[:, None, None]
    phase, drift = rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 0.3)
    centre_x, centre_y = rng.uniform(80, 144, 2)
    pattern = (
        np.sin(columns / 8 + phase + drift * time) > 0,
        (columns - centre_x - 4 * drift * time) ** 2 + (rows - centre_y) ** 2 < 50**2,
        np.sin(rows / 8 + phase + drift * time) > -0.8,
    )[label]
    grey = 40 + rng.uniform(90, 140) * pattern + rng.normal(0, 10, SHAPE[:3])
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=-1)


def clip_record(frames: np.ndarray, label: int, video_id: str, clip_index: int = 0, **findings: int) -> clips.ClipRecord:
    """Returns the record of a clip [14, 224, 224, 3] uint8 RGB; every video is a group of its own."""
    encoded = [cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes() for frame in frames]
    return clips.ClipRecord(
        frames=tuple(encoded),
        label=label,
        video_id=video_id,
        group=f"group-{video_id}",
        source="toy",
        probe="convex",
        license="",
        clip_index=clip_index,
        timestamps_us=tuple(100_000 * number for number in range(len(encoded))),
        frame_indices=tuple(range(len(encoded))),
        **findings,
    )


def write_dataset(
    path: Path,
    records: Mapping[str, Iterable[clips.ClipRecord]],
    num_shards: int = 2,
    class_names: Sequence[str] = clips.CLASS_NAMES,
) -> Path:
    """Writes records by split as a clip dataset with its index."""
    path.mkdir(parents=True)
    records = {split: list(members) for split, members in records.items()}
    splits = {split: _write_split(path, split, members, num_shards) for split, members in records.items()}
    index = shards.DatasetIndex(
        class_names=list(class_names),
        clip_shape=list(SHAPE),
        parameters={},
        videos=VIDEOS,
        splits=splits,
        fingerprint=shards.fingerprint_of(shard for info in splits.values() for shard in info.shards),
    )
    (path / shards.INDEX_NAME).write_text(index.to_json(), encoding="utf-8")
    write_outcomes(path, records)
    return path


def write_outcomes(path: Path, records: Mapping[str, Iterable[clips.ClipRecord]]) -> None:
    """Writes the dataset's videos.jsonl: a line a video, as preprocess does for videos that gave clips; three folds by the last digit."""
    lines = {}
    for split, members in records.items():
        for record in members:
            outcome = {
                "video_id": record.video_id,
                "class_name": clips.ALL_CLASS_NAMES[record.label],
                "group": record.group,
                "source": record.source,
                "license": record.license,
                "split": split,
                "num_clips": lines.get(record.video_id, {"num_clips": 0})["num_clips"] + 1,
                "sector": "convex",
                "reason": "",
                **grades_in_words(record),
                "fold": int(record.video_id[-1]) % 3 if record.video_id[-1].isdigit() else 0,
            }
            lines[record.video_id] = outcome
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines.values())
    (path / shards.VIDEOS_NAME).write_text(text, encoding="utf-8")


def _write_split(path: Path, split: str, records: Sequence[clips.ClipRecord], num_shards: int) -> shards.SplitInfo:
    infos = []
    for number in range(num_shards):
        name = shards.shard_name(split, number, num_shards)
        members = records[number::num_shards]
        shards.write_tfrecords(path / name, map(clips.serialize, members))
        infos.append(shards.ShardInfo(name, len(members), hashlib.sha256((path / name).read_bytes()).hexdigest()))
    counts = collections.Counter(clips.ALL_CLASS_NAMES[record.label] for record in records)
    stated = [(name, grade) for record in records for name, grade in grades_in_words(record).items() if grade]
    return shards.SplitInfo(
        shards=infos,
        num_clips=len(records),
        num_videos=len({record.video_id for record in records}),
        num_groups=len({record.group for record in records}),
        clips_by_class=dict(counts),
        videos_by_class=dict(counts),
        clips_by_source={"toy": len(records)},
        clips_by_grade={
            name: dict(collections.Counter(grade for of, grade in stated if of == name)) for name in sorted({name for name, _ in stated})
        },
    )


def grades_in_words(record: clips.ClipRecord) -> dict[str, str]:
    """Returns what a clip states of each finding, as videos.jsonl has it."""
    grades = {finding: getattr(record, finding.name) for finding in FINDINGS}
    return {finding.name: finding.grades[grade] if grade >= 0 else "" for finding, grade in grades.items()}


# What there is to see in the toy clips of each class.
TOY_FINDINGS: tuple[dict[str, int], ...] = (
    {"a_lines": 0, "b_lines": 1, "severity": 2},
    {"a_lines": 0, "b_lines": 0, "severity": 3},
    {"a_lines": 1, "b_lines": 0, "severity": 0},
)


def write_toy_dataset(path: Path, clips_by_split: Mapping[str, int] | None = None, findings: bool = False) -> Path:
    """Writes a dataset of toy clips: so many of every class in each split, all but every third with findings if these are asked for."""
    rng = np.random.default_rng(0)
    counts = TOY_SPLITS if clips_by_split is None else clips_by_split
    return write_dataset(
        path,
        {
            split: [
                clip_record(
                    toy_clip(label, rng),
                    label,
                    f"{split}-{name}-{number}",
                    **(TOY_FINDINGS[label] if findings and number % 3 != 1 else {}),
                )
                for number in range(count)
                for label, name in enumerate(clips.CLASS_NAMES)
            ]
            for split, count in counts.items()
        },
    )
