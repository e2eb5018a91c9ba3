"""The picture of a training: loss and macro-F1, epoch by epoch."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from components.core.models.epochs import MACRO_F1, History
from components.core.pages import BLUE, VERMILION, png_uri, template

TRAIN_COLOUR, VALIDATION_COLOUR = BLUE, VERMILION


def draw_curves(path: Path, history: History, best_epoch: int) -> None:
    """Writes a PNG with the curves of train and validation side by side.

    Args:
        path: of the picture.
        history: per epoch, loss and macro-F1.
        best_epoch: the epoch whose weights are kept, from 0.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    loss_axes, f1_axes = figure.subplots(1, 2)
    _draw(loss_axes, history, "loss", "Loss, classes weighted alike", best_epoch)
    _draw(f1_axes, history, MACRO_F1, "Macro-F1 of clips", best_epoch)
    loss_axes.set_ylim(bottom=0)
    f1_axes.set_ylim(0, 1)
    figure.savefig(path, dpi=120)


def _draw(axes: Axes, history: History, name: str, title: str, best_epoch: int) -> None:
    epochs = range(1, len(history[name]) + 1)
    best_value = history[f"val_{name}"][best_epoch]
    axes.plot(epochs, history[name], color=TRAIN_COLOUR, marker=".", label="train (augmented, with dropout)")
    axes.plot(epochs, history[f"val_{name}"], color=VALIDATION_COLOUR, marker=".", label="validation")
    axes.axvline(best_epoch + 1, color="grey", linestyle=":", linewidth=1)
    axes.plot(
        best_epoch + 1, best_value, "*", color=VALIDATION_COLOUR, markersize=14, label=f"kept: epoch {best_epoch + 1}, {best_value:.3f}"
    )
    axes.set_title(title)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def curves_html(picture_path: Path, results: dict[str, Any]) -> str:
    """Returns a page with the picture inside and the results as a table."""
    return template("components.train", "curves.html", shown=_shown).render(picture=png_uri(picture_path), results=results)


def _shown(value: float) -> str:
    return f"{value:.3f}" if isinstance(value, float) else f"{value:,}"
