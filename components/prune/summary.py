"""What prune shows: the table of the exported files, the zeros of every kernel, and the curve of accuracy over sparsity."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from components.core.models.exports import PATHS
from components.core.pages import BLUE, VERMILION, png_uri, template
from components.core.records.findings import FINDINGS
from components.prune.comparison import ExportedFile

CURVE_COLOUR, DENSE_COLOUR, CHOSEN_COLOUR = BLUE, "#666666", VERMILION


@dataclasses.dataclass(frozen=True)
class KernelCount:
    """How many weights of a kernel are exactly zero."""

    name: str
    num_weights: int
    num_zeros: int

    @property
    def sparsity(self) -> float:
        """Zeros as a part of the weights."""
        return self.num_zeros / self.num_weights


@dataclasses.dataclass(frozen=True)
class SparsityPoint:
    """A classifier after the same training with so much sparsity.

    Attributes:
        sparsity: that was asked for; 0 is the dense model, trained further like the others.
        macro_f1: over the validation clips.
        gzip_bytes: size of its model.keras, gzipped.
    """

    sparsity: float
    macro_f1: float
    gzip_bytes: int


def draw_curve(path: Path, points: Sequence[SparsityPoint], chosen_sparsity: float, dense_macro_f1: float) -> None:
    """Writes a PNG: macro-F1 on the validation clips, and the size of the file, against sparsity.

    Args:
        path: of the picture.
        points: by rising sparsity.
        chosen_sparsity: of the model that is kept, one of the points'.
        dense_macro_f1: of the dense model before it was trained further.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    f1_axes, size_axes = figure.subplots(1, 2)
    sparsities = [point.sparsity for point in points]
    (chosen,) = [point for point in points if point.sparsity == chosen_sparsity]
    f1_axes.axhline(dense_macro_f1, color=DENSE_COLOUR, linestyle=":", label=f"dense, as it came: {dense_macro_f1:.3f}")
    f1_axes.plot(sparsities, [point.macro_f1 for point in points], color=CURVE_COLOUR, marker="o", label="trained further")
    f1_axes.plot(chosen.sparsity, chosen.macro_f1, "*", color=CHOSEN_COLOUR, markersize=15, label=f"kept: {chosen.macro_f1:.3f}")
    f1_axes.set_ylim(0, 1)
    f1_axes.set_title("Macro-F1 of the validation clips")
    f1_axes.legend(fontsize="small", loc="lower left")
    kilobytes = [point.gzip_bytes / 1000 for point in points]
    size_axes.plot(sparsities, kilobytes, color=CURVE_COLOUR, marker="o")
    size_axes.plot(chosen.sparsity, chosen.gzip_bytes / 1000, "*", color=CHOSEN_COLOUR, markersize=15)
    size_axes.set_ylim(0, 1.08 * max(kilobytes))
    size_axes.set_title("model.keras, gzipped, in kB")
    for axes in (f1_axes, size_axes):
        axes.set_xlim(-0.03, 1)
        axes.set_xlabel("sparsity: zeros in the kernels")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def summary_html(files: Sequence[ExportedFile], kernels: Sequence[KernelCount], num_clips: int, curve_path: Path | None) -> str:
    """Returns the page.

    Args:
        files: the dense model first.
        kernels: of the pruned model.
        num_clips: validation clips behind the scores.
        curve_path: picture of draw_curve, or None.
    """
    return template("components.prune", "summary.html").render(
        files=files,
        findings=[finding for finding in FINDINGS if finding.name in files[0].finding_gaps],
        paths=PATHS,
        kernels=kernels,
        num_clips=num_clips,
        curve=png_uri(curve_path) if curve_path else "",
    )
