import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.core.errors import DataError
from components.core.video.clip_reader import read_clips
from components.core.video.guarded_reader import GuardedReader
from components.core.video.sampling import Sampling, sample_clips
from tests.core.video import crashes
from tests.videos import numbered_frames, write_video


@pytest.fixture
def reader() -> Iterator[GuardedReader]:
    with GuardedReader(memory_limit_bytes=512 << 20) as reader:
        yield reader


def test_the_child_reads_what_the_parent_would_read(tmp_path: Path, reader: GuardedReader) -> None:
    path = write_video(tmp_path / "v.mp4", numbered_frames(30))
    here, there = read_clips(path, None, Sampling(25, 4)), reader(read_clips, path, None, Sampling(25, 4))
    assert (here.sector, here.facts, len(here.clips)) == (there.sector, there.facts, len(there.clips))
    assert all(np.array_equal(a.frames, b.frames) and a.indices == b.indices for a, b in zip(here.clips, there.clips, strict=True))


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (os.abort, r"the decoder crashed on it \(SIGABRT\)"),
        (crashes.segmentation_fault, r"the decoder crashed on it \(SIGSEGV\)"),
        (crashes.memory_bomb, "more memory than it may"),
        (crashes.defect, "reading it failed: ValueError: negative width"),
    ],
)
def test_what_ends_the_child_is_a_reason_and_the_next_video_is_read(
    tmp_path: Path, reader: GuardedReader, function: Callable[[], Any], reason: str
) -> None:
    with pytest.raises(DataError, match=reason):
        reader(function)
    assert len(reader(read_clips, write_video(tmp_path / "v.avi", numbered_frames(14)), None, Sampling(25, 1)).clips) == 1


@pytest.mark.slow
def test_two_hours_of_video_are_read_in_little_memory(tmp_path: Path, reader: GuardedReader) -> None:
    frames = np.broadcast_to(np.array(90, np.uint8), (2 * 3600 * 10, 96, 128, 3))
    assert frames[..., 0].size > 512 << 20, "as grey frames they would not fit"
    path = write_video(tmp_path / "two hours.mp4", frames, fps=10)
    (clip,) = reader(sample_clips, path, Sampling(10, 4, "uniform")).clips
    assert [frame.time_s for frame in clip] == pytest.approx(np.linspace(0, 7199.9, 14), abs=0.1)


def test_a_child_that_hangs_is_ended() -> None:
    with GuardedReader(time_limit_s=0.3) as reader:
        with pytest.raises(DataError, match=r"more than 0\.3 s$"):
            reader(crashes.hang)
        assert reader(os.getpid) != os.getpid()


def test_a_child_that_computes_without_end_is_ended() -> None:
    with GuardedReader(cpu_limit_s=0.3) as reader, pytest.raises(DataError, match=r"more than 0\.3 s of processor time"):
        reader(crashes.endless_loop)


def test_one_child_serves_many_calls_and_is_gone_at_the_end() -> None:
    with GuardedReader() as reader:
        child = reader(os.getpid)
        assert reader(os.getpid) == child
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_a_child_that_is_killed_between_two_videos_is_replaced(reader: GuardedReader) -> None:
    child = reader(os.getpid)
    os.kill(child, signal.SIGKILL)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert reader(os.getpid) != child


def test_the_child_ends_with_a_parent_that_is_killed() -> None:
    code = (
        "import os, signal; from components.core.video.guarded_reader import GuardedReader; "
        "print(GuardedReader()(os.getpid), flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    # The child holds the pipe's other end too, so that reading it to its end waits for the child.
    parent = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, timeout=60, check=False)
    assert parent.returncode == -signal.SIGKILL
    assert int(parent.stdout) > 0


def test_the_child_needs_neither_beam_nor_tensorflow_nor_kfp(reader: GuardedReader) -> None:
    loaded = {name.partition(".")[0] for name in reader(list, _ModuleNames())}
    assert loaded & {"cv2", "numpy"} == {"cv2", "numpy"}
    assert loaded & {"apache_beam", "tensorflow", "tf_keras", "kfp", "pytest"} == set()


class _ModuleNames:
    """Becomes the list of the modules of the process that it is sent to."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return eval, ("list(__import__('sys').modules)",)
