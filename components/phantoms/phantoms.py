"""Phantom lung-ultrasound videos: a toy for trying the pipeline without patient data, never medical evidence.

A set of phantoms is a folder that `ingest` takes:

    manifest.csv             a row per video; source `phantom`, license `CC0-1.0`
    videos/VIDEO_ID.EXT      mp4 (MPEG-4), avi (Motion JPEG) or gif

Every class gets the same scans: container, probe, frame rate, size and settings depend on the place of a video in its class and on the
seed, not on the class, so that no classifier can take a short cut through them. The seed is part of the ids: sets made with different seeds
are different patients. The same parameters give the same bytes, whatever the number of threads.
"""

import contextlib
import dataclasses
import functools
import itertools
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from components.core import parameters, storage
from components.core.errors import DataError, UsageError
from components.core.files.local_files import sha256_of
from components.core.files.outputs import staged_folder
from components.core.records.clips import CLASS_NAMES
from components.core.records.manifest import read_manifest
from components.core.records.tables import to_csv
from components.phantoms import anatomy, imaging
from components.phantoms.imaging import Array, Scan

MANIFEST_NAME = "manifest.csv"
SOURCE = "phantom"
LICENSE = "CC0-1.0"
LICENSE_URL = "https://creativecommons.org/publicdomain/zero/1.0/"

CONTAINERS = ("mp4", "avi", "gif")
# A GIF counts hundredths of a second: these rates are exact in every container.
FRAME_RATES_FPS = (10.0, 12.5, 20.0, 25.0)
RECORDINGS = tuple(itertools.product(CONTAINERS, imaging.PROBES, FRAME_RATES_FPS))
# Coprime with the number of recordings, so that a class takes each once before it takes one again, and changes container at every step.
_RECORDING_STEP = 11

_PROGRESS_EVERY = 10
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Phantom:
    """One video of a set, before it is drawn.

    Attributes:
        class_name: its class.
        patient: number of the patient in the class.
        video: number of the video of the patient.
        place: number of the video in the class.
        seed: of the set.
    """

    class_name: str
    patient: int
    video: int
    place: int
    seed: int

    def rng(self, *key: int) -> np.random.Generator:
        """Returns the chance of a part of the set."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))


def local_folder_of(destination: str) -> Path:
    """Returns the path of a local folder.

    Raises:
        UsageError: it is a storage URI, or empty.
    """
    path = storage.path_of(destination)
    if not isinstance(path, Path):
        raise UsageError(f"phantoms are drawn into a local folder, got {destination!r}; give a local path and copy the folder afterwards.")
    return path


def generate_phantoms(destination: Path, *, patients_per_class: int, videos_per_patient: int, seed: int) -> Path:
    """Draws a set of phantoms; one that is there already is replaced when the new one is complete.

    Args:
        destination: local folder; it must be missing, empty, or hold an earlier set.
        patients_per_class: groups in each class.
        videos_per_patient: videos in each group.
        seed: of everything that is drawn.

    Returns:
        The manifest's path.

    Raises:
        UsageError: a number is out of range, or the destination holds something else.
        DataError: OpenCV here cannot write videos.
        StorageError: the destination cannot be written.
    """
    parameters.check_values(patients_per_class=patients_per_class, videos_per_patient=videos_per_patient, seed=seed)
    destination = destination.absolute()
    _check_replaceable(destination)
    phantoms = [
        Phantom(class_name, patient, video, patient * videos_per_patient + video, seed)
        for class_name, patient, video in itertools.product(CLASS_NAMES, range(patients_per_class), range(videos_per_patient))
    ]
    with staged_folder(destination, replace=True) as staged:
        _write_set(staged, phantoms)
    return destination / MANIFEST_NAME


def _check_replaceable(destination: Path) -> None:
    """Refuses to replace anything but phantoms."""
    phantoms: set[Path] = set()
    with contextlib.suppress(UsageError):
        manifest = destination / MANIFEST_NAME
        phantoms = {manifest, *(Path(row.uri) for row in read_manifest(str(manifest)) if row.source == SOURCE)}
    others = [path for path in destination.rglob("*") if not path.is_dir() and path not in phantoms]
    if others or destination.is_file():
        raise UsageError(f"{str(destination)!r} holds something else than phantoms; give a new or an empty folder.")


def _write_set(folder: Path, phantoms: list[Phantom]) -> None:
    (folder / "videos").mkdir()
    rows = []
    # OpenCV, NumPy and Pillow release the interpreter's lock while they work on a frame, so threads keep the cores busy.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for row in pool.map(lambda phantom: _write_video(folder, phantom), phantoms):
            rows.append(row)
            if len(rows) % _PROGRESS_EVERY == 0 or len(rows) == len(phantoms):
                _log.info("%d of %d phantom videos drawn", len(rows), len(phantoms))
    storage.write_bytes(folder / MANIFEST_NAME, to_csv(rows))


def _write_video(folder: Path, phantom: Phantom) -> dict[str, str]:
    """Draws one video and returns its row of the manifest. How it is recorded does not depend on its class."""
    container, probe, frame_rate_fps = RECORDINGS[phantom.place * _RECORDING_STEP % len(RECORDINGS)]
    scan = imaging.draw_scan(phantom.rng(0, phantom.patient, phantom.video), probe, frame_rate_fps)
    group = f"phantom-{phantom.seed}-{phantom.class_name}-{phantom.patient:03d}"
    video_id = f"{group}-{phantom.video:03d}"
    uri = f"videos/{video_id}.{container}"
    WRITERS[container](folder / uri, _frames(phantom, scan), frame_rate_fps)
    return {
        "video_id": video_id,
        "uri": uri,
        "label": phantom.class_name,
        "group": group,
        "probe": probe,
        "source": SOURCE,
        "license": LICENSE,
        "license_url": LICENSE_URL,
        "sha256": sha256_of(folder / uri),
    }


def _frames(phantom: Phantom, scan: Scan) -> list[Array]:
    """Draws the frames of a video, [height, width] uint8 grey each."""
    label = CLASS_NAMES.index(phantom.class_name)
    patient = anatomy.draw_patient(phantom.rng(1, label, phantom.patient))
    rng = phantom.rng(2, label, phantom.patient, phantom.video)
    sector = imaging.Sector(scan)
    return [sector.frame(imaging.display(echo, scan, rng)) for echo in anatomy.echoes(phantom.class_name, scan, patient, rng)]


def _write_with_opencv(codec: str, path: Path, frames: list[Array], frame_rate_fps: float) -> None:
    height, width = frames[0].shape
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), frame_rate_fps, (width, height), isColor=False)
    if not writer.isOpened():
        raise DataError(f"OpenCV cannot write {path.name!r} with the codec {codec!r}; install opencv-python-headless with FFmpeg.")
    for frame in frames:
        writer.write(frame)
    writer.release()


def _write_gif(path: Path, frames: list[Array], frame_rate_fps: float) -> None:
    """Writes a GIF whose palette is the 256 greys; OpenCV 5 would dither them to a few colours."""
    first, *others = [Image.fromarray(frame) for frame in frames]
    first.save(path, save_all=True, append_images=others, duration=round(1000 / frame_rate_fps), loop=0, optimize=False)


WRITERS: dict[str, Callable[[Path, list[Array], float], None]] = {
    "mp4": functools.partial(_write_with_opencv, "mp4v"),
    "avi": functools.partial(_write_with_opencv, "MJPG"),
    "gif": _write_gif,
}
