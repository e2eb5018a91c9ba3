"""From a folder of DICOM files to de-identified videos and their manifest."""

import contextlib
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pydicom
import pytest
from pydicom.encaps import generate_frames
from pydicom.uid import (
    RLELossless,
)

from components.core import storage
from components.core.errors import StorageError, UsageError
from components.core.records.video_records import Status
from components.import_dicom.cine import NO_TIMES, OTHER_TIMES
from components.import_dicom.deidentification import KEY_VARIABLE
from components.import_dicom.importing import NO_REGIONS, SAME_UID, TEXT_INSIDE
from components.ingest.ingest import ingest_videos
from tests.dicoms import FORMS, PATIENT_ID, PATIENT_NAME, PYDICOM_FILES, dicom, moving_frames, region, regions, write
from tests.import_dicom.running import KEY, only_reason, rows, run_import, video_frames


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
    command = [sys.executable, "-m", "pipelines", "import-dicom"]
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


@pytest.mark.parametrize("key", ["", "short"])
def test_a_key_that_can_be_guessed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    write(dicom(moving_frames(2)), tmp_path / "source" / "a.dcm")
    monkeypatch.setenv(KEY_VARIABLE, key)
    with pytest.raises(UsageError, match="at least 16 are needed"):
        run_import(tmp_path)
    assert not (tmp_path / "out").exists()


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
