"""Running pipelines on this machine, through kfp.local: in this Python environment, or in Docker containers."""

import contextlib
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from docker.errors import DockerException
from google.protobuf import json_format
from kfp import local
from kfp.local import executor_input_utils

from components.core.errors import DataError, UsageError
from components.core.files import disk_faults
from pipelines.engines.console import LOG_NAME, step_output
from pipelines.engines.containers import ContainerRun

RUNNERS = ("subprocess", "docker")
# Their numbers are in what the step reports to kfp.
_WITHOUT_FILE = ("system.Metrics", "system.ClassificationMetrics", "system.SlicedClassificationMetrics")


def run_locally(
    pipeline: Any, parameters: dict[str, Any], runner: str, pipeline_root: Path, mounts: Iterable[tuple[str, bool]], verbose: bool
) -> Any:
    """Runs a pipeline to its end on this machine, and shows how far it is; its log is in the folder of the run.

    Args:
        pipeline: a kfp pipeline.
        parameters: of the pipeline, by name; paths are absolute.
        runner: one of RUNNERS.
        pipeline_root: folder for the outputs of the steps.
        mounts: other local folders that containers need to see, at the path that they have here, each with whether it is only read.
        verbose: show all that is logged.

    Returns:
        kfp's task, which knows the outputs.

    Raises:
        UsageError: the runner lacks something, or a parameter is a name that is not UTF-8; nothing was started.
        DataError: a step failed, or ended without an output that it promises.
    """
    _check_text(parameters)
    spec = json_format.MessageToDict(pipeline.pipeline_spec)
    root = _created(pipeline_root)
    steps = _containers(spec)
    with contextlib.ExitStack() as stack:
        containers = stack.enter_context(ContainerRun({step["image"] for step in steps.values()})) if runner == "docker" else None
        folder = stack.enter_context(_run_folder(root, spec["pipelineInfo"]["name"]))
        console = stack.enter_context(step_output(folder / LOG_NAME, steps, verbose))
        stack.enter_context(warnings.catch_warnings())
        # kfp guesses from an image's name whether it holds Python.
        warnings.filterwarnings("ignore", message="You may be attemping to run a task", category=RuntimeWarning)
        kfp_runner = containers.runner(mounts) if containers else local.SubprocessRunner(use_venv=False)
        local.init(runner=kfp_runner, pipeline_root=str(root), raise_on_error=True)
        task, failure = None, ""
        try:
            task = pipeline(**parameters)
        except (RuntimeError, ValueError) as error:
            # A ValueError: a step has ended well, and the next one misses its output.
            failure = str(error)
        except DockerException as error:
            raise DataError(f"Docker could not start a step ({error}); were its images built by `make images`?") from None
        reason = containers.failure() if containers else ""
    failed = _failed_step(failure)
    _check_promised(spec, folder, _upstream(spec, failed) if failed else set(spec["root"]["dag"]["tasks"]), console.last_words())
    if failure or reason:
        where = f" in step {failed!r}" if failed else ""
        reason = reason or console.last_error or disk_faults.sentence_if_full([Path(tempfile.gettempdir()), root])
        raise DataError(f"the run failed{where}: {reason or (console.last_words() if failed else failure)}")
    return task


def _check_text(parameters: dict[str, Any]) -> None:
    """Refuses file names that are not UTF-8: a pipeline carries its parameters as text."""
    for name, value in parameters.items():
        if isinstance(value, str) and value.encode("utf-8", "replace").decode() != value:
            raise UsageError(
                f"{name} {value!r} is not UTF-8, as the parameters of a pipeline must be; "
                "give it through a symbolic link with another name, or run the steps by hand (python -m components)."
            )


def _failed_step(message: str) -> str:
    """Returns the step that kfp names, in colour, as the one that failed."""
    step = re.search(r"Inner task failed: '([^']+)'", re.sub(r"\x1b\[\d+m", "", message))
    return step[1] if step else ""


def _upstream(spec: dict[str, Any], step: str) -> set[str]:
    """Returns the steps that have ended before a step starts."""
    before = spec["root"]["dag"]["tasks"][step].get("dependentTasks", [])
    return {*before, *(name for other in before for name in _upstream(spec, other))}


def _check_promised(spec: dict[str, Any], folder: Path, steps: set[str], last_words: str) -> None:
    """Checks that steps which have ended well have written what they promise in the folder of the run: kfp asks only for their exit codes.

    Args:
        spec: of the pipeline.
        folder: of the run.
        steps: that have ended well.
        last_words: what is known of why something may be absent.

    Raises:
        DataError: something is absent.
    """
    for name in sorted(steps, key=lambda step: len(_upstream(spec, step))):
        component = spec["components"][spec["root"]["dag"]["tasks"][name]["componentRef"]["name"]]
        if "importer" in spec["deploymentSpec"]["executors"][component["executorLabel"]]:
            continue  # it refers to what is there already
        outputs = component.get("outputDefinitions", {}).get("artifacts", {})
        files = [key for key, value in outputs.items() if value["artifactType"]["schemaTitle"] not in _WITHOUT_FILE]
        if absent := [key for key in files if not (folder / name / key).exists()]:
            raise DataError(f"the step {name!r} ended without its output {', '.join(absent)}: {last_words}")


def _containers(spec: dict[str, Any]) -> dict[str, Any]:
    """Returns the containers of the steps by the names that kfp gives these when they run: not the importers, which do nothing."""
    executors = spec["deploymentSpec"]["executors"]
    labels = {name.removeprefix("comp-"): component["executorLabel"] for name, component in spec["components"].items()}
    return {name: executors[label]["container"] for name, label in labels.items() if "container" in executors[label]}


def _created(pipeline_root: Path) -> Path:
    """Creates the folder, which Docker would otherwise create for root."""
    root = pipeline_root.absolute()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot create the folder {str(root)!r} ({error.strerror}); give another --pipeline-root.") from None
    return root


@contextlib.contextmanager
def _run_folder(root: Path, pipeline_name: str) -> Iterator[Path]:
    """Creates the folder of the run that kfp is asked for in the block; kfp would tell its name only when the first step has begun.

    Raises:
        UsageError: it cannot be created.
    """
    name = executor_input_utils.get_local_pipeline_resource_name(pipeline_name)
    folder = _created(root / name)
    with mock.patch.object(executor_input_utils, "get_local_pipeline_resource_name", return_value=name):
        yield folder


def renamed_copy(path: Path, name: str) -> Path:
    """Copies an output, which kfp names without a suffix, to a name in the folder of the run that other programs understand.

    A symbolic link would not do: browsers go by the name of the file that it points to, and would show the source of a report.
    """
    copy = path.parents[1] / name
    shutil.copyfile(path, copy)
    return copy
