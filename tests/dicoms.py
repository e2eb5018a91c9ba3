"""DICOM files for tests: synthesised ones, and pydicom's own with some tags changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless, UltrasoundMultiFrameImageStorage, generate_uid

PYDICOM_FILES = Path(pydicom.__file__).parent / "data" / "test_files"
PATIENT_NAME = "Mustermann^Erika"
PATIENT_ID = "KH-4711-0815"


def moving_frames(num_frames: int = 16, height: int = 61, width: int = 83) -> np.ndarray:
    """Returns smooth coloured frames [n, height, width, 3] uint8 RGB, so that a lossy code does not change them much."""
    y, x, t = np.meshgrid(np.linspace(0, 3, height), np.linspace(0, 3, width), np.linspace(0, 1, num_frames), indexing="ij")
    waves = [np.sin(x + 2 * t), np.cos(y - 3 * t), np.sin(x * y + t)]
    return np.moveaxis(np.stack([(wave + 1) * 127 for wave in waves], -1), 2, 0).astype(np.uint8)


def dicom(frames: np.ndarray, **tags: Any) -> FileDataset:
    """Returns an uncompressed multi-frame ultrasound file of frames [n, height, width(, 3)] uint8; None removes a tag."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UltrasoundMultiFrameImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = generate_uid()
    dataset.Modality, dataset.PatientName, dataset.PatientID = "US", PATIENT_NAME, PATIENT_ID
    dataset.PatientBirthDate, dataset.StudyDate = "19640812", "20200401"
    dataset.InstitutionName, dataset.ImageComments = "Klinikum Musterstadt", f"seen with {PATIENT_NAME}"
    dataset.private_block(0x0011, "MUSTER VENDOR", create=True).add_new(0x01, "LO", PATIENT_NAME)
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = frames.shape[:3]
    colours = frames.ndim == 4
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = (3, "RGB") if colours else (1, "MONOCHROME2")
    if colours:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.FrameTime, dataset.BurnedInAnnotation = 40.0, "NO"
    dataset.PixelData = frames.tobytes() + bytes(frames.size % 2)
    for name, value in tags.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    return dataset


def region(left: int, top: int, right: int, bottom: int, spatial_format: int = 1) -> pydicom.Dataset:
    """Returns an item of SequenceOfUltrasoundRegions; the last pixel of a DICOM region is inside."""
    item = pydicom.Dataset()
    item.RegionSpatialFormat, item.RegionDataType, item.RegionFlags = spatial_format, 1, 0
    item.RegionLocationMinX0, item.RegionLocationMinY0 = left, top
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = right - 1, bottom - 1
    return item


def regions(*items: pydicom.Dataset) -> Sequence:
    return Sequence(items)


def write(dataset: FileDataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def _encapsulated(dataset: FileDataset, frames: np.ndarray, syntax: str, suffix: str, photometric: str) -> FileDataset:
    codes = [cv2.imencode(suffix, frame[:, :, ::-1])[1].tobytes() for frame in frames]
    dataset.PixelData = encapsulate(codes)
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PhotometricInterpretation = photometric
    return dataset


def uncompressed(frames: np.ndarray) -> FileDataset:
    return dicom(frames)


def rle(frames: np.ndarray) -> FileDataset:
    dataset = dicom(frames)
    dataset.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    return dataset


def jpeg_baseline(frames: np.ndarray) -> FileDataset:
    return _encapsulated(dicom(frames), frames, JPEGBaseline8Bit, ".jpg", "YBR_FULL_422")


def jpeg_2000(frames: np.ndarray) -> FileDataset:
    return _encapsulated(dicom(frames), frames, JPEG2000Lossless, ".jp2", "YBR_RCT")


def ybr_uncompressed(frames: np.ndarray) -> FileDataset:
    """As DICOM PS3.3 C.7.6.3.1.2 converts RGB to YBR_FULL."""
    matrix = np.array([[0.2990, 0.5870, 0.1140], [-0.1687, -0.3313, 0.5000], [0.5000, -0.4187, -0.0813]])
    ybr = frames @ matrix.T + [0, 128, 128]
    return dicom(ybr.round().clip(0, 255).astype(np.uint8), PhotometricInterpretation="YBR_FULL")


def palette(frames: np.ndarray) -> FileDataset:
    """The green channel as an index into a palette whose colours are 255 - i, i and i // 2."""
    dataset = dicom(frames[:, :, :, 1], PhotometricInterpretation="PALETTE COLOR")
    index = np.arange(256)
    for colour, values in (("Red", 255 - index), ("Green", index), ("Blue", index // 2)):
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(dataset, f"{colour}PaletteColorLookupTableData", (values * 257).astype("<u2").tobytes())
    return dataset


def grey(frames: np.ndarray) -> FileDataset:
    return dicom(frames[:, :, :, 1])


# How each form is made from frames, which frames it should give, and by how much at most they may differ in the mean.
FORMS: dict[str, tuple[Callable[[np.ndarray], FileDataset], Callable[[np.ndarray], np.ndarray], float]] = {
    "uncompressed": (uncompressed, lambda frames: frames, 0),
    "rle": (rle, lambda frames: frames, 0),
    "jpeg-baseline": (
        jpeg_baseline,
        lambda frames: np.stack([cv2.imdecode(cv2.imencode(".jpg", f[:, :, ::-1])[1], cv2.IMREAD_COLOR)[:, :, ::-1] for f in frames]),
        2.0,
    ),
    "jpeg-2000": (jpeg_2000, lambda frames: frames, 0),
    "ybr": (ybr_uncompressed, lambda frames: frames, 1.0),
    "palette": (
        palette,
        lambda frames: np.stack([255 - frames[..., 1], frames[..., 1], frames[..., 1] // 2], -1),
        0,
    ),
    "grey": (grey, lambda frames: np.repeat(frames[..., 1:2], 3, axis=-1), 0),
}
