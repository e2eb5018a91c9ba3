"""The `lus` command: compile the pipeline, or run it on this machine."""

from pathlib import Path
from typing import Any

import click

from components.command_line import Failure, parameter_options
from components.core import storage as storage_uris
from components.core.errors import PipelineError
from pipelines.compile import compile_pipeline
from pipelines.local import RUNNERS, run_training, summary
from pipelines.training import training


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lung-ultrasound-pipeline")
def main() -> None:
    """Lung-ultrasound video classification: from public videos to a pruned, evaluated, promoted classifier.

    For research and education only, not for diagnosis.
    """


@main.command("compile")
@click.option("-o", "--output", default="training.yaml", show_default=True, type=click.Path(path_type=Path), help="The YAML file to write.")
def compile_command(output: Path) -> None:
    """Compiles the training pipeline to YAML for a Kubeflow cluster."""
    try:
        compile_pipeline(training, output)
    except PipelineError as error:
        raise Failure(error) from None
    click.echo(f"wrote {output}; upload it in the Kubeflow UI, or submit it with the kfp client")


def _run(runner: str, pipeline_root: str | None, **parameters: Any) -> None:
    try:
        outputs = run_training(parameters, runner, Path(pipeline_root or _default_root(parameters["storage"])))
    except PipelineError as error:
        raise Failure(error) from None
    click.echo(summary(outputs, storage_uris.absolute_uri(parameters["storage"])))


def _default_root(storage: str) -> str:
    return "runs" if storage_uris.scheme_of(storage) else f"{storage}/runs"


main.add_command(
    click.Command(
        "run",
        callback=_run,
        help="Runs the training pipeline on this machine, and says where the model, the report and the metrics are.",
        params=[
            click.Option(["--runner"], type=click.Choice(RUNNERS), default="subprocess", show_default=True, help="Where the steps run."),
            click.Option(
                ["--pipeline-root"], help="Folder for the outputs of steps.  [default: STORAGE/runs, or ./runs for cloud storage]"
            ),
            *parameter_options(training.component_spec.inputs),
        ],
    )
)
if __name__ == "__main__":
    main(prog_name="lus")
