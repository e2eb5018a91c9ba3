"""DICOM files that are no ultrasound, or not whole: each is rejected with its reason."""

import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    MPEG4HP41,
    DeflatedExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from components.import_dicom import data_sets
from tests.dicoms import PYDICOM_FILES, dicom, moving_frames, region, regions, write
from tests.import_dicom.running import only_reason


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Modality": "CT"}, r"not ultrasound \(modality CT\)"),
        ({"Modality": "DOE JOHN"}, r"not ultrasound \(modality not stated\)"),
        ({"PixelData": None}, "without pixels"),
        ({"Rows": 0}, "frames have no size"),
        ({"Rows": None}, "absent or malformed"),
        ({"FrameTime": "inf"}, "frame times span more than an hour, or are no numbers"),
        ({"FrameTime": 1e9}, "frame times span more than an hour, or are no numbers"),
        ({"NumberOfFrames": 9}, "pixel data are cut off"),
        ({"NumberOfFrames": 3}, "pixel data hold more than the frames that its tags tell of"),
        ({"Rows": 60}, "pixel data hold more than the frames that its tags tell of"),
        ({"NumberOfFrames": -1}, "frames have no size"),
        ({"NumberOfFrames": None, "Rows": 59}, "no whole number of them"),
        ({"Rows": 40000, "Columns": 40000}, "frames are too large"),
        ({"BitsStored": 9}, "cannot be decoded"),
        ({"PhotometricInterpretation": "YBR_RCT"}, "photometric interpretation is none of"),
        ({"PhotometricInterpretation": "HSV"}, "photometric interpretation is none of"),
        ({"PhotometricInterpretation": "YBR_FULL_422"}, "odd number of pixels"),
        ({"BurnedInAnnotation": None}, "no ultrasound regions, so burned-in text"),
        ({"BurnedInAnnotation": "YES"}, "no ultrasound regions, so burned-in text"),
        ({"SequenceOfUltrasoundRegions": regions(region(0, 0, 9, 9, spatial_format=2))}, "none of its ultrasound regions"),
    ],
)
def test_a_file_that_cannot_be_imported_is_rejected_with_the_reason(tmp_path: Path, tags: dict[str, object], reason: str) -> None:
    write(dicom(moving_frames(4), **tags), tmp_path / "source" / "a.dcm")
    told = only_reason(tmp_path)
    assert re.search(reason, told), told


def test_a_video_stream_is_rejected(tmp_path: Path) -> None:
    dataset = dicom(moving_frames(4))
    dataset.PixelData = pydicom.encaps.encapsulate([b"\x00\x00\x00\x18ftypmp42"])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = MPEG4HP41
    write(dataset, tmp_path / "source" / "a.dcm")
    assert "video stream" in only_reason(tmp_path)


def encapsulated(fragments: list[bytes], syntax: str, **tags: object) -> pydicom.Dataset:
    dataset = dicom(moving_frames(4), PixelData=pydicom.encaps.encapsulate(fragments, has_bot=False), **tags)
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    return dataset


@pytest.mark.parametrize(
    ("fragments", "syntax", "tags", "reason"),
    [
        ([b"\xff\xd8"] * 3, JPEGBaseline8Bit, {}, "another number of frames than its tags state"),
        ([b"\xff\xd8"] * 20, JPEGBaseline8Bit, {"NumberOfFrames": 1}, "another number of frames than its tags state"),
        ([b"??"] * 3, JPEGBaseline8Bit, {"NumberOfFrames": None}, "neither its tags nor its pixel data tell how many frames"),
        ([], JPEGBaseline8Bit, {}, "hold no fragment"),
        ([b"\xff\xd8"] * 4, JPEGBaseline8Bit, {}, "cannot be decoded"),
        ([b"\xff\x4f"] * 4, HTJ2KLossless, {}, "no decoder for its transfer syntax .High-Throughput JPEG 2000"),
        ([b"\xff\x4f"] * 4, "1.2.3.4.5", {}, "no decoder for its transfer syntax .none that the standard knows"),
    ],
)
def test_frames_that_cannot_be_told_apart_are_rejected(
    tmp_path: Path, fragments: list[bytes], syntax: str, tags: dict[str, object], reason: str
) -> None:
    write(encapsulated(fragments, syntax, **tags), tmp_path / "source" / "a.dcm")
    told = only_reason(tmp_path)
    assert re.search(reason, told), told


def test_pixels_that_are_not_coded_as_stated_are_rejected(tmp_path: Path) -> None:
    path = write(dicom(moving_frames(4)), tmp_path / "source" / "a.dcm")
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", RLELossless.encode() + b"\0"))
    assert only_reason(tmp_path) == "its pixels are not coded as its transfer syntax says"


def test_compressed_pixels_without_a_transfer_syntax_are_rejected(tmp_path: Path) -> None:
    path = write(encapsulated([b"\xff\xd8"] * 4, JPEGBaseline8Bit), tmp_path / "source" / "a.dcm")
    content = path.read_bytes()
    path.write_bytes(content[144 + int.from_bytes(content[140:144], "little") :])
    assert only_reason(tmp_path) == "it does not state its transfer syntax, and its pixels are compressed"


def test_what_inflates_without_end_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_sets, "MAX_INFLATED_BYTES", 1 << 20)
    frames = np.zeros((4, 512, 512, 3), np.uint8)
    dataset = dicom(frames)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    write(dataset, tmp_path / "source" / "a.dcm")
    assert "inflates to more than" in only_reason(tmp_path)


def test_encrypted_attributes_instead_of_pixels_are_told(tmp_path: Path) -> None:
    item = pydicom.Dataset()
    item.EncryptedContentTransferSyntaxUID, item.EncryptedContent = "1.2.840.10008.1.2.1", bytes(16)
    write(dicom(moving_frames(4), PixelData=None, EncryptedAttributesSequence=regions(item)), tmp_path / "source" / "a.dcm")
    assert "attributes are encrypted" in only_reason(tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a DICOM file"),
        (b"a letter to a patient", "not a DICOM file"),
        (bytes(128) + b"DICM" + b"\xff" * 50, "cannot be read|without|not ultrasound"),
        (bytes.fromhex("3082012306092a864886f70d010703a0") + bytes(200), "encrypted file"),
    ],
)
def test_what_is_no_readable_dicom_is_rejected(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.dcm").write_bytes(content)
    told = only_reason(tmp_path)
    assert re.search(reason, told), told


@pytest.mark.parametrize("name", ["badVR.dcm", "MR_truncated.dcm", "DICOMDIR-empty.dcm", "no_meta.dcm", "waveform_ecg.dcm"])
def test_odd_files_of_pydicom_are_rejected(tmp_path: Path, name: str) -> None:
    (tmp_path / "source").mkdir()
    (path,) = PYDICOM_FILES.rglob(name)
    (tmp_path / "source" / name).write_bytes(path.read_bytes())
    assert only_reason(tmp_path)


def test_a_truncated_file_leaves_no_video(tmp_path: Path) -> None:
    path = write(dicom(moving_frames()), tmp_path / "source" / "a.dcm")
    path.write_bytes(path.read_bytes()[:-5000])
    assert "cut off" in only_reason(tmp_path)
    assert not list((tmp_path / "out").rglob("*.mkv"))
