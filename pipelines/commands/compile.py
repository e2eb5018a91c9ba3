"""`lus compile`: a pipeline as the YAML that a cluster takes."""

from pathlib import Path

import click

from components.command_line import example
from pipelines.commands.connection import not_installed
from pipelines.compile import PIPELINES, compile_pipeline
from pipelines.engines.containers import pinned
from pipelines.resource_file import read_table
from pipelines.resources import KUBEFLOW, PLATFORMS, Placement


@click.command("compile", epilog=example("lus compile --resources pipelines/gpu-nodes.yaml -o training.yaml"))
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
    """Compiles a pipeline to YAML, for Kubeflow or Vertex AI."""
    output = output or Path(f"{pipeline}.yaml")
    placement = Placement(platform, read_table(platform, resources), registry, tag, pinned if digests else str, not no_cache)
    try:
        compile_pipeline(pipeline, placement, output)
    except ModuleNotFoundError as error:
        raise not_installed(error) from None
    click.echo(f"wrote {output} for {platform}; start it with `lus submit {output}`, or upload it in the UI")
