"""`lus run`: the training pipeline on this machine."""

import dataclasses
import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from components.core import storage as storage_uris
from components.core.errors import UsageError
from components.core.parameters import check_values
from components.core.records.clips import class_names
from components.core.records.manifest import CATALOG, absolute_manifest_uri, check_groups, read_manifest
from components.core.records.selection import Selection
from components.core.registry.champion import read_champion
from components.core.registry.versions import version_uri
from pipelines.commands.local_command import local_command
from pipelines.engines.local import renamed_copy, run_locally
from pipelines.engines.parameters import WORDS
from pipelines.training import training

# Parameters that name a file or a folder to read, beside the manifest.
_READ = ("drop_in", "cookies", "weights")
FILE_NAMES = {"dataset_report": "dataset_report.html", "evaluation": "evaluation.json", "report": "report.html", "decision": "decision.md"}


@dataclasses.dataclass(frozen=True)
class RunOutputs:
    """Local paths of what a run gave."""

    dataset_report: Path
    model: Path
    evaluation: Path
    report: Path
    decision: Path


def run_training(parameters: dict[str, Any], runner: str, pipeline_root: Path, verbose: bool) -> RunOutputs:
    """Runs the training DAG to its end.

    Args:
        parameters: of the pipeline, by name.
        runner: one of RUNNERS.
        pipeline_root: folder for the outputs of the steps.
        verbose: show all that is logged.

    Raises:
        UsageError: a parameter or the manifest is wrong; nothing was started.
        StorageError: the storage cannot be written.
        DataError: a step failed.
    """
    parameters = _checked(parameters)
    task = run_locally(training, parameters, runner, pipeline_root, _mounted(parameters), verbose)
    outputs = {name: Path(task.outputs[name].path) for name in typing.get_type_hints(RunOutputs)}
    return RunOutputs(**{name: renamed_copy(path, FILE_NAMES[name]) if name in FILE_NAMES else path for name, path in outputs.items()})


def _checked(parameters: dict[str, Any]) -> dict[str, Any]:
    """Checks what can be checked before any work starts; returns the parameters with absolute URIs."""
    check_values(**parameters)
    rows = read_manifest(parameters["manifest"])
    selection = Selection(**{field.name: parameters[field.name] for field in dataclasses.fields(Selection)})
    selection.check(rows)
    names = class_names(parameters["keep_other"])
    check_groups((row for row in rows if selection.takes(row) and row.class_name in names), names)
    uris = {name: storage_uris.absolute_uri(parameters[name]) for name in _READ if parameters[name] not in ("", WORDS.get(name))}
    for name, uri in uris.items():
        if not storage_uris.exists(uri):
            raise UsageError(f"--{name.replace('_', '-')} {parameters[name]!r} does not exist.")
    storage_uris.check_writable(parameters["storage"])
    uris["storage"] = storage_uris.absolute_uri(parameters["storage"])
    return {**parameters, **uris, "manifest": absolute_manifest_uri(parameters["manifest"])}


def _mounted(parameters: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yields the local folders that containers need to see, at the path that they have here, and whether only to read."""
    if parameters["manifest"] != CATALOG and not storage_uris.scheme_of(parameters["manifest"]):
        yield str(Path(parameters["manifest"]).parent), True
    for name in _READ:
        if parameters[name] not in ("", WORDS.get(name)) and not storage_uris.scheme_of(parameters[name]):
            yield parameters[name], True
    if not storage_uris.scheme_of(parameters["storage"]):
        yield parameters["storage"], False


def summary(outputs: RunOutputs, storage_uri: str) -> str:
    """Returns what a user wants to know at the end of a run: the scores, and where everything is."""
    evaluation = json.loads(outputs.evaluation.read_text(encoding="utf-8"))
    test_set = evaluation["test_set"]["total"]
    lines = ["", f"macro-F1 on {test_set['videos']} test videos of {test_set['groups']} groups:"]
    for name, model in evaluation["models"].items():
        interval = model["video_macro_f1_interval"]
        spread = f"  (95 % interval {interval['low']:.3f} to {interval['high']:.3f})" if interval else ""
        lines.append(f"  {name:<24} {model['video']['macro_f1']:.3f}{spread}")
    lines.append(f"  {'majority-class baseline':<24} {evaluation['baseline']['macro_f1']:.3f}")
    champion = read_champion(storage_uri)
    places = {
        "dataset report": outputs.dataset_report,
        "pruned model": outputs.model,
        "report": outputs.report,
        "metrics": outputs.evaluation,
        "decision": outputs.decision,
        "champion": version_uri(storage_uri, champion.version) if champion else "none yet",
    }
    return "\n".join([*lines, "", *(f"{name:<14}  {place}" for name, place in places.items())])


def _run(parameters: dict[str, Any], runner: str, pipeline_root: Path, verbose: bool) -> None:
    outputs = run_training(parameters, runner, pipeline_root, verbose)
    click.echo(summary(outputs, storage_uris.absolute_uri(parameters["storage"])))


run_command = local_command(
    "run",
    _run,
    "Runs the training pipeline on this machine. It says at the end where the model, the report and the metrics are.",
    training,
    "STORAGE/runs, or ./runs for cloud storage",
    "lus run --manifest phantoms/manifest.csv --storage lungs --backbone small",
)
