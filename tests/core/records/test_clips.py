import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from components.core.records import clips
from components.core.records.findings import NOT_STATED

ROOT = Path(__file__).parents[3]
RECORD = clips.ClipRecord(
    frames=tuple(f"jpeg {number}".encode() for number in range(clips.CLIP_FRAMES)),
    label=1,
    video_id="vidéo (1)+",
    group="patient-1",
    source="litfl",
    probe="convex",
    license="CC BY 4.0",
    clip_index=2,
    timestamps_us=tuple(range(0, 1_400_000, 100_000)),
    frame_indices=tuple(range(0, 42, 3)),
)


def test_parse_gives_back_what_was_serialized() -> None:
    assert clips.parse(clips.serialize(RECORD)) == RECORD


def test_findings_are_kept_and_absent_where_they_are_not_stated() -> None:
    stated = dataclasses.replace(RECORD, a_lines=0, severity=3, zone="L1", patient_id="p7")
    assert clips.parse(clips.serialize(stated)) == stated
    assert clips.parse(clips.serialize(RECORD)).b_lines == NOT_STATED
    for key in (b"clip/a_lines", b"clip/severity", b"clip/zone", b"clip/patient"):
        assert key in clips.serialize(stated)
        assert key not in clips.serialize(RECORD)


def test_equal_records_give_equal_bytes_in_every_process() -> None:
    imports = "from tests.core.records.test_clips import RECORD; from components.core.records.clips import serialize"
    code = f"{imports}; print(serialize(RECORD).hex())"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env={"PYTHONHASHSEED": str(seed)}, capture_output=True, text=True, check=True
        ).stdout.strip()
        for seed in (1, 2)
    }
    assert outputs == {clips.serialize(RECORD).hex()}


def test_frames_and_times_of_different_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        clips.serialize(dataclasses.replace(RECORD, frame_indices=(1,)))


@pytest.mark.slow
def test_tensorflow_reads_the_record_as_its_own_sequence_example() -> None:
    import tensorflow as tf

    example = tf.train.SequenceExample.FromString(clips.serialize(RECORD))
    assert example.context.feature["clip/label/string"].bytes_list.value == [b"pneumonia"]
    assert example.context.feature["clip/label/index"].int64_list.value == [1]
    frames = example.feature_lists.feature_list["image/encoded"].feature
    assert [frame.bytes_list.value[0] for frame in frames] == list(RECORD.frames)
