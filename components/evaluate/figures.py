"""Figures of the report, as inline SVG that follows the page's light or dark colours."""

import io
import re
from typing import Any

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.evaluate.metrics import ClassScores, Scores

# Okabe and Ito's colour-blind safe palette (https://jfly.uni-koeln.de/color/); line styles say the same without colour.
CLASS_COLORS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
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


def roc_figure(scores: Scores, name: str) -> Markup:
    """Returns the ROC curves of every class against the rest.

    Args:
        scores: of the model.
        name: of the model; becomes part of the alternative text and of the ids in the SVG.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(3.6, 3.6), layout="constrained")
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=GRID_COLOR, linewidth=1)
        for number, by_class in enumerate(scores.classes):
            _plot_curve(axes, by_class, CLASS_COLORS[number % len(CLASS_COLORS)], LINE_STYLES[number % len(LINE_STYLES)])
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="false positive rate", ylabel="true positive rate", aspect="equal")
        axes.grid(linewidth=0.5)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="lower right", frameon=False, handlelength=2.6)
        aucs = ", ".join(f"{by_class.class_name} {_auc_text(by_class)}" for by_class in scores.classes)
        alt = f"ROC curves of the {name} model, each class against the rest; area under the curve: {aucs}."
        return _inline_svg(figure, f"roc-{name}", alt)


def _plot_curve(axes: Axes, scores: ClassScores, color: str, line_style: str) -> None:
    x, y = (scores.roc.false_positive_rates, scores.roc.true_positive_rates) if scores.roc else ((), ())
    axes.plot(x, y, color=color, linestyle=line_style, linewidth=2, label=f"{scores.class_name}  AUC {_auc_text(scores)}", clip_on=False)


def _auc_text(scores: ClassScores) -> str:
    return "undefined" if scores.auc is None else f"{scores.auc:.2f}"


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
