"""`python -m components STEP --flag value`: runs one step by hand, as its container does.

Flags come from the step's component.py. Input artifacts are given as paths; outputs are written below --output-folder, each under its
name, and `executor_output.json` holds what the step reports to Kubeflow (metrics among it).
"""

from pathlib import Path
from typing import Any

import click
from kfp.dsl import executor, structures

from components.command_line import Commands, Failure, is_parameter, load_step, parameter_options, parameter_values, step_names
from components.core.errors import PipelineError, UsageError
from components.core.parameters import check_values


class _Steps(Commands):
    """The steps as sub-commands; a step is imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return step_names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return step_command(cmd_name) if cmd_name in step_names() else None


@click.command(cls=_Steps, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Runs one step of the lung-ultrasound pipeline by hand."""


def step_command(name: str) -> click.Command:
    """Returns the command that runs a step by hand."""
    spec = load_step(name).component_spec
    inputs, outputs = spec.inputs or {}, spec.outputs or {}
    artifacts = [
        click.Option(
            [f"--{key.replace('_', '-')}", key],
            required=True,
            type=click.Path(exists=True, resolve_path=True),
            help=f"{value.description} (path of the artifact)",
        )
        for key, value in inputs.items()
        if not is_parameter(value)
    ]
    folder = click.Option(["--output-folder"], default=f"outputs/{name}", show_default=True, help="Where the outputs are written.")
    written = "\n".join(f"  {key}: {value.description}" for key, value in outputs.items())
    return click.Command(
        name,
        callback=lambda **values: _run(name, **values),
        params=[*artifacts, *parameter_options(inputs), folder],
        help=f"{spec.description}\n\n\b\nWritten to the output folder:\n{written}",
        short_help=spec.description,
    )


def _run(name: str, output_folder: str, **values: Any) -> None:
    component = load_step(name)
    try:
        check_values(**values)
        folder = _created(Path(output_folder).absolute())
    except PipelineError as error:
        raise Failure(error) from None
    inputs = component.component_spec.inputs or {}
    outputs = component.component_spec.outputs or {}
    executor_input = {
        "inputs": {
            "parameterValues": parameter_values(inputs, values),
            "artifacts": {key: _artifact(key, spec, Path(values[key])) for key, spec in inputs.items() if not is_parameter(spec)},
        },
        "outputs": {
            "parameters": {key: {"outputFile": str(folder / key)} for key, spec in outputs.items() if is_parameter(spec)},
            "artifacts": {key: _artifact(key, spec, folder / key) for key, spec in outputs.items() if not is_parameter(spec)},
            "outputFile": str(folder / "executor_output.json"),
        },
    }
    executor.Executor(executor_input=executor_input, function_to_execute=component.python_func).execute()
    click.echo(f"outputs are in {folder}")


def _created(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot create the output folder {str(folder)!r} ({error.strerror}); give another one.") from None
    return folder


def _artifact(name: str, spec: structures.InputSpec | structures.OutputSpec, path: Path) -> dict[str, Any]:
    title, _, version = spec.type.partition("@")
    kind = {"schemaTitle": title, "schemaVersion": version}
    return {"artifacts": [{"name": name, "type": kind, "uri": str(path), "metadata": {}}]}


if __name__ == "__main__":
    import logging

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main(prog_name="python -m components")
