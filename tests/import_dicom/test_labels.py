"""The table of labels: which files its lines mean, and what no table is."""

import unicodedata
from pathlib import Path

import pytest

from components.core.errors import DataError, UsageError
from components.import_dicom.importing import import_dicom_files
from tests.dicoms import dicom, moving_frames, write
from tests.import_dicom.running import run_import


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
