"""Running an import in a folder, and reading what came of it."""

import csv
from pathlib import Path

import numpy as np
import pytest

from components.core.errors import DataError
from components.core.video.decoding import open_video
from components.import_dicom.importing import ImportResult, import_dicom_files

KEY = "a key that nobody guesses"


def run_import(folder: Path, labels: str = "path,label\n.,normal\n") -> ImportResult:
    (folder / "labels.csv").write_text(labels)
    return import_dicom_files(str(folder / "source"), str(folder / "labels.csv"), str(folder / "out"))


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "out" / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def video_frames(folder: Path, row: dict[str, str]) -> tuple[np.ndarray, list[float]]:
    """Frames [n, height, width, 3] uint8 RGB and times in seconds, as preprocess reads them."""
    with open_video(folder / "out" / row["uri"]) as video:
        read = [(frame.colours()[:, :, ::-1].copy(), frame.time_s) for frame in video.frames()]
    return np.stack([image for image, _ in read]), [time_s for _, time_s in read]


def only_reason(folder: Path) -> str:
    result = run_import(folder)
    with pytest.raises(DataError, match="none of 1 files could be imported"):
        result.check()
    assert not (folder / "out" / "manifest.csv").exists()
    return result.outcomes[0].reason
