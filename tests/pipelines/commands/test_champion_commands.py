"""`lus champion` as a user types it."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from components.core import storage
from components.core.errors import StorageError
from components.core.registry.champion import moved_to, read_champion, read_pointer, set_champion
from components.core.registry.versions import model_sha256, publish_version
from pipelines.commands.main import main
from tests.comparisons import convincing_comparison


@pytest.fixture(params=["local", "gs"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "storage") if request.param == "local" else request.getfixturevalue("gs_storage")


def lus(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["champion", *arguments])


def publish(root: str, folder: Path, content: str, day: int, macro_f1: float) -> str:
    model = folder / content
    model.mkdir(parents=True)
    (model / "model.keras").write_text(content)
    metadata = {
        "kind": "pruned",
        "class_names": ["covid", "pneumonia", "normal"],
        "dataset_fingerprint": f"{day:064d}",
        "code_revision": "c0de",
        "parameters": {"sparsity": 0.8},
        "results": {},
    }
    (model / "metadata.json").write_text(json.dumps(metadata))
    comparison = convincing_comparison(model_sha256(model), macro_f1)
    (folder / "evaluation").write_text(json.dumps({"comparison": comparison}))
    (folder / "report").write_text("<html>")
    at = datetime(2026, 1, day, 12, 30, tzinfo=UTC)
    return publish_version(root, model, folder / "evaluation", folder / "report", at, f"# Promoted\n\n- {content} is good.\n")


def crown(root: str, version: str, macro_f1: float) -> None:
    before, generation = read_pointer(root)
    set_champion(root, moved_to(version, "0" * 64, macro_f1, f"{version} won.", before), generation)


@pytest.fixture
def versions(root: str, tmp_path: Path) -> list[str]:
    """Three versions: the first one was the champion, the second one is, the third one lost a race."""
    names = [publish(root, tmp_path / "models", content, day, 0.5 + day / 16) for day, content in enumerate(["a", "b", "c"], start=1)]
    crown(root, names[0], 0.5625)
    crown(root, names[1], 0.625)
    return names


def test_list_shows_every_version_and_which_is_in_use(root: str, versions: list[str]) -> None:
    header, *rows = lus("list", "--storage", root).output.splitlines()
    assert header.split()[:3] == ["version", "published", "macro-F1"]
    assert [row.split()[0] for row in rows] == versions[::-1]
    assert "2026-01-02 12:30  0.625     0.500–0.750    000000000000  champion since" in rows[1]
    assert "was champion" in rows[2]
    assert "another promotion came first" in rows[0]


def test_show_tells_why_the_champion_was_promoted(root: str, versions: list[str]) -> None:
    shown = lus("show", "--storage", root).output
    assert versions[1] in shown
    assert f"{versions[1]} won." in shown
    assert "- b is good." in shown
    assert "- c is good." in lus("show", "--storage", root, versions[2]).output


def test_rollback_goes_back_and_keeps_the_reason(root: str, versions: list[str]) -> None:
    result = lus("rollback", "--storage", root, "--reason", "it missed a case")
    assert result.output == f"the champion is {versions[0]} now; it was {versions[1]}\n"
    champion = read_champion(root)
    assert champion is not None
    assert (champion.version, champion.macro_f1) == (versions[0], 0.5625)
    assert [change.version for change in champion.history] == [versions[0], versions[1], versions[0]]
    assert champion.history[-1].reason == "rolled back: it missed a case"
    assert lus("rollback", "--storage", root, "--reason", "no, it did not").exit_code == 0
    assert read_champion(root).version == versions[1]  # type: ignore[union-attr]


def test_a_pointer_to_a_deleted_version_is_told_and_mended(tmp_path: Path) -> None:
    root = str(tmp_path / "storage")
    names = [publish(root, tmp_path / "models", content, day, 0.6) for day, content in enumerate(["a", "b"], start=1)]
    for name in names:
        crown(root, name, 0.6)
    shutil.rmtree(tmp_path / "storage" / "models" / names[1])
    assert f"the champion {names[1]} is not there" in lus("list", "--storage", root).output
    assert lus("rollback", "--storage", root, "--reason", "lost").exit_code == 0
    assert read_champion(root).version == names[0]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (("show", "20260101T000000Z-00000000"), 2, "there is no version '20260101T000000Z-00000000'"),
        (("rollback", "--reason", "x", "../../etc"), 2, "there is no version '../../etc'"),
        (("rollback", "--reason", "x"), 1, "no other champion before"),
        (("show",), 2, "there is no champion"),
        (("rollback",), 2, "--reason"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(tmp_path: Path, arguments: tuple[str, ...], exit_code: int, message: str) -> None:
    (tmp_path / "storage").mkdir()
    result = lus(*arguments, "--storage", str(tmp_path / "storage"))
    assert result.exit_code == exit_code
    assert message in result.output
    assert "Traceback" not in result.output


def test_rolling_back_to_the_champion_itself_is_refused(root: str, versions: list[str]) -> None:
    result = lus("rollback", "--storage", root, "--reason", "x", versions[1])
    assert result.exit_code == 2
    assert "is the champion already" in result.output


def test_an_empty_storage_has_no_version(root: str) -> None:
    if not root.startswith("gs"):
        Path(root).mkdir()
    assert lus("list", "--storage", root).output.startswith("no version in")


@pytest.mark.parametrize("arguments", [("list",), ("show",), ("rollback", "--reason", "x")])
def test_a_mistyped_storage_is_no_empty_one(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    result = lus(*arguments, "--storage", str(tmp_path / "storrage"))
    assert result.exit_code == 2
    assert f"there is no storage '{tmp_path}/storrage'; give the one that runs were started with." in result.output


def test_a_storage_that_refuses_a_file_is_not_one_without_it(root: str, versions: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Who rolls back would else write a champion without a score, and a decision that cannot be read would look like none."""
    read_bytes = storage.read_bytes

    def refuse(uri: str) -> bytes:
        if uri.endswith(("evaluation.json", "decision.md")):
            raise StorageError(f"cannot read {uri!r}: HTTP status 403")
        return read_bytes(uri)

    monkeypatch.setattr(storage, "read_bytes", refuse)
    for arguments in (("show", versions[0]), ("rollback", "--reason", "x")):
        result = lus(*arguments, "--storage", root)
        assert (result.exit_code, "HTTP status 403" in result.output) == (1, True)
    champion, _ = read_pointer(root)
    assert champion is not None
    assert champion.version == versions[1]


def test_an_unsupported_storage_is_a_sentence() -> None:
    result = lus("list", "--storage", "ftp://host/models")
    assert result.exit_code == 2
    assert "unsupported scheme" in result.output
