import errno
import os
from pathlib import Path

import pytest

from components.core import storage
from components.core.errors import DiskError, StorageError, UsageError
from components.core.files.outputs import staged_folder
from components.core.storage.small_objects import ABSENT


@pytest.fixture(params=["local", "gs", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "storage") if request.param == "local" else request.getfixturevalue(f"{request.param}_storage")


def test_what_is_written_is_read_back(root: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"\x00video")
    storage.write_bytes(storage.join(root, "a", "small.json"), b"{}")
    storage.put_file(source, storage.join(root, "a", "large.bin"))

    assert storage.read_bytes(storage.join(root, "a", "small.json")) == b"{}"
    with storage.local_copy(storage.join(root, "a", "large.bin")) as copy:
        assert copy.read_bytes() == b"\x00video"
    assert storage.exists(storage.join(root, "a", "small.json"))
    assert not storage.exists(storage.join(root, "b"))


def test_writing_again_replaces(root: str) -> None:
    uri = storage.join(root, "pointer.json")
    storage.write_bytes(uri, b"old and long")
    storage.write_bytes(uri, b"new")
    assert storage.read_bytes(uri) == b"new"


def test_a_write_on_condition_succeeds_on_what_was_read_and_on_nothing_else(root: str) -> None:
    uri = storage.join(root, "folder", "pointer.json")
    assert storage.read_with_generation(uri) == (b"", ABSENT)
    storage.write_if_unchanged(uri, b"first", ABSENT)
    data, generation = storage.read_with_generation(uri)
    assert data == b"first"
    with pytest.raises(storage.ConflictError, match=r"pointer\.json' was written by somebody else"):
        storage.write_if_unchanged(uri, b"again", ABSENT)
    storage.write_if_unchanged(uri, b"second", generation)
    with pytest.raises(storage.ConflictError):
        storage.write_if_unchanged(uri, b"third", generation)
    assert storage.read_with_generation(uri)[0] == b"second"


def test_a_write_whose_answer_was_lost_is_no_conflict_with_itself(root: str) -> None:
    uri = storage.join(root, "pointer.json")
    storage.write_if_unchanged(uri, b"mine", ABSENT)
    storage.write_if_unchanged(uri, b"mine", ABSENT)
    assert storage.read_bytes(uri) == b"mine"


def test_a_writable_storage_is_left_as_it_was(root: str) -> None:
    storage.write_bytes(storage.join(root, "kept"), b"")
    storage.check_writable(root)
    assert [path.name for path in storage.path_of(root).iterdir()] == ["kept"]


def test_put_folder_and_local_folder_are_inverse(root: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a").write_text("a")
    (folder / "mark").write_text("m")
    storage.put_folder(folder, storage.join(root, "copy"), last="mark")
    with storage.local_folder(storage.join(root, "copy")) as copy:
        content = {path.relative_to(copy).as_posix(): path.read_text() for path in copy.rglob("*") if path.is_file()}
    assert content == {"deep/a": "a", "mark": "m"}


def test_reading_what_is_absent_is_one_sentence(root: str) -> None:
    uri = storage.join(root, "absent")
    with pytest.raises(StorageError, match="cannot read") as raised:
        storage.read_bytes(uri)
    assert "absent" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_storage_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write to storage"):
        storage.check_writable(str(tmp_path / "file" / "storage"))


@pytest.mark.parametrize("scheme", ["gs", "s3"])
def test_a_bucket_that_does_not_exist_cannot_be_written(scheme: str, request: pytest.FixtureRequest) -> None:
    with pytest.raises(StorageError, match="cannot write to storage"):
        storage.check_writable(f"{request.getfixturevalue(f'{scheme}_storage')}-absent/folder")


def test_a_file_is_moved(root: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"video")
    storage.move_file(source, storage.join(root, "new", "a.bin"))
    assert storage.read_bytes(storage.join(root, "new", "a.bin")) == b"video"
    source.write_bytes(b"other")
    storage.move_file(source, storage.join(root, "new", "b.bin"))
    assert storage.read_bytes(storage.join(root, "new", "b.bin")) == b"other"
    assert not source.exists()


def test_a_large_file_arrives_whole(root: str, tmp_path: Path) -> None:
    """Larger than what the cloud libraries send in one request."""
    content = bytes(range(256)) * 40_000
    (tmp_path / "source").write_bytes(content)
    storage.put_file(tmp_path / "source", storage.join(root, "large.bin"))
    with storage.local_copy(storage.join(root, "large.bin")) as copy:
        assert copy.read_bytes() == content


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("ftp://host/file", "has an unsupported scheme"),
        ("hdfs://x", "has an unsupported scheme"),
        ("", "is empty"),
        ("gs://", "names no bucket"),
        ("s3:///folder", "names no bucket"),
        ("gs://[x/y", "cannot be understood"),
    ],
)
def test_uris_that_name_no_storage_are_refused(uri: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        storage.path_of(uri)


def test_a_staged_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "dataset"
    with pytest.raises(RuntimeError), staged_folder(target) as staged:  # noqa: PT012
        (staged / "half").write_text("")
        assert not target.exists()
        raise RuntimeError
    assert os.listdir(tmp_path) == []

    with staged_folder(target) as staged:
        (staged / "whole").write_text("")
    assert os.listdir(target) == ["whole"]


def test_a_staged_folder_does_not_replace_content(tmp_path: Path) -> None:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "precious").write_text("")
    with pytest.raises(StorageError, match="dataset' has content already"), staged_folder(tmp_path / "dataset"):
        pytest.fail("hours of work would be lost at the end of the block")
    assert os.listdir(tmp_path / "dataset") == ["precious"]
    with pytest.raises(StorageError), staged_folder(tmp_path / "dataset" / "precious"):
        pytest.fail("a file is in the way")
    assert os.listdir(tmp_path) == ["dataset"]


def test_a_staged_folder_that_cannot_take_its_place_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "old").write_text("precious")
    replace = os.replace

    def refuse_new(source: Path, target: Path) -> None:
        if ".partial-" in str(source):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse_new)
    with pytest.raises(DiskError, match="set' may not be written"), staged_folder(tmp_path / "set", replace=True) as staged:
        (staged / "new").write_text("")
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["set", "set/old"]


def test_a_staged_folder_replaces_content_when_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "old").write_text("")
    with staged_folder(tmp_path / "set", replace=True) as staged:
        (staged / "new").write_text("")
    assert os.listdir(tmp_path / "set") == ["new"]


def test_a_new_file_appears_whole_or_not_at_all(root: str) -> None:
    uri = storage.join(root, "folder", "a.bin")
    full = pytest.raises(
        DiskError, match=r"^(a disk of this machine|the disk that holds '.*folder') is full: free some room and start again\.$"
    )
    with full, storage.new_file(uri) as path:
        path.write_bytes(b"a part")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not storage.exists(uri)
    with storage.new_file(uri) as path:
        path.write_bytes(b"all")
    assert storage.read_bytes(uri) == b"all"
