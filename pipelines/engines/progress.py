"""How far a run on a cluster is, and waiting for its end."""

import dataclasses
import datetime
import time
from collections.abc import Callable
from http import HTTPStatus

from components.core.errors import ClusterError, UsageError

POLL_S = 5.0
# While a run is waited for, a server that does not answer, or answers with a fault of its own, is asked again for so long.
MAX_SILENCE_S = 600.0
# How long a pod may take to start before something is said of it, and before it is said that nothing is known.
PATIENCE_S, MAX_PATIENCE_S = 10.0, 60.0
# Exit codes of a run that did not succeed, or of which nobody can tell.
FAILED_CODE, CANCELED_CODE, TIMED_OUT_CODE, DELETED_CODE, UNKNOWN_CODE = 1, 3, 4, 5, 6
# States of runs and steps, in Kubeflow's words.
PENDING, RUNNING, SUCCEEDED, FAILED, CANCELED, SKIPPED = "PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"
FINAL_STATES = (SUCCEEDED, SKIPPED, FAILED, CANCELED)


@dataclasses.dataclass(frozen=True)
class Step:
    """A step of a run.

    Attributes:
        name: in the pipeline; of a nested pipeline's step, `training/ingest`.
        state: one of the states above.
        start: when its container was asked for, or None.
        end: when it ended, or None.
        note: what else there is to know, such as that its result comes from the cache.
        waiting: why its pod does not start, as far as the cluster says, and what to do; empty when it does, or nothing is known.
        failure: what went wrong and what to do; empty unless it failed.
        log_uri: where its log will be when it has ended; empty when nobody knows.
    """

    name: str
    state: str
    start: datetime.datetime | None
    end: datetime.datetime | None
    note: str = ""
    waiting: str = ""
    failure: str = ""
    log_uri: str = ""

    @property
    def seconds(self) -> float:
        """How long it took; 0 when it was not started or has not ended."""
        return max(0.0, (self.end - self.start).total_seconds()) if self.start and self.end else 0.0

    def line(self) -> str:
        """Returns the step in a line of text."""
        took = duration(self.seconds) if self.end else ""
        return f"{self.name:<24} {self.state:<10} {took:>9}  {self.note}".rstrip()


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        state: of the run.
        steps: those that have begun, in the order in which they did.
        error: what the cluster says of the run as a whole.
        where_to_look: how to find out why a pod does not start.
    """

    state: str
    steps: list[Step]
    error: str = ""
    where_to_look: str = "see the page of the run"

    def failure(self) -> str:
        """Returns what went wrong, step by step."""
        failed = [f"{step.name}: {step.failure.rstrip('.')}" for step in self.steps if step.failure]
        return "; ".join([*failed, *([self.error] if self.error else [])]) or self.where_to_look


def follow(look: Callable[[], Progress], timeout_s: float, what: str) -> list[Step]:
    """Waits for a run to end, and prints each change of a step; returns the steps.

    Args:
        look: returns how far the run is.
        timeout_s: how long to wait at most.
        what: the run, in words.

    Raises:
        ClusterError: the run failed, was canceled, was deleted, or did not end in time (it goes on then), or the server does not tell its
            state any more; exit codes differ.
    """
    deadline = time.monotonic() + timeout_s
    printer = _Printer()
    heard_at = time.monotonic()
    while True:
        try:
            progress = look()
            heard_at = time.monotonic()
        except (ClusterError, UsageError) as error:
            if not _may_pass(error) or time.monotonic() - heard_at > MAX_SILENCE_S:
                raise _no_state(error, what) from None
            if time.monotonic() >= deadline:
                raise ClusterError(
                    f"{what} did not end within {timeout_s:g} s, as far as is known: {error}", exit_code=TIMED_OUT_CODE
                ) from None
            say(f"{error} Asking again.")
            time.sleep(POLL_S)
            continue
        printer.show(progress)
        if progress.state in FINAL_STATES:
            break
        if time.monotonic() >= deadline:
            raise ClusterError(f"{what} did not end within {timeout_s:g} s and goes on; it is {progress.state}.", exit_code=TIMED_OUT_CODE)
        time.sleep(min(POLL_S, max(0.0, deadline - time.monotonic())))
    if progress.state == FAILED:
        raise ClusterError(f"{what} failed: {progress.failure().rstrip('.')}.", exit_code=FAILED_CODE)
    if progress.state == CANCELED:
        raise ClusterError(f"{what} was canceled.", exit_code=CANCELED_CODE)
    return progress.steps


def say(text: str) -> None:
    """Prints a line with the time."""
    print(f"{datetime.datetime.now():%H:%M:%S}  {text}", flush=True)


def duration(seconds: float) -> str:
    """Returns a time span as people read it, such as 1 h 02 min or 14 s."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


class _Printer:
    """Prints what has changed since the last look."""

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}
        self._waits_since: dict[str, float] = {}
        self._said: dict[str, str] = {}

    def show(self, progress: Progress) -> None:
        if not progress.steps and progress.state not in FINAL_STATES:
            self._show_waiting(Step("the run", PENDING, None, None), progress.where_to_look)
        for step in progress.steps:
            if self._shown.get(step.name) != (line := step.line()):
                self._shown[step.name] = line
                say(line)
            if step.state == PENDING:
                self._show_waiting(step, progress.where_to_look)
            else:
                self._waits_since.pop(step.name, None)
                self._said.pop(step.name, None)

    def _show_waiting(self, step: Step, where_to_look: str) -> None:
        """Says why a step waits once it does so for longer than a pod usually takes, and again when the reason changes."""
        waited_s = time.monotonic() - self._waits_since.setdefault(step.name, time.monotonic())
        if step.waiting and waited_s >= PATIENCE_S:
            text = f"waits: {step.waiting}"
        elif not step.waiting and waited_s >= MAX_PATIENCE_S:
            text = f"waits, and the cluster does not say why: {where_to_look}"
        else:
            return
        if self._said.get(step.name) != text:
            self._said[step.name] = text
            say(f"{step.name:<24} {text}")


def _may_pass(error: ClusterError | UsageError) -> bool:
    """Tells whether a look is worth another try: there was no answer, or one that the server may not give again."""
    return isinstance(error, ClusterError) and (error.status == 0 or error.status == HTTPStatus.TOO_MANY_REQUESTS or error.status >= 500)


def _no_state(error: ClusterError | UsageError, what: str) -> ClusterError:
    if isinstance(error, ClusterError) and error.status == HTTPStatus.NOT_FOUND:
        return ClusterError(f"{what} was deleted while it was waited for.", status=error.status, exit_code=DELETED_CODE)
    return ClusterError(f"the state of {what} is not known any more, and it may go on: {error}", exit_code=UNKNOWN_CODE)
