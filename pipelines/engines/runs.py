"""Runs on Kubeflow Pipelines as `lus runs` and `lus submit --wait` see them: how far they are, and why they failed."""

import dataclasses
import datetime
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any

from components.core import storage
from components.core.errors import ClusterError, PipelineError, UsageError
from pipelines.engines.kubeflow import Kubeflow
from pipelines.engines.progress import CANCELED, FAILED, FINAL_STATES, PENDING, POLL_S, Progress, Step, duration
from pipelines.engines.workflow import steps_of

_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# The step's own sentence, as `core.errors` prints it; else the last line of a traceback.
_SENTENCE = re.compile(r"^error: (.+)$", re.MULTILINE)
_EXCEPTION = re.compile(r"^(\w[\w.]*(?:Error|Exception|Interrupt)\b.*)$", re.MULTILINE)
_MAX_CANCELING_S = 60.0
_UNFINISHED = ("PENDING", "RUNNING", "CANCELING", "PAUSED")


def run_id_in(text: str) -> str:
    """Returns the id of a run, given as such or in the address of its page.

    Raises:
        UsageError: there is none.
    """
    if found := _RUN_ID.search(text):
        return found[0]
    raise UsageError(f"{text!r} is no run; give its id or its address, as `lus submit` and `lus runs list` show them.")


def progress(kubeflow: Kubeflow, run_id: str) -> Progress:
    """Returns how far a run is, and when it has failed what its steps say of that."""
    return _progress_of(kubeflow, kubeflow.run(run_id))


def _progress_of(kubeflow: Kubeflow, run: Any) -> Progress:
    workflow = kubeflow.workflow(run.run_id)
    state = _state_of(kubeflow, run)
    steps = steps_of(workflow)
    if state == FAILED:
        steps = [_explained(step) for step in steps]
    return Progress(
        state=state,
        steps=steps,
        error=" ".join(str((run.error and run.error.message) or workflow.get("status", {}).get("message") or "").split()),
        where_to_look=f"`kubectl describe pods -l pipeline/runid={run.run_id}` may tell, in the namespace of the run",
    )


def _state_of(kubeflow: Kubeflow, run: Any) -> str:
    """Returns the state of a run; one that was asked to end is canceled, though Kubeflow calls it failed.

    Its history says CANCELING, unless the workflow's state was written at the same moment (2 of 24 runs on Kubeflow Pipelines 2.17); the
    workflow's deadline is zero either way.
    """
    if run.state != FAILED:
        return run.state or PENDING
    if any(status.state == "CANCELING" for status in run.state_history or []):
        return CANCELED
    return CANCELED if kubeflow.workflow(run.run_id).get("spec", {}).get("activeDeadlineSeconds") == 0 else FAILED


def _explained(step: Step) -> Step:
    """Returns a failed step with what its log says, unless the cluster knows better."""
    if step.state != FAILED or step.failure:
        return step
    return dataclasses.replace(step, failure=_words_of(step.log_uri))


def _words_of(log_uri: str) -> str:
    if not log_uri:
        return "its log is not kept; see the page of the run"
    try:
        # Once: a bucket that cannot be reached from here is no outage.
        with storage.failures("read", log_uri):
            log = storage.path_of(log_uri).read_bytes().decode(errors="replace")
    except PipelineError as error:
        return f"its log {log_uri} cannot be read from here ({str(error).rstrip('.')})"
    if found := _SENTENCE.findall(log) or _EXCEPTION.findall(log):
        return str(found[-1]).rstrip(".")
    return f"its log {log_uri} does not say why"


def table(kubeflow: Kubeflow, runs: Iterable[Any]) -> str:
    """Returns a line for each run; times are in the user's time zone."""
    rows = [f"{'id':<36}  {'state':<10} {'started':<19} {'took':>13}  name"]
    for run in runs:
        took = duration((run.finished_at - run.created_at).total_seconds()) if _is_over(run) else ""
        started = f"{run.created_at.astimezone():%Y-%m-%d %H:%M:%S}"
        rows.append(f"{run.run_id}  {_state_of(kubeflow, run):<10} {started} {took:>13}  {run.display_name}")
    return "\n".join(rows)


def details(kubeflow: Kubeflow, run_id: str) -> str:
    """Returns a run with its parameters and its steps."""
    run = kubeflow.run(run_id)
    reached = _progress_of(kubeflow, run)
    parameters: Mapping[str, Any] = (run.runtime_config and run.runtime_config.parameters) or {}
    lines = [f"{run.display_name}  {reached.state}", kubeflow.run_url(run_id), ""]
    lines += [f"  {name} = {value}" for name, value in sorted(parameters.items())]
    lines += ["", *(text for step in reached.steps for text in _lines_of(step))]
    if reached.state == FAILED:
        lines += ["", f"failed: {reached.failure()}"]
    return "\n".join(lines)


def cancel(kubeflow: Kubeflow, run_id: str) -> str:
    """Ends a run, unless it is over, and waits until the server says so; returns the state in which it is then.

    Raises:
        ClusterError: it has been asked to end, and has not ended yet.
    """
    state = _state_of(kubeflow, kubeflow.run(run_id))
    if state in FINAL_STATES:
        return state
    kubeflow.cancel(run_id)
    deadline = time.monotonic() + _MAX_CANCELING_S
    while (state := _state_of(kubeflow, kubeflow.run(run_id))) not in FINAL_STATES and time.monotonic() < deadline:
        time.sleep(POLL_S)
    if state not in FINAL_STATES:
        raise ClusterError(f"the run {run_id} was asked to end, and is {state}; `lus runs wait {run_id}` tells when it has ended.")
    return state


def _lines_of(step: Step) -> Iterable[str]:
    yield step.line()
    if step.waiting:
        yield f"  waits: {step.waiting}"
    if step.log_uri:
        yield f"  outputs and log: {step.log_uri.rpartition('/')[0]}"


def unfinished(kubeflow: Kubeflow, schedule_id: str) -> list[Any]:
    """Returns the runs of a schedule that are going on."""
    found = [run for state in _UNFINISHED for run in kubeflow.runs(max_runs=1000, state=state)]
    return [run for run in found if run.recurring_run_id == schedule_id]


def _is_over(run: Any) -> bool:
    return run.finished_at is not None and run.finished_at > datetime.datetime(1971, 1, 1, tzinfo=datetime.UTC)
