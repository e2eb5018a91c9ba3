"""`lus predict`: what a classifier makes of videos, through the predict step in this environment."""

import logging
import shlex
import sys
from pathlib import Path

import click
from kfp import dsl

from components.command_line import example
from components.core.files.local_files import temporary_folder
from components.core.files.outputs import STDOUT
from components.predict.component import predict as step


def _default(name: str) -> str:
    return str(step.component_spec.inputs[name].default)


@click.command(epilog=example("lus predict phantoms/videos --storage lungs -o predictions.jsonl"))
@click.argument("videos", nargs=-1, required=True)
@click.option("--model", default=_default("model"), show_default=True, help=step.component_spec.inputs["model"].description)
@click.option("--storage", default=_default("storage"), help=step.component_spec.inputs["storage"].description)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for the JSON Lines; until the end it is OUTPUT.partial-…  [default: standard output, a line when a video is done]",
)
@click.option("--strips", type=click.Path(file_okay=False, path_type=Path), help="Folder for a strip of every video (PNG), to look at.")
@click.option(
    "--patients",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for a line of JSON a patient, where a manifest says whose the videos are: classes, zones, sum of severities.",
)
@click.option(
    "--page",
    type=click.Path(dir_okay=False, path_type=Path),
    help="HTML file to read and to print: patients, zones of the chest, and pictures with what raised the answers.",
)
@click.option("--beam-options", default=_default("beam_options"), help=step.component_spec.inputs["beam_options"].description)
def predict(
    videos: tuple[str, ...],
    model: str,
    storage: str,
    output: Path | None,
    strips: Path | None,
    patients: Path | None,
    page: Path | None,
    beam_options: str,
) -> None:
    """Says what the champion makes of videos.

    Each gives a line of JSON.

    VIDEOS are video files, folders of them, manifests (CSV) or videos.jsonl files of ingest. For research and education only, not for
    diagnosis.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    with temporary_folder() as folder:
        step.python_func(
            videos=shlex.join(videos),
            predictions=dsl.Artifact(uri=str((output or STDOUT).absolute())),
            strips=dsl.Artifact(uri=str(strips.absolute() if strips else folder / "strips")),
            patients=dsl.Artifact(uri=str(patients.absolute() if patients else folder / "patients")),
            page=dsl.HTML(uri=str(page.absolute() if page else folder / "page")),
            model=model,
            storage=storage,
            draw_strips=strips is not None,
            draw_pictures=page is not None,
            beam_options=beam_options,
        )
