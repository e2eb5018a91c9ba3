"""Promote: decides on the evidence of evaluate, publishes the version, then moves the champion pointer (layout in core.registry.champion).

The pointer moves only if it still is what the decision was made against. A promotion that loses the race is told so; its version stays.
"""

import dataclasses
import datetime
import logging
from pathlib import Path

from components.core import storage
from components.core.errors import DataError
from components.core.parameters import check_values
from components.core.registry.champion import Champion, check_kept, moved_to, read_pointer, set_champion
from components.core.registry.versions import Comparison, model_sha256, nothing_left_on_a_full_disk, publish_version, version_uri
from components.promote.decision import Decision, Rule, decide

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Promotion:
    """What was decided, on which numbers, and where the promoted version is.

    Attributes:
        decision: the outcome and its reasons.
        comparison: what was known of both models.
        rule: the limits that were applied.
        champion_before: version of the champion before, or None.
        champion_now: version of the champion afterwards, or None.
        version: the version that was published, or None.
        uri: where that version is, or None.
    """

    decision: Decision
    comparison: Comparison
    rule: Rule
    champion_before: str | None
    champion_now: str | None
    version: str | None
    uri: str | None

    def metrics(self) -> dict[str, float]:
        """Returns the numbers that the Kubeflow UI shows."""
        numbers = {
            "challenger_macro_f1": self.comparison.challenger_macro_f1,
            "champion_macro_f1": self.comparison.champion_macro_f1,
            "challenger_brier": self.comparison.challenger_brier,
            "champion_brier": self.comparison.champion_brier,
            "chance_p_value": self.comparison.chance_p_value,
            "promoted": float(self.decision.promoted),
            **dataclasses.asdict(self.rule),
        }
        return {name: value for name, value in numbers.items() if value is not None}

    def to_markdown(self) -> str:
        """Returns the decision with its reasons."""
        comparison, rule = self.comparison, self.rule
        rows = (
            ("challenger, macro-F1 per video", f"{comparison.challenger_macro_f1:.4f}{_interval(comparison.challenger_interval)}"),
            ("always the most frequent class", f"{comparison.majority_macro_f1:.4f}"),
            ("champion, macro-F1 on the same videos", _number(comparison.champion_macro_f1)),
            ("challenger, Brier score", _number(comparison.challenger_brier)),
            ("champion, Brier score", _number(comparison.champion_brier)),
            ("threshold", f"{rule.min_macro_f1:.4f}"),
            ("probability by chance", f"{comparison.chance_p_value:.4f}, allowed {rule.max_p_value:.4f}"),
            ("tolerance", f"{rule.tolerance:.4f}"),
            ("champion before", self.champion_before or "none"),
            ("champion now", self.champion_now or "none"),
        )
        lines = [*_verdict(self.decision), "", "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
        if self.uri:
            lines += ["", f"The model, its evaluation and its report are in `{self.uri}`."]
        return "\n".join(lines) + "\n"


def _verdict(decision: Decision) -> list[str]:
    return [f"# {'Promoted' if decision.promoted else 'Not promoted'}", "", *(f"- {reason}" for reason in decision.reasons)]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _interval(ends: tuple[float, float] | None) -> str:
    return f" ({ends[0]:.4f}–{ends[1]:.4f})" if ends else ""


def promote_model(model_path: Path, evaluation_path: Path, report_path: Path, storage_uri: str, rule: Rule) -> Promotion:
    """Makes a model the champion if it deserves it.

    Args:
        model_path: folder of the pruned model.
        evaluation_path: evaluation.json, from the evaluation of this very model.
        report_path: report.html, kept with the version.
        storage_uri: where the project keeps its models.
        rule: the limits of the promotion rule.

    Raises:
        UsageError: a limit is out of range.
        DataError: the evaluation is of another model, or the champion pointer is broken.
        StorageError: the storage cannot be read or written.
    """
    check_values(**dataclasses.asdict(rule))
    storage_uri = storage.absolute_uri(storage_uri)
    comparison = Comparison.read(evaluation_path)
    sha256 = model_sha256(model_path)
    if comparison.challenger_sha256 != sha256:
        raise DataError(
            f"the evaluation is of a model with sha256 {comparison.challenger_sha256[:8]}…, "
            f"but the model to promote has {sha256[:8]}…; evaluate this model first."
        )
    before, generation = read_pointer(storage_uri)
    check_kept(storage_uri, before)
    decision = _decide_against(before, sha256, comparison, rule)
    champion, version = before, None
    if decision.promoted:
        now = datetime.datetime.now(datetime.UTC)
        version = publish_version(storage_uri, model_path, evaluation_path, report_path, now, "\n".join(_verdict(decision)) + "\n")
        champion = moved_to(version, sha256, comparison.challenger_macro_f1, " ".join(decision.reasons), before)
        try:
            with nothing_left_on_a_full_disk(storage_uri, version):
                set_champion(storage_uri, champion, generation)
        except storage.ConflictError:
            champion, _ = read_pointer(storage_uri)
            decision = _lost(decision, champion, version)
    _log.info("result: %s", f"not promoted: {decision.obstacle}" if decision.obstacle else f"promoted as {version}")
    return Promotion(
        decision=decision,
        comparison=comparison,
        rule=rule,
        champion_before=before.version if before else None,
        champion_now=champion.version if champion else None,
        version=version,
        uri=version_uri(storage_uri, version) if version else None,
    )


def _lost(decision: Decision, champion: Champion | None, version: str) -> Decision:
    winner = champion.version if champion else "none"
    reason = (
        f"Another promotion came first: the champion is {winner} now. This model is kept as {version}; evaluate it against that champion."
    )
    return Decision(False, (*decision.reasons, reason), reason)


def _decide_against(champion: Champion | None, challenger_sha256: str, comparison: Comparison, rule: Rule) -> Decision:
    """Decides, unless there is nothing to decide or the champion is not the one that the challenger was compared with."""
    if champion and champion.model_sha256 == challenger_sha256:
        return _undecided(f"The model is the champion {champion.version} already (equal model.keras), so nothing changes.")
    version = champion.version if champion else None
    if version != comparison.champion_version:
        was, now = comparison.champion_version or "none", version or "none"
        return _undecided(f"The champion was {was} at the evaluation and is {now} now; evaluate again.")
    return decide(comparison, rule)


def _undecided(reason: str) -> Decision:
    return Decision(False, (reason,), reason)
