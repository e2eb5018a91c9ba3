import errno
import os
from pathlib import Path

import pytest

from components.core.files.disk_faults import sentence_about
from components.core.process import exit_with_message

FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (errno.ENOSPC, "the disk that holds '{}' is full: free some room and start again."),
        (errno.EDQUOT, "your quota on the disk that holds '{}' is used up: free some room and start again."),
        (errno.EROFS, "the disk that holds '{}' is read-only: make it writable, or give another place."),
    ],
)
def test_a_fault_of_a_disk_is_a_sentence_that_says_where_and_what_to_do(tmp_path: Path, code: int, sentence: str) -> None:
    assert sentence_about(OSError(code, "…", str(tmp_path / "a.bin"))) == sentence.format(tmp_path)
    assert sentence_about(OSError(code, "…"), tmp_path) == sentence.format(tmp_path)
    assert sentence_about(OSError(code, "…"), tmp_path / "out.partial-1a2b" / "work" / "a.bin") == sentence.format(tmp_path)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EIO])
def test_a_refusal_is_the_disks_only_where_we_write(tmp_path: Path, code: int) -> None:
    error = OSError(code, os.strerror(code), str(tmp_path / "a"))
    assert sentence_about(error) == ""
    assert os.strerror(code) in sentence_about(error, writing=True)


def test_what_wraps_a_fault_or_keeps_its_words_only_tells_it_too() -> None:
    wrapped = RuntimeError("the writer failed")
    wrapped.__cause__ = ValueError("closing failed")
    wrapped.__cause__.__context__ = FULL
    of_another_program = RuntimeError("ERROR: unable to write data")
    of_another_program.exc_info = (OSError, FULL, None)  # type: ignore[attr-defined]
    tensorflow = RuntimeError("{{function_node save}} /models/variables/part-0; No space left on device [Op:SaveV2]")
    for error in (wrapped, of_another_program, tensorflow):
        assert sentence_about(error) == "a disk of this machine is full: free some room and start again."


@pytest.mark.parametrize(
    "error",
    [FileNotFoundError(errno.ENOENT, "No such file"), OSError(errno.EFBIG, "File too large"), ConnectionResetError(), ValueError("x")],
)
def test_other_errors_are_no_faults_of_a_disk(error: Exception) -> None:
    assert sentence_about(error) == sentence_about(error, writing=True) == ""


def test_a_disk_without_inodes_is_not_called_full(make_disk) -> None:  # type: ignore[no-untyped-def]
    disk = make_disk(1 << 20, "nr_inodes=3")
    (disk.path / "a").touch()
    with pytest.raises(OSError, match="No space left") as raised:  # noqa: PT012
        for number in range(3):
            (disk.path / str(number)).touch()
    assert sentence_about(raised.value) == (
        f"the disk that holds '{disk.path}' has no inode left for another file: delete some files and start again."
    )


def test_a_step_on_a_full_disk_ends_with_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised, exit_with_message():
        raise FULL
    assert raised.value.code == 1
    assert capsys.readouterr().err == "error: a disk of this machine is full: free some room and start again.\n"
