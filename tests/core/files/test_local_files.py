"""Where files are written: through links, into pipes and devices, line by line, and under names as the disk spells them."""

import errno
import os
import stat
import subprocess
import sys
import threading
import unicodedata
from pathlib import Path

import pytest

from components.core import storage
from components.core.errors import DataError, DiskError
from components.core.files.local_files import as_spelled
from components.core.files.outputs import growing_file, staged_folder, written_aside


def test_a_link_as_the_target_stays_and_what_it_points_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "old").write_text("old")
    for target in ("old", "not there yet"):
        link = tmp_path / f"link to {target}"
        link.symlink_to(Path("far", target))
        storage.write_bytes(link, b"new")
        assert link.is_symlink()
        assert (tmp_path / "far" / target).read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path / "far")) == ["not there yet", "old"]


def test_a_link_to_an_empty_folder_is_filled_through(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to("far")
    with staged_folder(tmp_path / "link") as staged:
        (staged / "a").touch()
    assert (tmp_path / "link").is_symlink()
    assert os.listdir(tmp_path / "far") == ["a"]


def test_a_pipe_gets_what_is_written_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_bytes()))
    reader.start()
    with written_aside(pipe) as aside:
        aside.write_bytes(b"all")
    reader.join(10)
    assert heard == [b"all"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert os.listdir(tmp_path) == ["pipe"]


def test_the_null_device_stays_one() -> None:
    storage.write_bytes("/dev/null", b"nothing")
    with growing_file(Path("/dev/null")) as add:
        add(b"nothing")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_stdout_as_the_target_goes_on_behind_what_was_written_to_it(tmp_path: Path) -> None:
    """Even when it is a file: opened by its name, it would begin anew."""
    code = (
        "from pathlib import Path; from components.core.files.outputs import growing_file\n"
        "print('before')\n"
        "with growing_file(Path('/dev/stdout')) as add: add(b'a line\\n')\n"
        "print('after')"
    )
    with (tmp_path / "out").open("wb") as file:
        subprocess.run([sys.executable, "-c", code], stdout=file, check=True)
    assert (tmp_path / "out").read_text() == "before\na line\nafter\n"


def test_a_growing_file_is_there_line_by_line_and_appears_at_the_end(tmp_path: Path) -> None:
    with growing_file(tmp_path / "out.jsonl") as add:
        add(b"1\n")
        (partial,) = tmp_path.iterdir()
        assert partial.name.startswith("out.jsonl.partial-")
        assert partial.read_bytes() == b"1\n"
        add(b"2\n")
        assert partial.read_bytes() == b"1\n2\n"
    assert os.listdir(tmp_path) == ["out.jsonl"]
    assert (tmp_path / "out.jsonl").read_bytes() == b"1\n2\n"


def test_what_grew_before_a_failure_is_kept_and_the_error_says_where(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("of an earlier run")
    with pytest.raises(DataError) as raised, growing_file(tmp_path / "out") as add:  # noqa: PT012
        add(b"1\n")
        raise DataError("the model is broken; train again.")
    (partial,) = set(tmp_path.iterdir()) - {tmp_path / "out"}
    assert str(raised.value) == f"the model is broken; train again; what was done before is kept in '{partial}'."
    assert partial.read_bytes() == b"1\n"
    assert (tmp_path / "out").read_text() == "of an earlier run"


def test_a_failure_before_the_first_line_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^broken\.$"), growing_file(tmp_path / "out"):
        raise DataError("broken.")
    assert os.listdir(tmp_path) == []


def test_a_process_that_is_killed_leaves_its_lines(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from components.core.files.outputs import growing_file\n"
        "with growing_file(Path(sys.argv[1])) as add:\n"
        "    add(b'1\\n'); add(b'2\\n'); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "out")]).returncode == -9
    (partial,) = tmp_path.iterdir()
    assert partial.read_bytes() == b"1\n2\n"


def test_a_full_disk_keeps_whole_lines_only(make_disk) -> None:  # type: ignore[no-untyped-def]
    disk = make_disk(1 << 20)
    disk.fill(left_bytes=8192)
    line = b"x" * 2999 + b"\n"
    with pytest.raises(DiskError, match=r"is full: free some room and start again; what was done before is kept in"):  # noqa: PT012, SIM117
        with growing_file(disk.path / "out") as add:
            for _ in range(10):
                add(line)
    (name,) = disk.files()
    assert (disk.path / name).read_bytes() == 2 * line


@pytest.mark.parametrize("operation", ["write", "put", "stage", "create"])
def test_a_read_only_disk_is_said_in_a_sentence(make_disk, tmp_path: Path, operation: str) -> None:  # type: ignore[no-untyped-def]
    disk = make_disk(1 << 20)
    disk.remount("ro")
    (tmp_path / "source").write_bytes(b"x")
    with pytest.raises(DiskError, match=rf"^the disk that holds '{disk.path}' is read-only: make it writable, or give another place\.$"):  # noqa: PT012
        if operation == "write":
            storage.write_bytes(disk.path / "a", b"x")
        elif operation == "put":
            storage.put_file(tmp_path / "source", str(disk.path / "a"))
        elif operation == "create":
            storage.check_writable(str(disk.path))
        else:
            with staged_folder(disk.path / "a"):
                pytest.fail("it cannot be made")


def test_a_full_disk_of_temporary_files_is_not_taken_for_the_one_that_is_written_to(make_disk, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(OSError, match="No space left"), staged_folder(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")
    disk = make_disk(1 << 20)
    disk.fill()
    with pytest.raises(DiskError, match=f"that holds '{disk.path}' is full"), staged_folder(disk.path / "out") as staged:
        (staged / "a").write_bytes(b"x" * 10_000)
    assert disk.files() == []


def test_a_name_is_found_in_either_normal_form_of_unicode(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "José/Müller é.mp4") for form in ("NFC", "NFD"))
    half = unicodedata.normalize("NFD", "José") + "/" + unicodedata.normalize("NFC", "Müller é.mp4")
    (tmp_path / half).parent.mkdir()
    (tmp_path / half).touch()
    for name in (composed, decomposed, half):
        assert as_spelled(tmp_path / name) == tmp_path / half
    assert as_spelled(tmp_path / "José/absent é.mp4") == tmp_path / "José/absent é.mp4"


def test_of_two_names_that_look_alike_each_is_itself(tmp_path: Path) -> None:
    names = [unicodedata.normalize(form, "é") for form in ("NFC", "NFD")]
    for name in names:
        (tmp_path / name).touch()
    assert [as_spelled(tmp_path / name).name for name in names] == names
