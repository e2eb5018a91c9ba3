"""The `lus` command: what is compiled or runs on this machine is here, the other commands are put together."""

import logging
from pathlib import Path
from typing import Any

import click

from components.__main__ import step_command
from components.command_line import Commands, Failure, example, parameter_options
from components.core import storage as storage_uris
from components.core.errors import PipelineError
from pipelines.architecture_search import architecture_search
from pipelines.commands.champion import champion
from pipelines.commands.cluster import COMMANDS, not_installed
from pipelines.commands.dataset import COMMANDS as DATASET_COMMANDS
from pipelines.commands.import_dicom import run_import
from pipelines.commands.predict import predict
from pipelines.commands.search import run_search
from pipelines.compile import PIPELINES, compile_pipeline
from pipelines.engines.containers import pinned
from pipelines.engines.local import RUNNERS, run_training, summary
from pipelines.import_dicom import import_dicom
from pipelines.resource_file import read_table
from pipelines.resources import KUBEFLOW, PLATFORMS, Placement
from pipelines.training import training

_RUN = example("lus run --manifest phantoms/manifest.csv --storage lungs --backbone small")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_RUN)
@click.version_option(package_name="lung-ultrasound-pipeline")
def main() -> None:
    """Lung-ultrasound video classification: from public videos to a pruned, evaluated, promoted classifier.

    For research and education only, not for diagnosis.
    """
    logging.basicConfig(format="%(message)s")
    logging.getLogger("components").setLevel(logging.INFO)


@main.command("compile", epilog=example("lus compile --resources pipelines/gpu-nodes.yaml -o training.yaml"))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The YAML file to write.  [default: PIPELINE.yaml]")
@click.option("--pipeline", type=click.Choice(list(PIPELINES)), default="training", show_default=True, help="What to compile.")
@click.option("--platform", type=click.Choice(PLATFORMS), default=KUBEFLOW, show_default=True, help="Where it is to run.")
@click.option("--resources", default="", help="YAML file that changes CPU, memory, GPU, nodes, secrets and more; see docs/cluster.md.")
@click.option("--registry", default="", help="Where the cluster finds the images, such as ghcr.io/me.  [default: LUS_IMAGE_REGISTRY]")
@click.option("--tag", default="", help="Tag of the images.  [default: LUS_IMAGE_TAG]")
@click.option("--digests", is_flag=True, help="Pin each image by the digest that it has in its registry, which the Docker engine asks.")
@click.option("--no-cache", is_flag=True, help="No step takes its result from an earlier run, such as one that `lus gc` has deleted.")
def compile_command(
    output: Path | None, pipeline: str, platform: str, resources: str, registry: str, tag: str, digests: bool, no_cache: bool
) -> None:
    """Compiles a pipeline to YAML for a Kubeflow cluster or Vertex AI."""
    output = output or Path(f"{pipeline}.yaml")
    try:
        placement = Placement(platform, read_table(platform, resources), registry, tag, pinned if digests else str, not no_cache)
        compile_pipeline(pipeline, placement, output)
    except PipelineError as error:
        raise Failure(error) from None
    except ModuleNotFoundError as error:
        raise Failure(not_installed(error)) from None
    click.echo(f"wrote {output} for {platform}; start it with `lus submit {output}`, or upload it in the UI")


def _run(runner: str, pipeline_root: str | None, verbose: bool, **parameters: Any) -> None:
    try:
        outputs = run_training(parameters, runner, Path(pipeline_root or _default_root(parameters["storage"])), verbose)
    except PipelineError as error:
        raise Failure(error) from None
    click.echo(summary(outputs, storage_uris.absolute_uri(parameters["storage"])))


def _import_dicom(runner: str, pipeline_root: str | None, verbose: bool, **parameters: Any) -> None:
    try:
        summary_path = run_import(parameters, runner, Path(pipeline_root or _default_root(parameters["destination"])), verbose)
    except PipelineError as error:
        raise Failure(error) from None
    click.echo(
        f"the summary is {summary_path}; give {storage_uris.join(parameters['destination'], 'manifest.csv')} to `lus run --manifest`"
    )


def _search(runner: str, pipeline_root: str | None, verbose: bool, **parameters: Any) -> None:
    try:
        table = run_search(parameters, runner, Path(pipeline_root or _default_root(parameters["storage"])), verbose)
    except PipelineError as error:
        raise Failure(error) from None
    click.echo(f"{table.read_text(encoding='utf-8')}\nthis table is {table}")


def _default_root(storage: str) -> str:
    return f"{storage}/runs" if storage and not storage_uris.scheme_of(storage) else "runs"


def _local_command(name: str, callback: Any, purpose: str, pipeline: Any, default_root: str, epilog: str) -> click.Command:
    """Returns a command that runs a pipeline on this machine and takes its parameters."""
    runner = click.Option(["--runner"], type=click.Choice(RUNNERS), default="subprocess", show_default=True, help="Where the steps run.")
    root = click.Option(["--pipeline-root"], help=f"Folder for the outputs of steps.  [default: {default_root}]")
    verbose = click.Option(["-v", "--verbose"], is_flag=True, help="Show all that the steps log, and not only in the log of the run.")
    options = parameter_options(pipeline.component_spec.inputs)
    return click.Command(name, callback=callback, help=purpose, params=[runner, root, verbose, *options], epilog=epilog)


for command in (
    _local_command(
        "run",
        _run,
        "Runs the training pipeline on this machine, and says where the model, the report and the metrics are.",
        training,
        "STORAGE/runs, or ./runs for cloud storage",
        _RUN,
    ),
    _local_command(
        "search",
        _search,
        "Trains every architecture on the dataset of an earlier run and compares them on the validation videos, on this machine.",
        architecture_search,
        "STORAGE/runs, or ./runs for cloud storage and for none",
        example("lus search --dataset-uri outputs/preprocess/dataset --backbone small"),
    ),
    _local_command(
        "import-dicom",
        _import_dicom,
        f"{import_dicom.component_spec.description.splitlines()[0]} With --runner docker, tensorflow-io decodes them.",
        import_dicom,
        "DESTINATION/runs, or ./runs for cloud storage",
        example("lus import-dicom --source scans --labels labels.csv --key-file key --destination imported"),
    ),
    champion,
    predict,
    step_command("crossval", "lus"),
    *DATASET_COMMANDS,
    *COMMANDS,
):
    main.add_command(command)
