"""Running the training DAG on this machine, through kfp.local: in this Python environment, or in Docker containers."""

import dataclasses
import json
import os
import re
import typing
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kfp import local

from components.core import storage as storage_uris
from components.core.champion import read_champion, version_uri
from components.core.errors import DataError, UsageError
from components.core.manifest import CATALOG, absolute_manifest_uri, check_groups, read_manifest
from components.core.parameters import check_values
from components.core.selection import Selection
from pipelines.console import step_output
from pipelines.training import training

RUNNERS = ("subprocess", "docker")
FILE_NAMES = {"contact_sheet": "contact_sheet.html", "evaluation": "evaluation.json", "report": "report.html", "decision": "decision.md"}


@dataclasses.dataclass(frozen=True)
class RunOutputs:
    """Local paths of what a run gave."""

    contact_sheet: Path
    model: Path
    evaluation: Path
    report: Path
    decision: Path


def run_training(parameters: dict[str, Any], runner: str, pipeline_root: Path) -> RunOutputs:
    """Runs the training DAG to its end.

    Args:
        parameters: of the pipeline, by name.
        runner: one of RUNNERS.
        pipeline_root: folder for the outputs of the steps.

    Raises:
        UsageError: a parameter or the manifest is wrong; nothing was started.
        StorageError: the storage cannot be written.
        DataError: a step failed.
    """
    parameters = _checked(parameters)
    local.init(runner=_runner(runner, parameters), pipeline_root=str(pipeline_root.absolute()), raise_on_error=True)
    with step_output() as console, warnings.catch_warnings():
        # kfp guesses from an image's name whether it holds Python.
        warnings.filterwarnings("ignore", message="You may be attemping to run a task", category=RuntimeWarning)
        try:
            task = training(**parameters)
        except RuntimeError as error:
            raise DataError(_failure(str(error), console.last_error)) from None
    outputs = {name: Path(task.outputs[name].path) for name in typing.get_type_hints(RunOutputs)}
    absent = [name for name, path in outputs.items() if not path.exists()]
    if absent:
        raise DataError(f"the run ended without its output {', '.join(absent)}; see the log of its steps.")
    return RunOutputs(**{name: _linked(path, FILE_NAMES[name]) if name in FILE_NAMES else path for name, path in outputs.items()})


def _linked(path: Path, name: str) -> Path:
    """Links an output, which kfp names without a suffix, under a name in the folder of the run that other programs understand."""
    link = path.parents[1] / name
    link.symlink_to(path.relative_to(link.parent))
    return link


def _checked(parameters: dict[str, Any]) -> dict[str, Any]:
    """Checks what can be checked before any work starts; returns the parameters with absolute URIs."""
    check_values(**parameters)
    rows = read_manifest(parameters["manifest"])
    selection = Selection(**{field.name: parameters[field.name] for field in dataclasses.fields(Selection)})
    selection.check(rows)
    check_groups(filter(selection.takes, rows))
    storage_uris.check_writable(parameters["storage"])
    uris = {name: storage_uris.absolute_uri(parameters[name]) for name in ("storage", "drop_in", "cookies") if parameters[name]}
    return {**parameters, **uris, "manifest": absolute_manifest_uri(parameters["manifest"])}


def _runner(name: str, parameters: dict[str, Any]) -> local.SubprocessRunner | local.DockerRunner:
    if name == "subprocess":
        return local.SubprocessRunner(use_venv=False)
    import docker

    try:
        docker.from_env().ping()
    except docker.errors.DockerException:
        raise UsageError("no Docker engine answers; start one, or use --runner subprocess.") from None
    return local.DockerRunner(
        # kfp gives the whole command; the images' entry point is for people.
        entrypoint=[""],
        user=f"{os.getuid()}:{os.getgid()}",
        environment={"HOME": "/tmp"},
        network_mode="host",
        mounts=[docker.types.Mount(path, path, type="bind", read_only=read_only) for path, read_only in _mounted(parameters)],
    )


def _mounted(parameters: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yields the local folders that containers need to see, at the path that they have here, and whether only to read."""
    if parameters["manifest"] != CATALOG and not storage_uris.scheme_of(parameters["manifest"]):
        yield str(Path(parameters["manifest"]).parent), True
    for name in ("drop_in", "cookies"):
        if parameters[name] and not storage_uris.scheme_of(parameters[name]):
            yield parameters[name], True
    if not storage_uris.scheme_of(parameters["storage"]):
        yield parameters["storage"], False


def _failure(message: str, last_error: str) -> str:
    """Returns one sentence from kfp's message (which names the step in colour) and the step's own last words."""
    plain = re.sub(r"\x1b\[\d+m", "", message)
    step = re.search(r"Inner task failed: '([^']+)'", plain)
    reason = last_error or "see its log above"
    return f"the run failed in step {step[1]!r}: {reason}" if step else f"the run failed: {plain}"


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
        "contact sheet": outputs.contact_sheet,
        "pruned model": outputs.model,
        "report": outputs.report,
        "metrics": outputs.evaluation,
        "decision": outputs.decision,
        "champion": version_uri(storage_uri, champion.version) if champion else "none yet",
    }
    return "\n".join([*lines, "", *(f"{name:<13} {place}" for name, place in places.items())])
