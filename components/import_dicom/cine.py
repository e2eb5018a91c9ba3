"""What is read of a DICOM file: the few tags of Cine and nothing else, so that no other tag can leave.

Tags and their meaning: DICOM PS3.3, US Image (C.8.5.6), US Region Calibration (C.8.5.5), Cine (C.7.6.5) and Multi-frame (C.7.6.6) modules.
"""

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, AllTransferSyntaxes, JPEG2000TransferSyntaxes, MediaStorageDirectoryStorage, MPEGTransferSyntaxes

from components.core.video.containers import MAX_FRAME_PIXELS
from components.import_dicom import frame_codes
from components.import_dicom.data_sets import PixelData, open_data_set, quiet_pydicom
from components.import_dicom.outcomes import RejectedError

FALLBACK_FPS = 25.0
MAX_DURATION_MS = 3_600_000
NO_TIMES = f"it does not state its frame times; {FALLBACK_FPS:g} frames per second are assumed"
OTHER_TIMES = "the tag that should hold its frame times cannot be used; they were taken from another one"

_TAGS = (
    "Modality",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "PatientID",
    "IssuerOfPatientID",
    *frame_codes.TAGS,
    "PlanarConfiguration",
    "FrameIncrementPointer",
    "FrameTime",
    "FrameTimeVector",
    "CineRate",
    "RecommendedDisplayFrameRate",
    "SequenceOfUltrasoundRegions",
    "BurnedInAnnotation",
    "TransducerType",
    "EncryptedAttributesSequence",
)
_PHOTOMETRIC = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422")
_PHOTOMETRIC_OF_JPEG_2000 = ("YBR_ICT", "YBR_RCT")
_PROBES = {"LINEAR": "linear", "CURVED LINEAR": "convex"}
_FRAME_TIME, _FRAME_TIME_VECTOR = 0x00181063, 0x00181065
_TWO_DIMENSIONAL = 1


@dataclasses.dataclass(frozen=True)
class Box:
    """A rectangle in pixels; `right` and `bottom` are outside of it."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def of(cls, left: int, top: int, width: int, height: int) -> "Box":
        """Returns the box of this size."""
        return cls(left, top, left + width, top + height)


@dataclasses.dataclass(frozen=True)
class Form:
    """How pixels are coded: what decides which decoder can be asked.

    Attributes:
        transfer_syntax, photometric_interpretation, planar_configuration, bits_allocated: the tags of these names.
        is_plain: whether every frame is coded in one piece, and the tags state how many there are.
    """

    transfer_syntax: str
    photometric_interpretation: str
    planar_configuration: int
    bits_allocated: int
    is_plain: bool


@dataclasses.dataclass(frozen=True)
class Cine:
    """A cine loop, or a single frame, by the tags that are read of it.

    Attributes:
        patient, study, instance: what identifies; for Pseudonyms only.
        num_frames, height_px, width_px: the size of the pixel data, which the tags do not contradict.
        num_frames_is_stated: whether the tags say it, too; else it is by the pixel data alone. A single frame need not be stated.
        form: how the pixels are coded.
        times_ms: when each frame was taken, from the first one on; whole milliseconds, strictly increasing.
        doubt_of_times: what a person should know of them, or empty.
        regions: where the two-dimensional images are; None when the file does not tell.
        burned_in_text: YES or NO as BurnedInAnnotation states, else empty.
        probe: linear, convex, or empty.
    """

    patient: str = dataclasses.field(repr=False)
    study: str = dataclasses.field(repr=False)
    instance: str = dataclasses.field(repr=False)
    num_frames: int
    num_frames_is_stated: bool
    height_px: int
    width_px: int
    form: Form
    times_ms: tuple[int, ...]
    doubt_of_times: str
    regions: tuple[Box, ...] | None
    burned_in_text: str
    probe: str


def read_cine(path: Path) -> Cine:
    """Reads the tags of a DICOM file, and counts its frames.

    Raises:
        RejectedError: it is no DICOM file of ultrasound frames that can be decoded one by one.
    """
    with quiet_pydicom():
        try:
            with open_data_set(path, _TAGS) as (dataset, pixels):
                return _cine(dataset, _checked_pixels(dataset, pixels))
        except RejectedError:
            raise
        except Exception as error:
            raise RejectedError(f"a tag that is needed is absent or malformed ({type(error).__name__})") from None


def _checked_pixels(dataset: Any, pixels: PixelData | None) -> PixelData:
    """Refuses what holds no frames of ultrasound that can be decoded."""
    if dataset.file_meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
        raise RejectedError("a DICOMDIR, the index of a medium")
    modality = str(dataset.get("Modality", ""))
    if modality != "US":
        raise RejectedError(f"not ultrasound (modality {modality if re.fullmatch('[A-Z]{2}', modality) else 'not stated'})")
    _check_syntax(dataset.file_meta.TransferSyntaxUID)
    if pixels is None:
        encrypted = "EncryptedAttributesSequence" in dataset
        reason = "attributes are encrypted" if encrypted else "it has none, or ends before they do"
        raise RejectedError(f"without pixels that can be read: {reason}")
    return pixels


def _check_syntax(syntax: UID) -> None:
    if syntax in MPEGTransferSyntaxes:
        raise RejectedError("its pixels are a video stream (MPEG-2, MPEG-4 or HEVC); export it as frames, for example JPEG")
    try:
        is_decodable = get_decoder(syntax).is_available
    except NotImplementedError:
        is_decodable = False
    if not is_decodable:
        name = syntax.name if syntax in AllTransferSyntaxes else "none that the standard knows"
        raise RejectedError(f"there is no decoder for its transfer syntax ({name}); export it as JPEG or uncompressed")


def _check_colours(dataset: Any) -> None:
    """Refuses what decoders would take for colours of another kind."""
    photometric = dataset.PhotometricInterpretation
    is_jpeg_2000 = dataset.file_meta.TransferSyntaxUID in JPEG2000TransferSyntaxes
    if photometric not in _PHOTOMETRIC and not (is_jpeg_2000 and photometric in _PHOTOMETRIC_OF_JPEG_2000):
        raise RejectedError("its photometric interpretation is none of grey, palette, RGB or YCbCr that go with its transfer syntax")


def _cine(dataset: Any, pixels: PixelData) -> Cine:
    height_px, width_px = int(dataset.Rows), int(dataset.Columns)
    if min(height_px, width_px, frame_codes.stated_num_frames(dataset) or 1) < 1:
        raise RejectedError("its frames have no size")
    if height_px * width_px > MAX_FRAME_PIXELS:
        raise RejectedError(f"its frames are too large, the limit is {MAX_FRAME_PIXELS:,} pixels")
    _check_colours(dataset)
    frames = frame_codes.frame_spans(dataset, pixels)
    frame_codes.check_sizes(dataset, pixels, frames)
    num_frames = len(frames)
    times_ms, doubt = _times_ms(dataset, num_frames)
    burned_in_text = str(dataset.get("BurnedInAnnotation", ""))
    return Cine(
        patient=" / ".join(filter(None, (_text(dataset, "PatientID"), _text(dataset, "IssuerOfPatientID")))),
        study=_text(dataset, "StudyInstanceUID"),
        instance=_text(dataset, "SOPInstanceUID"),
        num_frames=num_frames,
        num_frames_is_stated=num_frames == 1 or frame_codes.stated_num_frames(dataset) is not None,
        height_px=height_px,
        width_px=width_px,
        form=Form(
            str(dataset.file_meta.TransferSyntaxUID),
            _text(dataset, "PhotometricInterpretation"),
            int(dataset.get("PlanarConfiguration") or 0),
            int(dataset.BitsAllocated),
            is_plain=frame_codes.stated_num_frames(dataset) is not None and all(len(pieces) == 1 for pieces in frames),
        ),
        times_ms=times_ms,
        doubt_of_times=doubt,
        regions=_regions(dataset, height_px, width_px),
        burned_in_text=burned_in_text if burned_in_text in ("YES", "NO") else "",
        probe=_PROBES.get(_text(dataset, "TransducerType").upper(), ""),
    )


def _text(dataset: Any, name: str) -> str:
    return str(dataset.get(name) or "").strip()


def _times_ms(dataset: Any, num_frames: int) -> tuple[tuple[int, ...], str]:
    """Returns the time of each frame, and what is to be said of them.

    FrameIncrementPointer says which tag holds (PS3.3 C.7.6.6); where it is silent or points at what cannot be used, a vector of intervals
    goes before one interval, and that before a rate.

    Raises:
        RejectedError: the times cannot be right.
    """
    pointers = set(np.atleast_1d(dataset.get("FrameIncrementPointer") or []).tolist())
    sources = {_FRAME_TIME_VECTOR: _vector_ms(dataset, num_frames), _FRAME_TIME: _interval_ms(dataset, num_frames)}
    pointed = [times_ms for tag, times_ms in sources.items() if tag in pointers]
    rate = float(dataset.get("CineRate") or dataset.get("RecommendedDisplayFrameRate") or 0)
    at_rate = np.arange(num_frames) * 1000 / rate if rate > 0 else None
    stated = [times_ms for times_ms in (*pointed, *sources.values(), at_rate) if times_ms is not None]
    times_ms = stated[0] if stated else np.arange(num_frames) * 1000 / FALLBACK_FPS
    if not times_ms[-1] <= MAX_DURATION_MS:  # nor is it a number
        raise RejectedError("its frame times span more than an hour, or are no numbers")
    rounded = np.rint(times_ms).astype(int)
    # No two frames share a millisecond, not even where a loop was taken at over 1000 frames per second.
    rounded = np.maximum.accumulate(rounded - np.arange(num_frames)) + np.arange(num_frames)
    if num_frames == 1 or (stated and any(times is stated[0] for times in pointed or stated)):
        doubt = ""
    else:
        doubt = OTHER_TIMES if stated else NO_TIMES
    return tuple(rounded.tolist()), doubt


def _vector_ms(dataset: Any, num_frames: int) -> np.ndarray | None:
    """Returns the times by FrameTimeVector, whose first interval lies before the first frame and is left out by some."""
    intervals = np.atleast_1d(np.asarray(dataset.get("FrameTimeVector") or [], float))
    following = intervals[len(intervals) - num_frames + 1 :]
    if num_frames == 1 or len(intervals) not in (num_frames - 1, num_frames) or not ((following >= 0).all() and following.any()):
        return None
    return np.cumsum([0.0, *following])


def _interval_ms(dataset: Any, num_frames: int) -> np.ndarray | None:
    """Returns the times by FrameTime."""
    interval_ms = float(dataset.get("FrameTime") or 0)
    return np.arange(num_frames) * interval_ms if interval_ms > 0 else None


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
