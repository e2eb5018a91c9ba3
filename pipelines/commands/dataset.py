"""`lus export-npy`, `lus export-frames` and `lus drift`: commands on clip datasets."""

from pathlib import Path

import click

from components.command_line import Failure
from components.core.errors import PipelineError
from components.core.statistics.drift import by_group, drift, too_few_groups, used_videos

_dataset = click.argument("dataset", type=click.Path(exists=True, file_okay=False, path_type=Path))
_output = click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder to write; it must be new or empty.")


@click.command("export-npy")
@_dataset
@_output
@click.option("--dtype", type=click.Choice(["uint8", "float32"]), default="uint8", show_default=True, help="float32 is scaled to 0–1.")
def export_npy_command(dataset: Path, output: Path, dtype: str) -> None:
    """Writes X_train.npy, y_train.npy and so on from DATASET, the output folder of preprocess."""
    from components.core.video.dataset_export import export_npy

    try:
        counts = export_npy(dataset, output, dtype)
    except PipelineError as error:
        raise Failure(error) from None
    click.echo(f"wrote {_counted(counts, 'clips')} to {output}")


@click.command("export-frames")
@_dataset
@_output
def export_frames_command(dataset: Path, output: Path) -> None:
    """Writes the frames of DATASET, the output folder of preprocess, as split/class/video_frame.jpg."""
    from components.core.video.dataset_export import export_frames

    try:
        counts = export_frames(dataset, output)
    except PipelineError as error:
        raise Failure(error) from None
    click.echo(f"wrote {_counted(counts, 'images')} to {output}")


@click.command("drift")
@click.argument("old", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("new", type=click.Path(exists=True, file_okay=False, path_type=Path))
def drift_command(old: Path, new: Path) -> None:
    """Says how the videos of the dataset NEW differ from those of OLD; both are output folders of preprocess."""
    try:
        first, second = used_videos(old), used_videos(new)
    except PipelineError as error:
        raise Failure(error) from None
    click.echo(" → ".join(f"{len(videos)} videos of {len(by_group(videos))} groups" for videos in (first, second)))
    click.echo("index: population stability index; p: how often chance gives any field an index that is as rare")
    if too_few_groups(first, second):
        click.echo("The datasets differ in too few groups: no shift, however large, could be told from chance.")
    click.echo(f"{'':20}{'index':>7}{'p':>7}  {'reading':24}change")
    for field in drift(first, second):
        click.echo(f"{field.field:20}{field.index:7.2f}{field.p:7.3f}  {field.reading:24}{field.largest}")


def _counted(counts: dict[str, int], what: str) -> str:
    return ", ".join(f"{count} {split} {what}" for split, count in counts.items())


COMMANDS = (export_npy_command, export_frames_command, drift_command)
