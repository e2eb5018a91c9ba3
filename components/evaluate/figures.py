"""Figures of the report, as inline SVG that follows the page's light or dark colours."""

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from components.core.models.predictions import Predictions
from components.core.pages import BLUE, GREEN, ORANGE, PURPLE, SKY_BLUE, VERMILION
from components.core.records.findings import SEVERITY
from components.core.statistics.bootstrap import Estimate, in_bins
from components.core.statistics.forecasts import Forecast
from components.evaluate.chests import Chests
from components.evaluate.metrics import Scores
from components.evaluate.operating_points import Abstention

CLASS_COLORS = (VERMILION, BLUE, GREEN, PURPLE, ORANGE, SKY_BLUE)  # line styles say the same without colour
LINE_STYLES = ("-", "--", "-.", ":")
TEXT_COLOR, GRID_COLOR = "#101112", "#d0d1d2"

_PAGE_COLORS = {TEXT_COLOR: "var(--text)", GRID_COLOR: "var(--line)"} | {
    color: f"var(--class-{number})" for number, color in enumerate(CLASS_COLORS)
}
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "lung-ultrasound-pipeline",
    "text.color": TEXT_COLOR,
    "axes.edgecolor": TEXT_COLOR,
    "axes.labelcolor": TEXT_COLOR,
    "xtick.color": TEXT_COLOR,
    "ytick.color": TEXT_COLOR,
    "grid.color": GRID_COLOR,
    "font.size": 10,
}


SIDE_IN, LEGEND_IN = 3.6, 0.7


def roc_figure(scores: Scores, name: str) -> Markup:
    """Returns the ROC curves of every class against the rest.

    Args:
        scores: of the model.
        name: of the model; becomes part of the alternative text and of the ids in the SVG.
    """
    curves = [((roc.false_positive_rates, roc.true_positive_rates) if (roc := of.roc) else ((), ()), of.auc) for of in scores.classes]
    aucs = ", ".join(f"{of.class_name} {_number(of.auc)}" for of in scores.classes)
    alt = f"ROC curves of the {name} model, each class against the rest; area under the curve: {aucs}."
    return _class_curves(scores, curves, "AUC", ("false positive rate", "true positive rate"), f"roc-{name}", alt, diagonal=True)


def precision_recall_figure(scores: Scores, name: str) -> Markup:
    """Returns the precision-recall curves of every class against the rest, drawn by steps as average precision counts them."""
    curves = [
        ((curve.recalls, curve.precisions) if (curve := of.precision_recall) else ((), ()), of.average_precision) for of in scores.classes
    ]
    precisions = ", ".join(f"{of.class_name} {_number(of.average_precision)}" for of in scores.classes)
    alt = f"Precision-recall curves of the {name} model, each class against the rest; average precision: {precisions}."
    return _class_curves(scores, curves, "AP", ("recall", "precision"), f"pr-{name}", alt, drawstyle="steps-post")


def reliability_figure(videos: Predictions, name: str) -> Markup:
    """Returns how often the model is right where it is how confident, in the bins of the expected calibration error."""
    members = in_bins(videos.confidence)
    counts = members.sum(axis=0)
    filled = counts > 0
    confidence, accuracy = ((members.T @ values.astype(float))[filled] / counts[filled] for values in (videos.confidence, videos.is_right))
    with matplotlib.rc_context(_STYLE):
        figure, axes = _square("confidence", "part that is right")
        axes.plot([0, 1], [0, 1], color=GRID_COLOR, linewidth=1)
        axes.scatter(confidence, accuracy, s=18 + 12 * counts[filled], color=CLASS_COLORS[1], alpha=0.85, clip_on=False, zorder=3)
        for x, y, count in zip(confidence, accuracy, counts[filled], strict=True):
            axes.annotate(str(count), (x, y), xytext=(0, 11), textcoords="offset points", ha="center", fontsize=8)
        bins = zip(confidence, accuracy, counts[filled], strict=True)
        points = ", ".join(f"{x:.2f} confident, {y:.2f} right ({count} videos)" for x, y, count in bins)
        return _inline_svg(figure, f"reliability-{name}", f"Reliability of the {name} model: {points}. Numbers in the plot count videos.")


def risk_figure(abstention: Abstention, name: str) -> Markup:
    """Returns the part that is wrong over the part that is answered, with the threshold from validation."""
    with matplotlib.rc_context(_STYLE):
        figure, axes = _square("coverage: part that is answered", "risk: part of these that is wrong")
        axes.plot(abstention.coverages, abstention.risks, color=CLASS_COLORS[1], linewidth=2, drawstyle="steps-post", clip_on=False)
        if abstention.accuracy.value is not None:
            risk = 1 - abstention.accuracy.value
            axes.plot([abstention.coverage], [risk], "o", color=CLASS_COLORS[0], markersize=8, label="threshold from validation")
            axes.legend(loc="upper left", frameon=False)
        alt = (
            f"Risk over coverage of the {name} model: answering all videos {abstention.risks[-1]:.2f} are wrong; "
            f"at the threshold from validation {abstention.coverage:.2f} are answered."
        )
        return _inline_svg(figure, f"risk-{name}", alt)


def roc_band_figure(found: Forecast, what: str, ids: str) -> Markup:
    """Returns the ROC curve of a forecast with its pointwise 95 % band.

    Args:
        found: with a curve.
        what: is forecast.
        ids: makes the ids in the SVG unique.
    """
    assert found.roc
    with matplotlib.rc_context(_STYLE):
        figure, axes = _square("false positive rate", "true positive rate", extra_height_in=LEGEND_IN)
        axes.plot([0, 1], [0, 1], color=GRID_COLOR, linewidth=1)
        roc, color, label = found.roc, CLASS_COLORS[1], f"AUC {_with_interval(found.auc)}"
        axes.plot(roc.false_positive_rates, roc.true_positive_rates, color=color, linewidth=2, clip_on=False, label=label)
        if roc.low:
            axes.fill_between(roc.at, roc.low, roc.high, color=color, alpha=0.18, linewidth=0, label="95 % at each point")
        figure.legend(loc="outside lower center", frameon=False, handlelength=2.6)
        alt = f"ROC curve of {what}, {found.num_so} of {found.num} videos; area under the curve {_with_interval(found.auc)}."
        return _inline_svg(figure, ids, alt)


def calibration_figure(found: Forecast, what: str, ids: str) -> Markup:
    """Returns the part of the videos that is so in each bin of a forecast, with its interval and the number of videos; as above."""
    with matplotlib.rc_context(_STYLE):
        figure, axes = _square("probability that the model gives", "part of the videos that is so", extra_height_in=LEGEND_IN)
        axes.plot([0, 1], [0, 1], color=GRID_COLOR, linewidth=1)
        axes.axhline(found.num_so / found.num, color=TEXT_COLOR, linewidth=1, linestyle=":", label="part of all videos")
        for number, of in enumerate(found.bins):
            label = "bins of equal size, with 95 %" if not number else None
            axes.plot([of.probability], [of.share], "o", color=CLASS_COLORS[1], clip_on=False, zorder=3, label=label)
            if of.interval:
                axes.plot([of.probability] * 2, [of.interval.low, of.interval.high], color=CLASS_COLORS[1], linewidth=1.5)
            axes.annotate(str(of.num), (of.probability, of.share), xytext=(5, 4), textcoords="offset points", fontsize=8)
        figure.legend(loc="outside lower center", frameon=False, handlelength=2.6)
        points = ", ".join(f"{of.probability:.2f} given, {of.share:.2f} so ({of.num} videos)" for of in found.bins)
        return _inline_svg(figure, ids, f"Calibration of {what}: {points}. Numbers in the plot count videos.")


def sums_figure(chests: Chests, ids: str) -> Markup:
    """Returns the sums of severity that are expected over those that are stated, a point a patient."""
    with matplotlib.rc_context(_STYLE):
        figure, axes = _square("sum that experts stated", "sum that the model expects")
        highest = SEVERITY.num_thresholds * chests.num_zones
        axes.set(xlim=(-0.02 * highest, 1.02 * highest), ylim=(-0.02 * highest, 1.02 * highest))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.plot([0, highest], [0, highest], color=GRID_COLOR, linewidth=1)
        stated, expected = zip(*(chest.sums for chest in chests.summed), strict=True)
        axes.scatter(stated, expected, s=34, color=CLASS_COLORS[1], alpha=0.7, linewidth=0, clip_on=False, zorder=3)
        alt = (
            f"Sums of severity over {chests.num_zones} zones of {len(chests.summed)} patients, expected over stated; "
            f"rank correlation {_with_interval(chests.correlation)}."
        )
        return _inline_svg(figure, ids, alt)


def training_figure(history: dict[str, list[float]], name: str) -> Markup | None:
    """Returns loss and macro-F1 over the epochs, or None when the log does not have them."""
    if not {"loss", "val_loss", "macro_f1", "val_macro_f1"} <= set(history):
        return None
    epochs = range(1, len(history["loss"]) + 1)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(5.6, 2.8), layout="constrained")
        for axes, key, label in zip(figure.subplots(1, 2), ("loss", "macro_f1"), ("loss", "macro-F1 of clips"), strict=True):
            axes.plot(epochs, history[key], color=CLASS_COLORS[1], label="train")
            axes.plot(epochs, history[f"val_{key}"], color=CLASS_COLORS[0], linestyle="--", label="validation")
            axes.set(xlabel="epoch", ylabel=label, ylim=(0, 1) if key == "macro_f1" else (0, None))
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(linewidth=0.5)
            axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="lower right", frameon=False)
        best = max(history["val_macro_f1"])
        alt = f"Training of the {name} model over {len(epochs)} epochs: the best macro-F1 on validation clips is {best:.2f}."
        return _inline_svg(figure, f"training-{name}", alt)


def _class_curves(
    scores: Scores,
    curves: Sequence[tuple[Any, float | None]],
    measure: str,
    labels: tuple[str, str],
    ids: str,
    alt: str,
    diagonal: bool = False,
    drawstyle: str = "default",
) -> Markup:
    with matplotlib.rc_context(_STYLE):
        figure, axes = _square(*labels, extra_height_in=LEGEND_IN)
        if diagonal:
            axes.plot([0, 1], [0, 1], color=GRID_COLOR, linewidth=1)
        for number, (of, ((x, y), area)) in enumerate(zip(scores.classes, curves, strict=True)):
            color, style = CLASS_COLORS[number % len(CLASS_COLORS)], LINE_STYLES[number % len(LINE_STYLES)]
            label = f"{of.class_name}  {measure} {_number(area)}"
            axes.plot(x, y, color=color, linestyle=style, linewidth=2, label=label, clip_on=False, drawstyle=drawstyle)
        figure.legend(loc="outside lower center", frameon=False, handlelength=2.6)
        return _inline_svg(figure, ids, alt)


def _square(x_label: str, y_label: str, extra_height_in: float = 0) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(SIDE_IN, SIDE_IN + extra_height_in), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=x_label, ylabel=y_label, aspect="equal")
    axes.grid(linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _with_interval(estimate: Estimate) -> str:
    interval = f" ({estimate.interval.low:.2f} to {estimate.interval.high:.2f})" if estimate.interval else ""
    return f"{_number(estimate.value)}{interval}"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"


def _inline_svg(figure: Figure, id_prefix: str, alt: str) -> Markup:
    """Returns the figure as an <svg> element: the page's colours, ids of its own, equal bytes for equal figures."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Creator": None, "Date": None, "Format": None, "Type": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    for color, variable in _PAGE_COLORS.items():
        svg = svg.replace(color, variable)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{id_prefix}-", svg)
    return Markup(svg.replace("<svg", f'<svg role="img" aria-label="{escape(alt)}"', 1))
