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
from components.core.statistics.bootstrap import in_bins
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
