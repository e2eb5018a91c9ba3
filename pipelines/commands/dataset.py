"""`lus export-npy`, `lus export-frames` and `lus drift`: commands on clip datasets."""

from pathlib import Path

import click

from components.command_line import example
from components.core.statistics.drift import by_group, drift, too_few_groups, used_videos

_dataset = click.option(
    "--dataset",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Clip dataset, the output of preprocess.",
)
_output = click.option(
    "-o", "--output-folder", required=True, type=click.Path(path_type=Path), help="Folder to write; it must be new or empty."
)


@click.command("export-npy", epilog=example("lus export-npy --dataset outputs/preprocess/dataset -o arrays"))
@_dataset
@_output
@click.option("--dtype", type=click.Choice(["uint8", "float32"]), default="uint8", show_default=True, help="float32 is scaled to 0–1.")
def export_npy_command(dataset: Path, output_folder: Path, dtype: str) -> None:
    """Writes a clip dataset as NumPy arrays.

    They are named X_train.npy, y_train.npy and so on.
    """
    from components.core.video.dataset_export import export_npy

    counts = export_npy(dataset, output_folder, dtype)
    click.echo(f"wrote {_counted(counts, 'clips')} to {output_folder}")


@click.command("export-frames", epilog=example("lus export-frames --dataset outputs/preprocess/dataset -o frames"))
@_dataset
@_output
def export_frames_command(dataset: Path, output_folder: Path) -> None:
    """Writes the frames of a clip dataset as JPEG files.

    They are named split/class/video_frame.jpg.
    """
    from components.core.video.dataset_export import export_frames

    counts = export_frames(dataset, output_folder)
    click.echo(f"wrote {_counted(counts, 'images')} to {output_folder}")


@click.command("drift", epilog=example("lus drift outputs/preprocess/dataset newer/dataset"))
@click.argument("old", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("new", type=click.Path(exists=True, file_okay=False, path_type=Path))
def drift_command(old: Path, new: Path) -> None:
    """Says how two clip datasets differ.

    NEW and OLD are outputs of preprocess.
    """
    first, second = used_videos(old), used_videos(new)
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
