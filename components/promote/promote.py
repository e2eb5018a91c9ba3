"""Promote: decides on the evidence of evaluate, publishes the version, then moves the champion pointer (layout in core.champion)."""

import dataclasses
import datetime
from pathlib import Path

from components.core import storage
from components.core.champion import Champion, Comparison, model_sha256, publish_version, read_champion, set_champion, version_uri
from components.core.errors import DataError
from components.core.parameters import check_values
from components.promote.decision import Decision, decide


@dataclasses.dataclass(frozen=True)
class Promotion:
    """What was decided, on which numbers, and where the promoted version is.

    Attributes:
        decision: the outcome and its reasons.
        comparison: the macro-F1 of both models.
        champion_before: version of the champion before, or None.
        version: the promoted version, or None.
        uri: where the promoted version is, or None.
        min_macro_f1: the threshold that was applied.
        tolerance: the tolerance that was applied.
    """

    decision: Decision
    comparison: Comparison
    champion_before: str | None
    version: str | None
    uri: str | None
    min_macro_f1: float
    tolerance: float

    def metrics(self) -> dict[str, float]:
        """Returns the numbers that the Kubeflow UI shows."""
        numbers = {
            "challenger_macro_f1": self.comparison.challenger_macro_f1,
            "champion_macro_f1": self.comparison.champion_macro_f1,
            "promoted": float(self.decision.promoted),
            "min_macro_f1": self.min_macro_f1,
            "tolerance": self.tolerance,
        }
        return {name: value for name, value in numbers.items() if value is not None}

    def to_markdown(self) -> str:
        """Returns the decision with its reasons."""
        champion_macro_f1 = self.comparison.champion_macro_f1
        rows = (
            ("challenger, macro-F1 per video", f"{self.comparison.challenger_macro_f1:.4f}"),
            ("champion on the same videos", "–" if champion_macro_f1 is None else f"{champion_macro_f1:.4f}"),
            ("threshold", f"{self.min_macro_f1:.4f}"),
            ("tolerance", f"{self.tolerance:.4f}"),
            ("champion before", self.champion_before or "none"),
            ("champion now", self.version or self.champion_before or "none"),
        )
        lines = [f"# {'Promoted' if self.decision.promoted else 'Not promoted'}", ""]
        lines += [f"- {reason}" for reason in self.decision.reasons]
        lines += ["", "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
        if self.uri:
            lines += ["", f"The model, its evaluation and its report are in `{self.uri}`."]
        return "\n".join(lines) + "\n"


def promote_model(
    model_path: Path, evaluation_path: Path, report_path: Path, storage_uri: str, min_macro_f1: float, tolerance: float
) -> Promotion:
    """Makes a model the champion if it deserves it.

    Args:
        model_path: folder of the pruned model.
        evaluation_path: evaluation.json, from the evaluation of this very model.
        report_path: report.html, kept with the version.
        storage_uri: where the project keeps its models.
        min_macro_f1: macro-F1 per video that a champion must reach.
        tolerance: by how much it may be worse than the champion.

    Raises:
        UsageError: a parameter is out of range.
        DataError: the evaluation is of another model, or the champion pointer is broken.
        StorageError: the storage cannot be read or written.
    """
    check_values(min_macro_f1=min_macro_f1, tolerance=tolerance)
    storage_uri = storage.absolute_uri(storage_uri)
    comparison = Comparison.read(evaluation_path)
    sha256 = model_sha256(model_path)
    if comparison.challenger_sha256 != sha256:
        raise DataError(
            f"the evaluation is of a model with sha256 {comparison.challenger_sha256[:8]}…, "
            f"but the model to promote has {sha256[:8]}…; evaluate this model first."
        )
    champion = read_champion(storage_uri)
    decision = _decide_against(champion, sha256, comparison, min_macro_f1, tolerance)
    version = _publish(storage_uri, model_path, evaluation_path, report_path, comparison) if decision.promoted else None
    return Promotion(
        decision=decision,
        comparison=comparison,
        champion_before=champion.version if champion else None,
        version=version,
        uri=version_uri(storage_uri, version) if version else None,
        min_macro_f1=min_macro_f1,
        tolerance=tolerance,
    )


def _decide_against(
    champion: Champion | None, challenger_sha256: str, comparison: Comparison, min_macro_f1: float, tolerance: float
) -> Decision:
    """Decides, unless there is nothing to decide or the champion is not the one that the challenger was compared with."""
    if champion and champion.model_sha256 == challenger_sha256:
        return Decision(False, (f"The model is the champion {champion.version} already (equal model.keras), so nothing changes.",))
    version = champion.version if champion else None
    if version != comparison.champion_version:
        was, now = comparison.champion_version or "none", version or "none"
        return Decision(False, (f"The champion was {was} at the evaluation and is {now} now; evaluate again.",))
    decision = decide(comparison.challenger_macro_f1, comparison.champion_macro_f1, min_macro_f1, tolerance)
    return dataclasses.replace(decision, reasons=(*decision.reasons, *filter(None, [comparison.remark])))


def _publish(storage_uri: str, model_path: Path, evaluation_path: Path, report_path: Path, comparison: Comparison) -> str:
    now = datetime.datetime.now(datetime.UTC)
    version = publish_version(storage_uri, model_path, evaluation_path, report_path, now)
    champion = Champion(version, comparison.challenger_sha256, comparison.challenger_macro_f1, now.isoformat(timespec="seconds"))
    set_champion(storage_uri, champion)
    return version
