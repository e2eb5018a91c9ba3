"""Starting a compiled pipeline on Kubeflow Pipelines, and following the run to its end."""

import dataclasses
import datetime
import hashlib
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from importlib import metadata
from pathlib import Path
from typing import Any

from components.core.errors import ClusterError, UsageError
from pipelines.compile import documents, platform_of, read_compiled
from pipelines.cost import TaskTime
from pipelines.kubeflow import Kubeflow
from pipelines.parameters import parse_parameters

POLL_S = 5.0
# While a run is waited for, a server that does not answer, or answers with a fault of its own, is asked again for so long.
MAX_SILENCE_S = 600.0
# Exit codes of a run that did not succeed, or of which nobody can tell.
FAILED, CANCELED, TIMED_OUT, DELETED, UNKNOWN = 1, 3, 4, 5, 6
_FINAL_STATES = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")


@dataclasses.dataclass(frozen=True)
class Package:
    """A compiled pipeline that is ready to be sent.

    Attributes:
        path: the file.
        name: of the pipeline.
        version: the start of the SHA-256 of the file, so that equal content is one version.
        pipeline: the first document of the file.
        parameters: values for its parameters, checked.
    """

    path: Path
    name: str
    version: str
    pipeline: Mapping[str, Any]
    parameters: Mapping[str, Any]


def read_package(path: Path, platform: str, parameters: tuple[str, ...]) -> Package:
    """Reads and checks a compiled file and the parameters of a run; nothing is sent.

    Raises:
        UsageError: the file is for the other platform or was not written by this version, or a parameter is wrong.
    """
    text = read_compiled(path)
    if platform_of(text) != platform:
        raise UsageError(f"{str(path)!r} was compiled for {platform_of(text)}; compile it with --platform {platform}.")
    pipeline, _ = documents(text)
    return Package(
        path=path,
        name=pipeline["pipelineInfo"]["name"],
        version=hashlib.sha256(text.encode()).hexdigest()[:12],
        pipeline=pipeline,
        parameters=parse_parameters(pipeline, parameters),
    )


def upload(kubeflow: Kubeflow, package: Package) -> dict[str, str]:
    """Sees to it that the server has this version of the pipeline; returns its ids, as kfp.Client takes them."""
    description = f"compiled by lung-ultrasound-pipeline {metadata.version('lung-ultrasound-pipeline')}"
    pipeline_id, version_id, uploaded = kubeflow.pipeline_version(package.name, package.version, package.path, description)
    print(f"{package.name} {package.version}: {'uploaded' if uploaded else 'was uploaded before'}", flush=True)
    return {"pipeline_id": pipeline_id, "version_id": version_id}


def submit(kubeflow: Kubeflow, package: Package, experiment: str, service_account: str, pipeline_root: str) -> str:
    """Starts a run and returns its id."""
    experiment_id = kubeflow.experiment_id(experiment)
    run_id = kubeflow.start(
        experiment_id=experiment_id,
        job_name=f"{package.name} {datetime.datetime.now():%Y-%m-%d %H:%M:%S}",
        params=dict(package.parameters),
        pipeline_root=pipeline_root or None,
        service_account=service_account or None,
        **upload(kubeflow, package),
    )
    return run_id


def progress(kubeflow: Kubeflow, run_id: str) -> "Progress":
    """Returns how far a run is."""
    run = kubeflow.run(run_id)
    tasks = (run.run_details and run.run_details.task_details) or []
    return Progress(
        state=run.state or "PENDING",
        tasks=[
            TaskTime(task.display_name, task.state or "PENDING", task.start_time or task.create_time, task.end_time)
            for task in tasks
            if not task.display_name.endswith("-driver") and task.display_name not in ("root", "executor")
        ],
        error=_message(run.error) or "; ".join(f"{task.display_name}: {text}" for task in tasks if (text := _message(task.error))),
    )


def _message(error: Any) -> str:
    return " ".join(str(getattr(error, "message", "") or "").split())


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a run is: its state and those of its steps, as the server names them, and what went wrong."""

    state: str
    tasks: list[TaskTime]
    error: str


def follow(look: Callable[[], Progress], timeout_s: float, what: str) -> list[TaskTime]:
    """Waits for a run to end, and prints each change of a step; returns how long each step took.

    Args:
        look: returns how far the run is.
        timeout_s: how long to wait at most.
        what: the run, in words.

    Raises:
        ClusterError: the run failed, was canceled, was deleted, or did not end in time (it goes on then), or the server does not tell its
            state any more; exit codes differ.
    """
    deadline = time.monotonic() + timeout_s
    shown: dict[str, str] = {}
    heard_at = time.monotonic()
    while True:
        try:
            progress = look()
            heard_at = time.monotonic()
        except (ClusterError, UsageError) as error:
            if not _may_pass(error) or time.monotonic() - heard_at > MAX_SILENCE_S:
                raise _no_state(error, what) from None
            if time.monotonic() >= deadline:
                raise ClusterError(f"{what} did not end within {timeout_s:g} s, as far as is known: {error}", exit_code=TIMED_OUT) from None
            print(f"{datetime.datetime.now():%H:%M:%S}  {error} Asking again.", flush=True)
            time.sleep(POLL_S)
            continue
        for task in progress.tasks:
            if shown.get(task.name) != task.state:
                shown[task.name] = task.state
                print(f"{datetime.datetime.now():%H:%M:%S}  {task.name:<24} {task.state:<10} {_duration(task)}".rstrip(), flush=True)
        if progress.state in _FINAL_STATES:
            break
        if time.monotonic() >= deadline:
            raise ClusterError(f"{what} did not end within {timeout_s:g} s and goes on; it is {progress.state}.", exit_code=TIMED_OUT)
        time.sleep(min(POLL_S, max(0.0, deadline - time.monotonic())))
    if progress.state == "FAILED":
        raise ClusterError(f"{what} failed: {progress.error or 'see the log of its steps'}.", exit_code=FAILED)
    if progress.state == "CANCELED":
        raise ClusterError(f"{what} was canceled.", exit_code=CANCELED)
    return progress.tasks


def _may_pass(error: ClusterError | UsageError) -> bool:
    """Tells whether a look is worth another try: there was no answer, or one that the server may not give again."""
    return isinstance(error, ClusterError) and (error.status == 0 or error.status == HTTPStatus.TOO_MANY_REQUESTS or error.status >= 500)


def _no_state(error: ClusterError | UsageError, what: str) -> ClusterError:
    if isinstance(error, ClusterError) and error.status == HTTPStatus.NOT_FOUND:
        return ClusterError(f"{what} was deleted while it was waited for.", status=error.status, exit_code=DELETED)
    return ClusterError(f"the state of {what} is not known any more, and it may go on: {error}", exit_code=UNKNOWN)


def _duration(task: TaskTime) -> str:
    return f"{task.seconds:.0f} s" if task.end else ""
