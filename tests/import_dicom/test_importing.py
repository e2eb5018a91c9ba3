import contextlib
import csv
import logging
import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import av
import cv2
import numpy as np
import pydicom
import pytest
from pydicom.encaps import generate_frames
from pydicom.uid import (
    MPEG4HP41,
    DeflatedExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from components.core import storage
from components.core.errors import DataError, StorageError, UsageError
from components.core.manifest import Status
from components.core.video.decoding import open_video
from components.import_dicom import data_sets
from components.import_dicom.cine import NO_TIMES, OTHER_TIMES
from components.import_dicom.deidentification import KEY_VARIABLE
from components.import_dicom.importing import NO_REGIONS, SAME_UID, TEXT_INSIDE, ImportResult, import_dicom_files
from components.ingest.ingest import ingest_videos
from tests.dicoms import FORMS, PATIENT_ID, PATIENT_NAME, PYDICOM_FILES, dicom, moving_frames, region, regions, write

KEY = "a key that nobody guesses"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)


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


@pytest.mark.parametrize(("form", "num_frames"), [*((form, 16) for form in sorted(FORMS)), ("uncompressed", 1), ("jpeg-baseline", 1)])
def test_pixels_are_those_of_the_file(tmp_path: Path, form: str, num_frames: int) -> None:
    make, expected, tolerance = FORMS[form]
    frames = moving_frames(num_frames)
    write(make(frames), tmp_path / "source" / "a.dcm")
    run_import(tmp_path).check()
    images, _ = video_frames(tmp_path, rows(tmp_path)[0])
    assert images.shape == (num_frames, 61, 83, 3)
    assert np.abs(images.astype(int) - expected(frames)).mean() <= tolerance


def test_lossless_jpeg_equals_another_decoder(tmp_path: Path) -> None:
    dataset = pydicom.dcmread(PYDICOM_FILES / "SC_rgb_jpeg_gdcm.dcm")
    dataset.Modality, dataset.BurnedInAnnotation = "US", "NO"
    write(dataset, tmp_path / "source" / "a.dcm")
    run_import(tmp_path).check()
    code = next(generate_frames(dataset.PixelData, number_of_frames=1))
    images, _ = video_frames(tmp_path, rows(tmp_path)[0])
    assert (images[0] == cv2.imdecode(np.frombuffer(code, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]).all()


def test_a_cine_loop_of_another_maker_equals_another_decoder(tmp_path: Path) -> None:
    path = PYDICOM_FILES / "examples_ybr_color.dcm"
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a").write_bytes(path.read_bytes())
    run_import(tmp_path).check()
    row = rows(tmp_path)[0]
    assert row["crop"] == "84,31,236,209"
    images, times_s = video_frames(tmp_path, row)
    codes = list(generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=30))
    expected = np.stack([cv2.imdecode(np.frombuffer(code, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1] for code in codes])
    assert np.abs(images[:, 31:, 84:].astype(int) - expected[:, 31:, 84:]).mean() < 1
    assert not images[:, :31].any()
    assert not images[:, :, :84].any()
    assert times_s == pytest.approx(np.arange(30) * 0.033333, abs=0.0006)


@pytest.mark.parametrize(
    ("tags", "expected_ms"),
    [
        ({"FrameTime": 50}, [0, 50, 100, 150]),
        ({"FrameTime": None, "FrameTimeVector": [0, 10, 30, 20]}, [0, 10, 40, 60]),
        ({"FrameTime": None, "CineRate": 20}, [0, 50, 100, 150]),
        ({"FrameTime": None, "RecommendedDisplayFrameRate": 10}, [0, 100, 200, 300]),
        ({"FrameTime": 0.2}, [0, 1, 2, 3]),
        ({"FrameTime": 50, "FrameTimeVector": [0, 10, 30, 20]}, [0, 10, 40, 60]),
        ({"FrameTime": 50, "FrameTimeVector": [0, 10, 30, 20], "FrameIncrementPointer": 0x00181063}, [0, 50, 100, 150]),
        ({"FrameTime": 50, "FrameTimeVector": [0, 10, 30, 20], "FrameIncrementPointer": 0x00181065}, [0, 10, 40, 60]),
        ({"FrameTime": None, "FrameTimeVector": [10, 30, 20]}, [0, 10, 40, 60]),
        ({"FrameTime": None, "FrameTimeVector": [0, 10, 0, 20]}, [0, 10, 11, 30]),
    ],
)
def test_frame_times_come_from_the_tags(tmp_path: Path, tags: dict[str, object], expected_ms: list[int]) -> None:
    write(dicom(moving_frames(4), **tags), tmp_path / "source" / "a.dcm")
    result = run_import(tmp_path)
    _, times_s = video_frames(tmp_path, rows(tmp_path)[0])
    assert times_s == pytest.approx(np.array(expected_ms) / 1000)
    assert not {NO_TIMES, OTHER_TIMES}.intersection(result.imported[0].warnings)


@pytest.mark.parametrize(
    "tags", [{"FrameTime": 50, "FrameTimeVector": [0, 10]}, {"FrameTime": None, "FrameTimeVector": [0, 10], "CineRate": 20}]
)
def test_frame_times_that_are_elsewhere_than_stated_are_told(tmp_path: Path, tags: dict[str, object]) -> None:
    write(dicom(moving_frames(4), FrameIncrementPointer=0x00181065, **tags), tmp_path / "source" / "a.dcm")
    assert OTHER_TIMES in run_import(tmp_path).imported[0].warnings
    assert video_frames(tmp_path, rows(tmp_path)[0])[1] == pytest.approx([0, 0.05, 0.1, 0.15])


def test_assumed_frame_times_are_told(tmp_path: Path) -> None:
    write(dicom(moving_frames(4), FrameTime=None), tmp_path / "source" / "a.dcm")
    assert NO_TIMES in run_import(tmp_path).imported[0].warnings
    assert video_frames(tmp_path, rows(tmp_path)[0])[1] == pytest.approx([0, 0.04, 0.08, 0.12])


def test_only_two_dimensional_regions_stay_visible(tmp_path: Path) -> None:
    frames = moving_frames() | 1
    tag = regions(region(10, 5, 40, 30), region(50, 5, 80, 30), region(10, 40, 80, 60, spatial_format=3))
    write(dicom(frames, SequenceOfUltrasoundRegions=tag, BurnedInAnnotation=None), tmp_path / "source" / "a.dcm")
    run_import(tmp_path).check()
    images, _ = video_frames(tmp_path, rows(tmp_path)[0])
    seen = np.zeros((61, 83), bool)
    seen[5:30, 10:40] = seen[5:30, 50:80] = True
    assert (images[:, seen] == frames[:, seen]).all()
    assert not images[:, ~seen].any()
    assert rows(tmp_path)[0]["crop"] == "10,5,70,25"


@pytest.mark.slow
def test_a_planted_name_is_in_no_byte_that_comes_out(tmp_path: Path) -> None:
    frames = moving_frames(height=128, width=200)
    named = np.stack([cv2.putText(frame.copy(), "MUSTERMANN", (5, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 255, 255)) for frame in frames])
    dataset = dicom(named, SequenceOfUltrasoundRegions=regions(region(0, 30, 200, 128)), BurnedInAnnotation="YES")
    write(dataset, tmp_path / "source" / "Mustermann_Erika" / "KH-4711-0815.dcm")
    broken = dicom(named, PatientID=f"{PATIENT_ID}-2", Modality="MUSTERMANN ERIKA")
    write(broken, tmp_path / "source" / "Mustermann_Erika" / "broken.dcm")
    (tmp_path / "labels.csv").write_text("path,label\n.,normal\n")
    (tmp_path / "key").write_text(KEY)
    options = {"source": "source", "labels": "labels.csv", "key-file": "key", "destination": "out"}
    command = [sys.executable, "-m", "pipelines.cli", "import-dicom"]
    command += [part for name, place in options.items() for part in (f"--{name}", str(tmp_path / place))]
    result = subprocess.run(command, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr
    outputs = {str(path): str(path).encode() + path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {Path(name).suffix for name in outputs} >= {".mkv", ".csv"}
    secrets = [PATIENT_NAME, "Mustermann", "Erika", PATIENT_ID, "19640812", "20200401", "Klinikum", dataset.SOPInstanceUID, KEY]
    for name, content in {**outputs, "stdout": result.stdout, "stderr": result.stderr}.items():
        # The path of the test's own folder holds none of them.
        assert not [secret for secret in secrets if secret.lower().encode() in content.lower()], name
    images, _ = video_frames(tmp_path, rows(tmp_path)[0])
    assert not images[:, :30].any()
    assert (images[:, 30:] == named[:, 30:]).all()


def test_nothing_of_the_file_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    dataset = dicom(moving_frames(2), NumberOfFrames=2)
    dataset.PatientName = "x" * 70 + "Mustermann"
    write(dataset, tmp_path / "source" / "Mustermann.dcm")
    with caplog.at_level(logging.DEBUG):
        run_import(tmp_path)
    printed = capfd.readouterr()
    assert "Mustermann" not in caplog.text + printed.out + printed.err


def test_a_patient_keeps_one_group_under_one_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, patient in (("a", "P1"), ("b", "P1 "), ("c", "P2")):
        write(dicom(moving_frames(2), PatientID=patient), tmp_path / "source" / name)
    run_import(tmp_path)
    first = rows(tmp_path)
    bytes_first = [(tmp_path / "out" / row["uri"]).read_bytes() for row in first]
    assert first[0]["group"] == first[1]["group"] != first[2]["group"]
    run_import(tmp_path)
    assert rows(tmp_path) == first
    assert [(tmp_path / "out" / row["uri"]).read_bytes() for row in first] == bytes_first
    monkeypatch.setenv(KEY_VARIABLE, "another key that nobody guesses")
    run_import(tmp_path)
    assert {row["group"] for row in rows(tmp_path)}.isdisjoint({row["group"] for row in first})


def test_without_a_patient_the_study_is_the_group(tmp_path: Path) -> None:
    for name in "ab":
        write(dicom(moving_frames(2), PatientID="", StudyInstanceUID="1.2.3"), tmp_path / "source" / name)
    result = run_import(tmp_path)
    assert len({row["group"] for row in rows(tmp_path)}) == 1
    assert "names no patient" in result.to_markdown()


def test_ingest_takes_the_manifest(tmp_path: Path) -> None:
    tags = {"SequenceOfUltrasoundRegions": regions(region(10, 5, 40, 30)), "TransducerType": "CURVED LINEAR"}
    write(dicom(moving_frames(), **tags), tmp_path / "source" / "covid" / "a")
    write(dicom(moving_frames()), tmp_path / "source" / "covid" / "b")
    run_import(tmp_path, "path,label\n.,normal\ncovid,covid\ncovid/b,pneumonia\n").check()
    records = ingest_videos(str(tmp_path / "out" / "manifest.csv"), str(tmp_path / "storage")).records
    assert [(record.status, record.row.class_name, record.row.probe, record.row.crop) for record in records] == [
        (Status.STORED, "covid", "convex", (10, 5, 30, 25)),
        (Status.STORED, "pneumonia", "", (0, 0, 83, 61)),
    ]


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


def test_a_file_that_ffmpeg_does_not_take_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise av.error.InvalidDataError(1, "no")

    write(dicom(moving_frames(4)), tmp_path / "source" / "a.dcm")
    monkeypatch.setattr(av, "open", refuse)
    assert only_reason(tmp_path) == "its frames cannot be written as a video (InvalidDataError)"


def test_slow_frames_are_written(tmp_path: Path) -> None:
    write(dicom(moving_frames(2), FrameTime=3_000_000), tmp_path / "source" / "a.dcm")
    run_import(tmp_path).check()
    assert video_frames(tmp_path, rows(tmp_path)[0])[1] == [0, 3000]


def test_files_are_numbered_as_the_told_command_lists_them(tmp_path: Path) -> None:
    for name in ("a.dcm", "b.dcm"):
        write(dicom(moving_frames(2)), tmp_path / "elsewhere" / name)
    write(dicom(moving_frames(2)), tmp_path / "source" / "c.dcm")
    (tmp_path / "source" / "b.dcm").symlink_to(tmp_path / "elsewhere" / "b.dcm")
    (tmp_path / "source" / "folder").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "source" / "dangling").symlink_to(tmp_path / "absent")
    result = run_import(tmp_path)
    told = re.search("`(find .*)`", result.to_markdown())
    assert told
    listed = subprocess.run(told[1].replace("SOURCE", str(tmp_path / "source")), shell=True, capture_output=True, text=True, check=True)
    assert [Path(line).name for line in listed.stdout.splitlines()] == ["b.dcm", "c.dcm"]
    assert [outcome.number for outcome in result.outcomes] == [1, 2]


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


def test_text_that_may_be_inside_is_left_to_a_person(tmp_path: Path) -> None:
    tag = regions(region(10, 5, 40, 30))
    write(dicom(moving_frames(2), SequenceOfUltrasoundRegions=tag, BurnedInAnnotation="YES"), tmp_path / "source" / "a.dcm")
    write(dicom(moving_frames(2)), tmp_path / "source" / "b.dcm")
    result = run_import(tmp_path)
    assert [outcome.warnings for outcome in result.imported] == [(TEXT_INSIDE,), (NO_REGIONS,)]
    assert result.metrics()["num_to_look_at"] == 2
    assert TEXT_INSIDE in result.to_markdown()


def test_a_person_can_say_where_the_image_is(tmp_path: Path) -> None:
    frames = moving_frames(2) | 1
    write(dicom(frames, BurnedInAnnotation=None), tmp_path / "source" / "a.dcm")
    run_import(tmp_path, 'path,label,region\na.dcm,covid,"20,10,30,40"\n').check()
    images, _ = video_frames(tmp_path, rows(tmp_path)[0])
    assert (images[:, 10:50, 20:50] == frames[:, 10:50, 20:50]).all()
    assert np.count_nonzero(images.any(-1)) == 2 * 30 * 40


def test_the_same_instance_comes_in_once_and_unlabelled_files_not_at_all(tmp_path: Path) -> None:
    dataset = dicom(moving_frames(2))
    for name in ("in/a", "in/b", "c"):
        write(dataset, tmp_path / "source" / name)
    result = run_import(tmp_path, "path,label\nin,normal\n")
    assert [outcome.reason for outcome in result.outcomes] == ["the labels do not mention it", "", "the same instance as file 2"]
    assert len(rows(tmp_path)) == 1


def test_two_loops_with_one_uid_are_both_imported(tmp_path: Path) -> None:
    frames = moving_frames(3)
    others = {
        "b": dicom(frames, PatientID="another"),
        "c": dicom(frames[::-1]),
        "d": dicom(frames[:2]),
        "e": dicom(frames, FrameTime=80),
    }
    first = dicom(frames)
    for dataset in others.values():
        dataset.SOPInstanceUID = first.SOPInstanceUID
    for name, dataset in {"a": first, **others}.items():
        write(dataset, tmp_path / "source" / name)
    write(first, tmp_path / "source" / "f")
    result = run_import(tmp_path)
    assert [outcome.reason for outcome in result.outcomes] == [*[""] * 5, "the same instance as file 1"]
    assert [SAME_UID.format(number=1) in outcome.warnings for outcome in result.imported] == [False, True, True, True, True]
    assert len({row["video_id"] for row in rows(tmp_path)}) == 5
    assert [len(video_frames(tmp_path, row)[0]) for row in rows(tmp_path)] == [3, 3, 3, 2, 3]
    assert len({row["group"] for row in rows(tmp_path)}) == 2
    ids = [row["video_id"] for row in rows(tmp_path)]
    run_import(tmp_path)
    assert [row["video_id"] for row in rows(tmp_path)] == ids


def test_a_duplicate_in_another_transfer_syntax_is_one(tmp_path: Path) -> None:
    dataset = dicom(moving_frames(2))
    write(dataset, tmp_path / "source" / "a")
    dataset.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    write(dataset, tmp_path / "source" / "b")
    assert [outcome.reason for outcome in run_import(tmp_path).outcomes] == ["", "the same instance as file 1"]


def test_a_duplicate_with_another_label_is_told(tmp_path: Path) -> None:
    dataset = dicom(moving_frames(2))
    for name in "ab":
        write(dataset, tmp_path / "source" / name)
    outcomes = run_import(tmp_path, "path,label\na,normal\nb,covid\n").outcomes
    assert "the same instance as file 1, for which the labels say something else" in outcomes[1].reason


def test_of_two_files_with_one_uid_the_one_that_can_be_read_is_imported(tmp_path: Path) -> None:
    dataset = dicom(moving_frames(2))
    path = write(dataset, tmp_path / "source" / "a")
    path.write_bytes(path.read_bytes()[:-5000])
    write(dataset, tmp_path / "source" / "b")
    assert [bool(outcome.reason) for outcome in run_import(tmp_path).outcomes] == [True, False]


def test_lines_of_the_labels_without_a_file_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    write(dicom(moving_frames(2)), tmp_path / "source" / "in" / "a")
    result = run_import(tmp_path, "path,label\nin,normal\nMustermann,covid\nin/a,covid\nin/b,covid\n")
    told = "Line(s) 3, 5 of the labels match no file"
    assert told in result.to_markdown()
    assert told in caplog.text
    assert result.metrics()["num_labels_without_file"] == 2
    printed = capfd.readouterr()
    assert "Mustermann" not in result.to_markdown() + caplog.text + printed.out + printed.err


def test_lines_without_a_file_are_told_when_nothing_is_imported(tmp_path: Path) -> None:
    write(dicom(moving_frames(2)), tmp_path / "source" / "a")
    with pytest.raises(DataError, match=r"the labels do not mention it \(1 files\)\. Line\(s\) 2 of the labels match no file"):
        run_import(tmp_path, "path,label\nb,normal\n").check()


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_an_accent_may_be_written_in_two_ways(tmp_path: Path, form: str) -> None:
    write(dicom(moving_frames(2)), tmp_path / "source" / unicodedata.normalize(form, "José") / "a")
    for other in ("NFC", "NFD"):
        result = run_import(tmp_path, f"path,label\n{unicodedata.normalize(other, 'José')},covid\n")
        assert [outcome.row["label"] for outcome in result.outcomes] == ["covid"]
        assert not result.idle_lines


@pytest.mark.parametrize("key", ["", "short"])
def test_a_key_that_can_be_guessed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    write(dicom(moving_frames(2)), tmp_path / "source" / "a.dcm")
    monkeypatch.setenv(KEY_VARIABLE, key)
    with pytest.raises(UsageError, match="at least 16 are needed"):
        run_import(tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("file,label\na,normal\n", "lacks the column.* path; its header, line 1, has label"),
        ("path,label\na,healthy\n", "line 2: unknown label 'healthy'"),
        ("path,label,region\na,normal,all\n", "line 2: region 'all' is not a box"),
        ("path,label\n,normal\n", "line 2: path is empty"),
        ("path,label\na,normal\n./a,covid\n", "line 3: path './a' was listed before, in line 2"),
        ("path,label\nJos\u00e9,normal\nJose\u0301,covid\n", "line 3: path .* was listed before, in line 2"),
        ("path,label,label\na,normal,covid\n", "line 1: the column label is there twice"),
        ('path,label\n"a,normal\nb,covid\n', "after line 1: no CSV"),
        ("path,label\na,normal,covid\n", "line 2: it has more cells than the header"),
    ],
)
def test_wrong_labels_are_refused(tmp_path: Path, labels: str, message: str) -> None:
    write(dicom(moving_frames(2)), tmp_path / "source" / "a.dcm")
    with pytest.raises(UsageError, match=message):
        run_import(tmp_path, labels)


def test_labels_in_another_encoding_are_refused(tmp_path: Path) -> None:
    write(dicom(moving_frames(2)), tmp_path / "source" / "a.dcm")
    (tmp_path / "labels.csv").write_bytes("path,label\nMünchen,normal\n".encode("latin-1"))
    with pytest.raises(UsageError, match=r"labels\.csv', line 2: not UTF-8 text"):
        import_dicom_files(str(tmp_path / "source"), str(tmp_path / "labels.csv"), str(tmp_path / "out"))


def test_a_file_that_cannot_be_read_is_told_by_its_number_and_the_others_are_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("Mustermann.dcm", "b.dcm"):
        write(dicom(moving_frames(2)), tmp_path / "source" / name)
    real = storage.local_copy

    def refuse(uri: str) -> contextlib.AbstractContextManager[Path]:
        if "Mustermann" in uri:
            raise StorageError(f"cannot read {uri!r}")
        return real(uri)

    monkeypatch.setattr(storage, "local_copy", refuse)
    result = run_import(tmp_path)
    assert [outcome.reason for outcome in result.outcomes] == ["it cannot be read from the source", ""]
    assert "Mustermann" not in result.to_markdown()


def test_a_name_that_is_no_text_hinders_nothing(tmp_path: Path) -> None:
    path = write(dicom(moving_frames(2)), tmp_path / "source" / "a")
    os.rename(path, os.fsencode(path.parent) + b"/M\xfcller")
    run_import(tmp_path).check()


def test_a_source_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises((UsageError, StorageError), match="source"):
        run_import(tmp_path)
