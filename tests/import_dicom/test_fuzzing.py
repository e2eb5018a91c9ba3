"""Damaged files and tables: bytes flipped, cut out, cut off, doubled. What comes of them is right, or it is said that it is not.

The seeds are fixed. LUS_FUZZ_RUNS=1000 tries as many, a third each of DICOM files, labels and manifests.
"""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TypeVar

import av

from components.core.errors import UsageError
from components.core.records.clips import CLASS_NAMES
from components.core.records.manifest import read_manifest
from components.import_dicom.importing import NO_COUNT, import_dicom_files
from components.import_dicom.labels import read_labels
from tests.import_dicom.forms import FORMS, NUM_FRAMES

NUM_RUNS = int(os.environ.get("LUS_FUZZ_RUNS", "300")) // 3
NUM_HEADER_BYTES = 1200
Result = TypeVar("Result")


def damaged(content: bytes, seed: int) -> bytes:
    """Returns bytes with one or more faults, half of them near the beginning."""
    chance = random.Random(seed)
    faulty = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        end = len(faulty) if chance.random() < 0.5 else min(len(faulty), NUM_HEADER_BYTES)
        place, length = chance.randrange(max(1, end)), chance.choice((1, 2, 8, 100))
        kind = chance.choice(("bit", "byte", "byte", "cut out", "cut off", "double"))
        if kind == "bit" and faulty:
            faulty[place] ^= 1 << chance.randrange(8)
        elif kind == "byte" and faulty:
            faulty[place] = chance.randrange(256)
        elif kind == "cut out":
            del faulty[place : place + length]
        elif kind == "cut off":
            del faulty[chance.randrange(len(faulty) + 1) :]
        else:
            faulty[place:place] = faulty[place : place + length]
    return bytes(faulty)


def test_damaged_dicom_files_are_rejected_or_keep_their_frames(tmp_path: Path) -> None:
    contents = [form.content() for form in FORMS.values()]
    (tmp_path / "source").mkdir()
    for seed in range(NUM_RUNS):
        (tmp_path / "source" / f"{seed:06}").write_bytes(damaged(contents[seed % len(contents)], seed))
    (tmp_path / "labels.csv").write_text("path,label\n.,normal\n")
    (tmp_path / "key").write_text("a key that nobody guesses")
    result = import_dicom_files(*(str(tmp_path / name) for name in ("source", "labels.csv", "out", "key")))
    assert len(result.outcomes) == NUM_RUNS
    assert result.imported
    for outcome in result.outcomes:
        assert bool(outcome.reason) != bool(outcome.row)
        assert outcome.num_frames in (0, NUM_FRAMES) or NO_COUNT in outcome.warnings, outcome
    for outcome in result.imported:
        with av.open(str(tmp_path / "out" / outcome.row["uri"])) as video:
            assert sum(1 for _ in video.decode(video=0)) == outcome.num_frames


def names() -> list[str]:
    """Returns names that no single fault turns into each other, some with a comma or an accent."""
    chance = random.Random(0)
    return [f"{chance.randrange(1 << 64):016x}{chance.choice(('', ', é', ' ü'))}" for _ in range(12)]


LABELS = {name: CLASS_NAMES[position % 3] for position, name in enumerate(names())}


def tables(header: str, row: Callable[[str, str], list[str]]) -> Iterator[bytes]:
    """Yields a table as various programs write it."""
    for delimiter, encoding, end in ((",", "utf-8", "\n"), (";", "utf-8-sig", "\r\n"), ("\t", "utf-16", "\r\n")):
        cells = [header.split(","), *(row(name, label) for name, label in LABELS.items())]
        lines = [delimiter.join(f'"{cell}"' if delimiter in cell else cell for cell in line) for line in cells]
        yield (end.join(lines) + end).encode(encoding)


def unless_refused(read: Callable[[str], Result], path: Path) -> Result | None:
    """Returns what is read, or None when it is refused in one line."""
    try:
        return read(str(path))
    except UsageError as error:
        message = str(error)
    assert "\n" not in message
    return None


def test_damaged_labels_are_refused_or_right(tmp_path: Path) -> None:
    contents = list(tables("path,label,region", lambda name, label: [name, label, "1,2,30,40"]))
    for number in range(NUM_RUNS):
        (tmp_path / "labels.csv").write_bytes(damaged(contents[number % 3], number))
        labels = unless_refused(read_labels, tmp_path / "labels.csv")
        for name, class_name in LABELS.items():
            label = labels and labels.of(PurePosixPath(name))
            assert label is None or label.class_name == class_name, number


def test_damaged_manifests_are_refused_or_right(tmp_path: Path) -> None:
    contents = list(tables("video_id,uri,label,group,source", lambda name, label: [name, f"{name}.mp4", label, "", "a, b"]))
    for number in range(NUM_RUNS):
        (tmp_path / "manifest.csv").write_bytes(damaged(contents[number % 3], number))
        for row in unless_refused(read_manifest, tmp_path / "manifest.csv") or ():
            # Where a fault has joined the beginning of one row to the end of another, the file is not the one of the id.
            if row.uri == str(tmp_path / f"{row.video_id}.mp4"):
                assert LABELS.get(row.video_id, row.class_name) == row.class_name, number
