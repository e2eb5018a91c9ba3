"""`python -m components STEP --flag value`: runs one step by hand, as its container does.

Flags come from the step's component.py. Input artifacts are given as paths; outputs are written below --output-folder, each under its
name, and `executor_output.json` holds what the step reports to Kubeflow (metrics among it).
"""

from pathlib import Path
from typing import Any

import click
from kfp.dsl import executor, structures

from components.command_line import Commands, example, is_parameter, load_step, parameter_options, parameter_values, step_names
from components.core.errors import UsageError
from components.core.parameters import check_values

PROGRAM = "python -m components"
# One after the other, they are the training pipeline by hand, and what else there is to do by hand.
EXAMPLES = {
    "phantoms": "--destination phantoms",
    "ingest": "--manifest phantoms/manifest.csv --storage lungs",
    "preprocess": "--videos outputs/ingest/videos --storage lungs",
    "train": "--dataset outputs/preprocess/dataset --backbone small",
    "prune": "--dataset outputs/preprocess/dataset --dense-model outputs/train/model",
    "evaluate": "--dataset outputs/preprocess/dataset --storage lungs "
    "--dense-model outputs/train/model --pruned-model outputs/prune/pruned_model",
    "promote": "--model outputs/prune/pruned_model --storage lungs "
    "--evaluation outputs/evaluate/evaluation --report outputs/evaluate/report",
    "predict": "--videos phantoms/videos --storage lungs",
    "crossval": "--dataset outputs/preprocess/dataset --backbone small",
    "compare": "--dataset outputs/preprocess/dataset --convlstm2d convlstm2d/model --cnn-lstm cnn_lstm/model --cnn-gru cnn_gru/model",
    "import_dicom": "--source scans --labels labels.csv --key-file key --destination imported",
    "decide_training": "--videos outputs/ingest/videos --storage lungs",
    "record_training": "--evaluation outputs/evaluate/evaluation --storage lungs",
    "notify": """--status '{"state": "SUCCEEDED"}' --storage lungs""",
}


class _Steps(Commands):
    """The steps as sub-commands; a step is imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return step_names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return step_command(cmd_name, PROGRAM) if cmd_name in step_names() else None


@click.command(
    cls=_Steps, context_settings={"help_option_names": ["-h", "--help"]}, epilog=example(f"{PROGRAM} phantoms {EXAMPLES['phantoms']}")
)
def main() -> None:
    """Runs one step of the lung-ultrasound pipeline by hand."""


def step_command(name: str, program: str) -> click.Command:
    """Returns the command that runs a step by hand, as a sub-command of a program."""
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
    folder = click.Option(["-o", "--output-folder"], default=f"outputs/{name}", show_default=True, help="Where the outputs are written.")
    return click.Command(
        name,
        callback=lambda **values: _run(name, **values),
        params=[*artifacts, *parameter_options(inputs), folder],
        help="\n\n".join([spec.description, *_written(outputs)]),
        epilog=example(f"{program} {name} {EXAMPLES[name]}"),
    )


def _written(outputs: dict[str, structures.OutputSpec]) -> list[str]:
    """Returns the paragraph about the outputs of a step, in lines that click leaves as they are."""
    lines = [
        click.wrap_text(f"{name}: {value.description}", 78, initial_indent="  ", subsequent_indent="    ")
        for name, value in outputs.items()
    ]
    return ["\n".join(["\b", "Written to the output folder:", *lines])] if lines else []


def _run(name: str, output_folder: str, **values: Any) -> None:
    component = load_step(name)
    check_values(**values)
    folder = _created(Path(output_folder).absolute())
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
    main(prog_name=PROGRAM)
