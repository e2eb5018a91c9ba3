import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from components.core import storage
from components.core.errors import DataError, StorageError, UsageError
from components.core.registry.champion import read_champion
from components.core.registry.versions import list_versions, version_uri
from components.promote.component import promote
from components.promote.decision import Rule
from components.promote.promote import Promotion, promote_model
from tests.outages import LOST_ANSWER, RESET, Proxy

VERSION = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")


@pytest.fixture(params=["local", "gs", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "storage") if request.param == "local" else request.getfixturevalue(f"{request.param}_storage")


class Challenger:
    """A pruned model, and the evaluation and report that belong to it."""

    def __init__(
        self,
        folder: Path,
        content: bytes,
        macro_f1: float,
        champion: str | None = None,
        champion_macro_f1: float | None = None,
        difference_interval: tuple[float, float] | None = None,
        remark: str = "",
        champion_brier: float | None = None,
    ) -> None:
        self.model, self.evaluation, self.report = folder / "model", folder / "evaluation", folder / "report"
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.model.mkdir(parents=True)
        (self.model / "model.keras").write_bytes(content)
        (self.model / "metadata.json").write_text("{}")
        self.report.write_text("<html>")
        comparison = {
            "challenger_sha256": self.sha256,
            "challenger_macro_f1": macro_f1,
            "challenger_interval": (macro_f1 - 0.1, macro_f1 + 0.1),
            "chance_p_value": 0.001,
            "majority_macro_f1": 0.22,
            "champion_version": champion,
            "champion_macro_f1": champion_macro_f1,
            "difference_interval": difference_interval,
            "remark": remark,
            "challenger_brier": 0.5,
            "champion_brier": champion_brier,
        }
        self.evaluation.write_text(json.dumps({"comparison": comparison}))

    def promote(self, storage_uri: str, min_macro_f1: float = 0.5, tolerance: float = 0.0, max_p_value: float = 0.05) -> Promotion:
        return promote_model(self.model, self.evaluation, self.report, storage_uri, Rule(min_macro_f1, tolerance, max_p_value))


def test_the_first_model_above_the_threshold_becomes_the_champion(root: str, tmp_path: Path) -> None:
    challenger = Challenger(tmp_path / "a", b"a", 0.63)
    promotion = challenger.promote(root)

    champion = read_champion(root)
    assert promotion.decision.promoted
    assert champion is not None
    assert (champion.version, champion.macro_f1, champion.model_sha256) == (promotion.version, 0.63, challenger.sha256)
    assert VERSION.fullmatch(champion.version)
    assert champion.version.endswith(challenger.sha256[:8])
    uri = version_uri(root, champion.version)
    assert storage.read_bytes(storage.join(uri, "evaluation.json")) == challenger.evaluation.read_bytes()
    assert b"reaches the threshold" in storage.read_bytes(storage.join(uri, "decision.md"))
    assert [change.version for change in champion.history] == [champion.version]


def test_a_promotion_rides_out_faults_of_the_storage_and_moves_the_pointer_once(tmp_path: Path, s3_storage: str, s3_proxy: Proxy) -> None:
    first = Challenger(tmp_path / "a", b"a", 0.63).promote(s3_storage)
    s3_proxy.faults.extend([RESET, LOST_ANSWER, None, 503] * 8)
    second = Challenger(tmp_path / "b", b"b", 0.66, champion=first.version, champion_macro_f1=0.64, champion_brier=0.5).promote(s3_storage)
    s3_proxy.faults.clear()
    assert second.decision.promoted
    champion = read_champion(s3_storage)
    assert champion is not None
    assert [change.version for change in champion.history] == [first.version, second.version]
    assert list_versions(s3_storage) == sorted([first.version or "", second.version or ""])


def test_a_promotion_whose_pointer_was_written_though_the_answer_was_lost_has_won(
    tmp_path: Path, s3_storage: str, s3_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = storage.write_if_unchanged

    def write_without_answer(*arguments: Any) -> None:
        s3_proxy.faults.append(LOST_ANSWER)
        write(*arguments)

    monkeypatch.setattr(storage, "write_if_unchanged", write_without_answer)
    promotion = Challenger(tmp_path / "a", b"a", 0.63).promote(s3_storage)
    assert promotion.decision.promoted
    assert promotion.champion_now == promotion.version


def test_a_model_below_the_threshold_leaves_nothing_in_storage(root: str, tmp_path: Path) -> None:
    promotion = Challenger(tmp_path / "a", b"a", 0.21).promote(root)
    assert not promotion.decision.promoted
    assert promotion.metrics()["promoted"] == 0
    assert not storage.exists(storage.join(root, "models"))


def test_a_better_model_replaces_the_champion_and_the_earlier_version_stays(root: str, tmp_path: Path) -> None:
    first = Challenger(tmp_path / "a", b"a", 0.63).promote(root)
    second = Challenger(tmp_path / "b", b"b", 0.66, champion=first.version, champion_macro_f1=0.64, champion_brier=0.5).promote(root)

    champion = read_champion(root)
    assert champion is not None
    assert champion.version == second.version
    assert second.champion_before == first.version
    assert storage.exists(storage.join(version_uri(root, first.version), "model.keras"))


def test_a_worse_model_does_not_replace_the_champion_unless_tolerated(root: str, tmp_path: Path) -> None:
    first = Challenger(tmp_path / "a", b"a", 0.63).promote(root)
    worse = Challenger(tmp_path / "b", b"b", 0.66, first.version, 0.68, difference_interval=(-0.05, -0.02), champion_brier=0.6)

    assert not worse.promote(root, tolerance=0.01).decision.promoted
    assert read_champion(root).version == first.version  # type: ignore[union-attr]
    assert worse.promote(root, tolerance=0.03).decision.promoted


def test_a_model_farther_from_the_truth_does_not_replace_the_champion(root: str, tmp_path: Path) -> None:
    first = Challenger(tmp_path / "a", b"a", 0.63).promote(root)
    farther = Challenger(tmp_path / "b", b"b", 0.66, first.version, 0.64, difference_interval=(-0.1, 0.14), champion_brier=0.4).promote(
        root
    )
    assert not farther.decision.promoted
    assert read_champion(root).version == first.version  # type: ignore[union-attr]
    assert "is told from it in about three comparisons of four" in farther.to_markdown()


def test_the_champion_itself_changes_nothing(root: str, tmp_path: Path) -> None:
    first = Challenger(tmp_path / "a", b"a", 0.63).promote(root)
    before = storage.read_bytes(storage.join(root, "models", "champion.json"))
    again = Challenger(tmp_path / "again", b"a", 0.63, champion=first.version, champion_macro_f1=0.63).promote(root)

    assert not again.decision.promoted
    assert "champion" in again.decision.reasons[0]
    assert storage.read_bytes(storage.join(root, "models", "champion.json")) == before
    assert list_versions(root) == [first.version]


def test_a_champion_that_changed_since_the_evaluation_is_not_replaced(root: str, tmp_path: Path) -> None:
    stale = Challenger(tmp_path / "b", b"b", 0.9)
    first = Challenger(tmp_path / "a", b"a", 0.63).promote(root)
    promotion = stale.promote(root)

    assert not promotion.decision.promoted
    assert promotion.decision.reasons == (f"The champion was none at the evaluation and is {first.version} now; evaluate again.",)
    assert read_champion(root).version == first.version  # type: ignore[union-attr]


def test_a_champion_that_could_not_be_compared_leaves_it_to_the_threshold_and_says_why(root: str, tmp_path: Path) -> None:
    first = Challenger(tmp_path / "a", b"a", 0.63).promote(root)
    remark = "The champion knows other classes."
    promotion = Challenger(tmp_path / "b", b"b", 0.55, champion=first.version, remark=remark).promote(root)

    assert promotion.decision.promoted
    assert remark in promotion.to_markdown()


def test_an_evaluation_of_another_model_is_refused(root: str, tmp_path: Path) -> None:
    challenger = Challenger(tmp_path / "a", b"a", 0.63)
    (challenger.model / "model.keras").write_bytes(b"another")
    with pytest.raises(DataError, match="evaluate this model first"):
        challenger.promote(root)
    assert not storage.exists(storage.join(root, "models"))


@pytest.mark.parametrize(
    ("name", "value"),
    [("min_macro_f1", 1.2), ("min_macro_f1", -0.1), ("tolerance", 2.0), ("tolerance", float("nan")), ("max_p_value", -1.0)],
)
def test_parameters_out_of_range_are_refused(tmp_path: Path, name: str, value: float) -> None:
    with pytest.raises(UsageError, match=name):
        Challenger(tmp_path / "a", b"a", 0.63).promote(str(tmp_path / "storage"), **{name: value})


def test_a_storage_that_refuses_the_write_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "storage").write_text("a file")
    with pytest.raises(StorageError):
        Challenger(tmp_path / "a", b"a", 0.63).promote(str(tmp_path / "storage"))


@pytest.mark.parametrize("scheme", ["gs", "s3"])
def test_a_bucket_that_refuses_the_write_is_a_storage_error(scheme: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    root = request.getfixturevalue(f"{scheme}_storage") + "-absent"
    with pytest.raises(StorageError, match=r"cannot (read|write) '.*-absent/models/"):
        Challenger(tmp_path / "a", b"a", 0.63).promote(root)


def test_a_pointer_that_refuses_the_write_stays_and_the_version_is_kept(tmp_path: Path) -> None:
    root = tmp_path / "storage"
    (root / "models" / ".champion.json.lock").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"cannot write '.*champion\.json'"):
        Challenger(tmp_path / "a", b"a", 0.63).promote(str(root))
    assert read_champion(str(root)) is None
    assert len(list_versions(str(root))) == 1


def test_the_pointer_does_not_move_when_publishing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise StorageError("refused")

    monkeypatch.setattr(storage, "put_folder", refuse)
    with pytest.raises(StorageError):
        Challenger(tmp_path / "a", b"a", 0.63).promote(str(tmp_path / "storage"))
    assert read_champion(str(tmp_path / "storage")) is None


def run_step(challenger: Challenger, tmp_path: Path, **parameters: Any) -> tuple[str, dict[str, Any]]:
    decision, metrics = dsl.Markdown(uri=str(tmp_path / "decision")), dsl.Metrics()
    promote.python_func(
        model=dsl.Model(uri=str(challenger.model)),
        evaluation=dsl.Artifact(uri=str(challenger.evaluation)),
        report=dsl.HTML(uri=str(challenger.report)),
        decision=decision,
        metrics=metrics,
        **parameters,
    )
    return Path(decision.path).read_text(), metrics.metadata


def test_the_step_writes_its_decision_with_the_reasons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    challenger = Challenger(tmp_path / "a", b"a", 0.63)
    text, metrics = run_step(challenger, tmp_path, storage=str(tmp_path / "storage"))

    champion = read_champion(str(tmp_path / "storage"))
    assert champion is not None
    assert text.startswith("# Promoted\n")
    assert champion.version in text
    assert "reaches the threshold of 0.5000" in text
    limits = {"min_macro_f1": 0.5, "tolerance": 0.0, "max_p_value": 0.05}
    assert metrics == {"challenger_macro_f1": 0.63, "challenger_brier": 0.5, "chance_p_value": 0.001, "promoted": 1.0, **limits}
    assert text in capsys.readouterr().out


def test_the_step_succeeds_when_it_does_not_promote(tmp_path: Path) -> None:
    text, metrics = run_step(Challenger(tmp_path / "a", b"a", 0.33), tmp_path, storage=str(tmp_path / "storage"))
    assert text.startswith("# Not promoted\n")
    assert metrics["promoted"] == 0.0


def test_the_step_ends_with_one_sentence_and_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_step(Challenger(tmp_path / "a", b"a", 0.63), tmp_path, storage=str(tmp_path / "storage"), min_macro_f1=1.2)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: min_macro_f1 must be at least 0 and at most 1, got 1.2.\n"
