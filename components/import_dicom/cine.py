"""What is read of a DICOM file: the few tags of Cine and nothing else, so that no other tag can leave.

Tags and their meaning: DICOM PS3.3, US Image (C.8.5.6), US Region Calibration (C.8.5.5), Cine (C.7.6.5) and Multi-frame (C.7.6.6) modules.
"""

import contextlib
import dataclasses
import logging
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.uid import MediaStorageDirectoryStorage, MPEGTransferSyntaxes

from components.import_dicom.outcomes import RejectedError

FALLBACK_FPS = 25.0
MAX_DURATION_MS = 3_600_000

_TAGS = (
    "Modality",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "PatientID",
    "IssuerOfPatientID",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "BitsAllocated",
    "FrameTime",
    "FrameTimeVector",
    "CineRate",
    "RecommendedDisplayFrameRate",
    "SequenceOfUltrasoundRegions",
    "BurnedInAnnotation",
    "TransducerType",
    "EncryptedAttributesSequence",
    "PixelData",
)
_PROBES = {"LINEAR": "linear", "CURVED LINEAR": "convex"}
_TWO_DIMENSIONAL = 1
# An ASN.1 sequence that opens with an object identifier of PKCS #7, as RFC 5652 and PS3.15 (Secure DICOM File) have it.
_CMS = re.compile(rb"\x30.{1,9}?\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Box:
    """A rectangle in pixels; `right` and `bottom` are outside of it."""

    left: int
    top: int
    right: int
    bottom: int


@dataclasses.dataclass(frozen=True)
class Cine:
    """A cine loop, or a single frame, by the tags that are read of it.

    Attributes:
        patient, study, instance: what identifies; for Pseudonyms only.
        num_frames, height_px, width_px: the size of the pixel data.
        bits_allocated: of a sample.
        times_ms: when each frame was taken, from the first one on; whole milliseconds, strictly increasing.
        times_are_stated: whether the file tells them; else FALLBACK_FPS is assumed.
        regions: where the two-dimensional images are; None when the file does not tell.
        burned_in_text: YES or NO as BurnedInAnnotation states, else empty.
        probe: linear, convex, or empty.
    """

    patient: str = dataclasses.field(repr=False)
    study: str = dataclasses.field(repr=False)
    instance: str = dataclasses.field(repr=False)
    num_frames: int
    height_px: int
    width_px: int
    bits_allocated: int
    times_ms: tuple[int, ...]
    times_are_stated: bool
    regions: tuple[Box, ...] | None
    burned_in_text: str
    probe: str


@contextlib.contextmanager
def _quiet_pydicom() -> Iterator[None]:
    """Keeps pydicom's warnings, which quote the values of tags, out of the log."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read_cine(path: Path) -> Cine:
    """Reads the tags of a DICOM file.

    Raises:
        RejectedError: it is no DICOM file of ultrasound frames that can be decoded one by one.
    """
    with _quiet_pydicom():
        try:
            dataset = pydicom.dcmread(path, specific_tags=list(_TAGS), defer_size=1024)
        except InvalidDicomError:
            raise RejectedError(_no_dicom(path)) from None
        except Exception as error:
            raise RejectedError(f"its tags cannot be read ({type(error).__name__})") from None
        _check_kind(dataset)
        try:
            return _cine(dataset)
        except RejectedError:
            raise
        except Exception as error:
            raise RejectedError(f"a tag that is needed is absent or malformed ({type(error).__name__})") from None


def _no_dicom(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(32)
    return "an encrypted file (CMS); decrypt it first" if _CMS.match(start) else "not a DICOM file"


def _check_kind(dataset: Any) -> None:
    """Refuses what holds no frames of ultrasound."""
    if dataset.file_meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
        raise RejectedError("a DICOMDIR, the index of a medium")
    modality = str(dataset.get("Modality", ""))
    if modality != "US":
        raise RejectedError(f"not ultrasound (modality {modality if re.fullmatch('[A-Z]{2}', modality) else 'not stated'})")
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is None:
        raise RejectedError("it does not state its transfer syntax")
    if syntax in MPEGTransferSyntaxes:
        raise RejectedError("its pixels are a video stream (MPEG-2, MPEG-4 or HEVC); export it as frames, for example JPEG")
    if "PixelData" not in dataset:
        encrypted = "EncryptedAttributesSequence" in dataset
        raise RejectedError("without pixels that can be read: attributes are encrypted" if encrypted else "without pixels")


def _cine(dataset: Any) -> Cine:
    num_frames = int(dataset.get("NumberOfFrames") or 1)
    height_px, width_px = int(dataset.Rows), int(dataset.Columns)
    if min(num_frames, height_px, width_px) < 1:
        raise RejectedError("its frames have no size")
    times_ms, times_are_stated = _times_ms(dataset, num_frames)
    burned_in_text = str(dataset.get("BurnedInAnnotation", ""))
    return Cine(
        patient=" / ".join(filter(None, (_text(dataset, "PatientID"), _text(dataset, "IssuerOfPatientID")))),
        study=_text(dataset, "StudyInstanceUID"),
        instance=_text(dataset, "SOPInstanceUID"),
        num_frames=num_frames,
        height_px=height_px,
        width_px=width_px,
        bits_allocated=int(dataset.BitsAllocated),
        times_ms=times_ms,
        times_are_stated=times_are_stated,
        regions=_regions(dataset, height_px, width_px),
        burned_in_text=burned_in_text if burned_in_text in ("YES", "NO") else "",
        probe=_PROBES.get(_text(dataset, "TransducerType").upper(), ""),
    )


def _text(dataset: Any, name: str) -> str:
    return str(dataset.get(name) or "").strip()


def _times_ms(dataset: Any, num_frames: int) -> tuple[tuple[int, ...], bool]:
    """Returns the time of each frame, and whether the file states it: a vector of intervals, one interval, or a rate.

    Raises:
        RejectedError: the times cannot be right.
    """
    intervals = np.atleast_1d(np.asarray(dataset.get("FrameTimeVector") or [], float))
    if len(intervals) == num_frames > 1 and (intervals[1:] > 0).all():
        times_ms, stated = np.cumsum([0.0, *intervals[1:]]), True
    else:
        interval_ms = float(dataset.get("FrameTime") or 0)
        rate = float(dataset.get("CineRate") or dataset.get("RecommendedDisplayFrameRate") or 0)
        stated = interval_ms > 0 or rate > 0
        times_ms = np.arange(num_frames) * (interval_ms if interval_ms > 0 else 1000 / (rate if rate > 0 else FALLBACK_FPS))
    if not times_ms[-1] <= MAX_DURATION_MS:  # nor is it a number
        raise RejectedError("its frame times span more than an hour, or are no numbers")
    rounded = np.rint(times_ms).astype(int)
    # No two frames share a millisecond, not even where a loop was taken at over 1000 frames per second.
    rounded = np.maximum.accumulate(rounded - np.arange(num_frames)) + np.arange(num_frames)
    return tuple(rounded.tolist()), stated or num_frames == 1


def _regions(dataset: Any, height_px: int, width_px: int) -> tuple[Box, ...] | None:
    if not dataset.get("SequenceOfUltrasoundRegions"):
        return None
    boxes = []
    for region in dataset.SequenceOfUltrasoundRegions:
        if int(region.RegionSpatialFormat) == _TWO_DIMENSIONAL:
            left, top = max(0, int(region.RegionLocationMinX0)), max(0, int(region.RegionLocationMinY0))
            right, bottom = min(width_px, int(region.RegionLocationMaxX1) + 1), min(height_px, int(region.RegionLocationMaxY1) + 1)
            if left < right and top < bottom:
                boxes.append(Box(left, top, right, bottom))
    if not boxes:
        raise RejectedError("none of its ultrasound regions is a two-dimensional image")
    return tuple(boxes)
