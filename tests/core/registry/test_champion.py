import datetime
import hashlib
import json
import re
from pathlib import Path

import pytest

from components.core import storage
from components.core.errors import DataError, StorageError
from components.core.registry.champion import Champion, read_champion, read_pointer, set_champion
from components.core.registry.versions import Comparison, model_sha256, publish_version, version_uri

AT = datetime.datetime(2026, 11, 22, 18, 59, 0, 999_999, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))
CONTENT = b"the weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
VERSION = f"20261122T175900Z-{SHA256[:8]}"


@pytest.fixture(params=["local", "gs", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "storage") if request.param == "local" else request.getfixturevalue(f"{request.param}_storage")


@pytest.fixture
def artifacts(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A model artifact, its evaluation and its report."""
    model = tmp_path / "model"
    (model / "pictures").mkdir(parents=True)
    (model / "model.keras").write_bytes(CONTENT)
    (model / "metadata.json").write_text("{}")
    (model / "pictures" / "curves.png").write_bytes(b"png")
    (tmp_path / "evaluation").write_text('{"e": 1}')
    (tmp_path / "report").write_text("<html>")
    return model, tmp_path / "evaluation", tmp_path / "report"


def names_below(uri: str) -> set[str]:
    with storage.local_folder(uri) as folder:
        return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_there_is_no_champion_at_first(root: str) -> None:
    assert read_champion(root) is None


def test_a_version_holds_the_model_its_evaluation_and_its_report(root: str, artifacts: tuple[Path, Path, Path]) -> None:
    assert publish_version(root, *artifacts, AT) == VERSION

    uri = version_uri(root, VERSION)
    assert uri == f"{root}/models/{VERSION}"
    assert names_below(uri) == {"model.keras", "metadata.json", "pictures/curves.png", "evaluation.json", "report.html", "decision.md"}
    assert storage.read_bytes(f"{uri}/model.keras") == CONTENT
    assert read_champion(root) is None, "publishing does not move the pointer"


def test_the_pointer_is_read_back_and_replaced(root: str, artifacts: tuple[Path, Path, Path]) -> None:
    version = publish_version(root, *artifacts, AT)
    later = publish_version(root, *artifacts, AT + datetime.timedelta(seconds=1))
    first = Champion(version, SHA256, 0.625, "2026-11-22T17:59:00+00:00")
    second = Champion(later, SHA256, 0.75, "2026-11-22T17:59:01+00:00")

    set_champion(root, first)
    assert read_champion(root) == first
    set_champion(root, second, read_pointer(root)[1])
    assert read_champion(root) == second
    assert names_below(f"{root}/models/{version}") == names_below(f"{root}/models/{later}"), "earlier versions are kept"


def test_a_pointer_to_a_deleted_version_is_an_error_that_names_it(root: str) -> None:
    set_champion(root, Champion(VERSION, SHA256, 0.6, "2026-11-22T17:59:00+00:00"))
    with pytest.raises(DataError, match=re.escape(VERSION) + ".*is not there"):
        read_champion(root)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"\xff", b'{"version": "x"}', json.dumps(Champion("../../other", SHA256, 1.0, "").__dict__).encode()]
)
def test_a_broken_pointer_is_an_error_that_names_the_file(root: str, content: bytes) -> None:
    storage.write_bytes(f"{root}/models/champion.json", content)
    with pytest.raises(DataError, match=r"champion\.json"):
        read_champion(root)


def test_metadata_is_written_last_so_that_a_version_cut_short_is_no_version(
    tmp_path: Path, artifacts: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = storage.put_file

    def refuse_the_last(local_path: Path, uri: str) -> None:
        if uri.endswith("metadata.json"):
            raise StorageError("refused")
        real(local_path, uri)

    monkeypatch.setattr(storage, "put_file", refuse_the_last)
    with pytest.raises(StorageError):
        publish_version(str(tmp_path / "storage"), *artifacts, AT)
    assert names_below(version_uri(str(tmp_path / "storage"), VERSION)) == {
        "model.keras",
        "pictures/curves.png",
        "evaluation.json",
        "report.html",
        "decision.md",
    }


def test_a_storage_that_cannot_be_written_is_a_storage_error(tmp_path: Path, artifacts: tuple[Path, Path, Path]) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot write"):
        publish_version(str(tmp_path / "file"), *artifacts, AT)


def test_a_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"model\.keras .*; give what train or prune wrote"):
        model_sha256(tmp_path)


def test_a_comparison_is_read_from_an_evaluation(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    comparison = Comparison(SHA256, 0.7, (0.5, 0.8), 0.001, 0.2, VERSION, 0.6, (-0.1, 0.3), "")
    path.write_text(json.dumps({"comparison": comparison.__dict__, "models": {}}))
    assert Comparison.read(path) == comparison


@pytest.mark.parametrize("text", ["", "{}", '{"comparison": {"challenger_macro_f1": 1}}', "[]"])
def test_what_is_not_an_evaluation_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "evaluation.json"
    path.write_text(text)
    with pytest.raises(DataError, match="give the output of evaluate"):
        Comparison.read(path)
