"""Each bad video is one line of videos.jsonl with its reason, and the others are used as if it were not there."""

import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to

from components.core.beam.beam_options import DIRECT_RUNNER
from components.core.errors import StorageError
from components.core.records import clips
from components.core.records.manifest import ManifestRow
from components.core.records.video_records import Status, VideoRecord
from components.core.video.sampling import Sampling
from components.preprocess.beam_pipeline import DecodeVideos, VideoTask, decode
from tests.core.video.crashes import aborting_at_bad_ones
from tests.preprocess.test_preprocess import build, stored
from tests.videos import numbered_frames, write_video


def listed(path: Path) -> VideoRecord:
    row = ManifestRow(path.stem, "x", "normal", path.stem)
    return VideoRecord(row, Status.STORED, storage_uri=str(path), sha256=path.stem)


def with_content(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_every_bad_video_is_named_with_its_reason(tmp_path: Path) -> None:
    good = [stored(tmp_path, f"{name} № {n} + (ü)", name, numbered_frames(20), ".mp4") for name in clips.CLASS_NAMES for n in range(4)]
    whole = write_video(tmp_path / "whole.avi", numbered_frames(60)).read_bytes()
    bad = {
        with_content(tmp_path / "zero.mp4", b""): "the file is empty",
        with_content(tmp_path / "text.mp4", b"<!doctype html><title>404</title>"): "not a video: the content is a web page",
        with_content(tmp_path / "few frames left.avi", whole[: len(whole) // 6]): "it has",
        write_video(tmp_path / "one pixel.gif", np.zeros((20, 1, 1, 3), np.uint8)): "its frames of 1 × 1 px are too small",
        write_video(tmp_path / "one frame.mp4", numbered_frames(1)): "it has 1 frames, a clip needs 14",
        write_video(tmp_path / "8K × 8K.gif", np.zeros((1, 8192, 8192, 3), np.uint8)): "its frames of 8192 × 8192 px are too large",
        tmp_path / "nothing (+).mp4": "cannot read",
    }
    dataset = build(tmp_path / "run", [*good, *map(listed, bad)])
    lines = {line["video_id"]: line for line in map(json.loads, (dataset.path / "videos.jsonl").read_text().splitlines())}
    assert set(lines) == {record.row.video_id for record in good} | {path.stem for path in bad}
    assert {path.stem: lines[path.stem]["reason"][: len(reason)] for path, reason in bad.items()} == {
        path.stem: reason for path, reason in bad.items()
    }
    assert all(lines[record.row.video_id]["num_clips"] == 1 for record in good)


def test_a_crash_of_the_decoder_loses_one_video(tmp_path: Path) -> None:
    paths = [write_video(tmp_path / f"{name}.avi", numbered_frames(20)) for name in ("a", "crash 1", "b", "crash 2", "c")]
    tasks = [VideoTask(listed(path).row, str(path), str(tmp_path / f"{path.stem}.tfrecord")) for path in paths]
    options = PipelineOptions([f"--runner={DIRECT_RUNNER}"])
    with beam.Pipeline(options=options) as pipeline:
        decoding: Any = beam.ParDo(DecodeVideos(Sampling(25, 1), len(tasks), read=aborting_at_bad_ones))
        outcomes = (
            pipeline | beam.Create(tasks) | decoding | beam.Map(lambda outcome: (outcome.video_id, outcome.num_clips, outcome.reason))
        )
        crash = "the decoder crashed on it (SIGABRT)"
        assert_that(outcomes, equal_to([("a", 1, ""), ("b", 1, ""), ("c", 1, ""), ("crash 1", 0, crash), ("crash 2", 0, crash)]))


def test_clips_that_cannot_be_written_end_the_run_with_a_sentence(tmp_path: Path) -> None:
    record = listed(write_video(tmp_path / "a.avi", numbered_frames(20)))
    (tmp_path / "file").write_text("in the way")
    tasks = [VideoTask(record.row, record.storage_uri, str(tmp_path / "file" / f"{number}.tfrecord")) for number in range(2)]
    options = PipelineOptions([f"--runner={DIRECT_RUNNER}", "--direct_running_mode=multi_threading", "--direct_num_workers=2"])
    with pytest.raises(StorageError, match=r"^cannot write '.*file/[01]\.tfrecord': .*; check that .* access it\.$"):
        decode(tasks, Sampling(25, 1), str(tmp_path / "outcomes.jsonl"), options)


def test_progress_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = [stored(tmp_path, f"{name}-{n}", name, numbered_frames(14)) for name in clips.CLASS_NAMES for n in range(4)]
    with caplog.at_level("INFO"):
        build(tmp_path / "run", good, num_workers=2)
    progress = [record.message for record in caplog.records if record.message.startswith("decoded ")]
    assert len(progress) == 12
    assert progress[-1].startswith("decoded 12 of 12 videos: 12 clips, 0 videos without clips, ")
