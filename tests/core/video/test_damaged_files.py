"""Damaged videos: bytes flipped, cut and doubled at random; LUS_NUM_DAMAGED says how many of each form are tried."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.core.errors import DataError
from components.core.video.decoding import VideoFacts, open_video
from components.core.video.guarded_reader import GuardedReader
from tests.core.video.test_forms import FORMS, made

NUM_DAMAGED = int(os.environ.get("LUS_NUM_DAMAGED", "12"))
# Streams and a fragmented MP4 may end or begin anew between two of their parts, and Ogg has pages that are left out unsaid.
UNTOLD = {
    ("MPEG-2 in a program stream", "cut"),
    ("MPEG-2 in a transport stream", "cut"),
    ("MPEG-2 in a transport stream", "doubled"),
    ("fragmented MP4", "doubled"),
    ("Theora", "doubled"),
    ("Theora", "flipped"),
    ("Theora", "cut"),
}
NAMES = (
    "H.264 with B-frames",
    "fragmented MP4",
    "QuickTime, Motion JPEG",
    "Motion JPEG in AVI",
    "Xvid in AVI with B-frames",
    "GIF",
    "MPEG-2 in a program stream",
    "MPEG-2 in a transport stream",
    "FFV1 RGB",
    "VP9 in WebM",
    "Windows Media 2",
    "H.264 in FLV",
    "Theora",
)


def flipped(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for position in rng.integers(0, len(data), rng.integers(1, 12)):
        changed[position] ^= 1 << int(rng.integers(0, 8))
    return bytes(changed)


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: rng.integers(1, len(data))]


def doubled(data: bytes, rng: np.random.Generator) -> bytes:
    start, length = rng.integers(0, len(data)), rng.integers(1, len(data) // 2)
    return data[:start] + data[start : start + length] + data[start:]


DAMAGES: tuple[Callable[[bytes, np.random.Generator], bytes], ...] = (flipped, cut, doubled)


def facts_of(path: Path) -> VideoFacts:
    with open_video(path) as video:
        for frame in video.frames():
            frame.grey()
        return video.facts


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_video_is_refused_or_read_and_other_frames_than_its_own_are_told(name: str, tmp_path: Path) -> None:
    path = made(FORMS[name], tmp_path)
    data, whole = path.read_bytes(), facts_of(path)
    rng = np.random.default_rng(0)
    untold, reasons = [], set()
    with GuardedReader(time_limit_s=60) as reader:
        for number in range(NUM_DAMAGED):
            damage = DAMAGES[number % len(DAMAGES)]
            path.write_bytes(damage(data, rng))
            try:
                facts = reader(facts_of, path)
            except DataError as error:
                reasons.add(str(error))
                continue
            # Without frames there is no clip, which is told in the end.
            is_told = facts.num_damaged or not facts.num_frames or (name, damage.__name__) in UNTOLD
            if abs(facts.num_frames - whole.num_frames) > 2 and not is_told:
                untold.append((number, damage.__name__, facts.num_frames))
    assert untold == []
    # These would be defects of the reader, crashes and hangs.
    assert [reason for reason in reasons if "reading it" in reason or "crashed" in reason] == []
