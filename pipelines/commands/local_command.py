"""What the commands that run a pipeline on this machine have in common."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from components.command_line import example, parameter_options
from components.core import storage as storage_uris
from pipelines.engines.local import RUNNERS


def local_command(
    name: str, callback: Callable[..., None], purpose: str, pipeline: Any, default_root: str, shown: str, root_beside: str = "storage"
) -> click.Command:
    """Returns a command that runs a pipeline on this machine and takes its parameters.

    Args:
        name: of the command.
        callback: is given the parameters, the runner, the folder for the outputs of steps, and whether to be verbose.
        purpose: help text.
        pipeline: the kfp pipeline.
        default_root: that folder, in words.
        shown: an example.
        root_beside: the parameter that names what the folder is in, by default.
    """

    def run(runner: str, pipeline_root: str | None, verbose: bool, **parameters: Any) -> None:
        callback(parameters, runner, Path(pipeline_root or _default_root(parameters[root_beside])), verbose)

    params: list[click.Parameter] = [
        click.Option(["--runner"], type=click.Choice(RUNNERS), default="subprocess", show_default=True, help="Where the steps run."),
        click.Option(["--pipeline-root"], help=f"Folder for the outputs of steps.  [default: {default_root}]"),
        click.Option(["-v", "--verbose"], is_flag=True, help="Show all that the steps log, and not only in the log of the run."),
        *parameter_options(pipeline.component_spec.inputs),
    ]
    return click.Command(name, callback=run, help=purpose, params=params, epilog=example(shown))


def _default_root(storage: str) -> str:
    return f"{storage}/runs" if storage and not storage_uris.scheme_of(storage) else "runs"
