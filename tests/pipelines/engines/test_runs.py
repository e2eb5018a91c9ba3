"""`lus runs` with kfp's own client, and what a user reads of a run that is followed; tests/cluster does it on a real server."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from components.core import storage
from pipelines.engines import progress, runs
from pipelines.engines.progress import Progress, Step
from tests.pipelines.conftest import PARAMETERS
from tests.pipelines.kubeflow_server import KubeflowServer

Lus = Callable[..., Result]


@pytest.fixture
def run_id(server: KubeflowServer, run_lus: Lus, training_file: Path) -> str:
    """A run that goes on for a while."""
    server.script = [("RUNNING", {"ingest": "RUNNING"})] * 3 + [("RUNNING", {"ingest": "SUCCEEDED", "train": "RUNNING"})]
    return re.findall(r"runs/details/(\S+)", run_lus("submit", training_file, *PARAMETERS).stdout)[0]


def test_runs_are_listed_the_newest_first(server: KubeflowServer, run_lus: Lus, run_id: str, training_file: Path) -> None:
    server.script = [("SUCCEEDED", {"ingest": "SUCCEEDED"})]
    assert run_lus("submit", training_file, *PARAMETERS, "--wait").exit_code == 0
    rows = [line.split() for line in run_lus("runs", "list").stdout.splitlines()[1:]]
    assert [(row[0] == run_id, row[1]) for row in rows] == [(False, "SUCCEEDED"), (True, "PENDING")]
    assert len(run_lus("runs", "list", "--limit", 1).stdout.splitlines()) == 2
    result = run_lus("runs", "list", "--experiment", "other")
    assert result.exit_code == 2
    assert "there is no experiment 'other'" in result.stderr


def test_a_run_is_shown_by_its_id_or_its_address(server: KubeflowServer, run_lus: Lus, run_id: str) -> None:
    for name in (run_id, f"{server.host}/#/runs/details/{run_id}"):
        shown = run_lus("runs", "show", name).stdout
        assert "  manifest = gs://bucket/manifest.csv" in shown
        assert re.search(r"^ingest +RUNNING$", shown, re.MULTILINE)
    result = run_lus("runs", "show", "the-newest")
    assert result.exit_code == 2
    assert "'the-newest' is no run; give its id or its address" in result.stderr


@pytest.mark.parametrize("forgets_canceling", [False, True])
def test_a_run_that_was_asked_to_end_is_canceled_though_the_server_calls_it_failed(
    server: KubeflowServer, run_lus: Lus, run_id: str, forgets_canceling: bool
) -> None:
    server.faults.forgets_canceling = forgets_canceling
    result = run_lus("runs", "cancel", run_id)
    assert (result.exit_code, result.stdout.split(":")[0]) == (0, "canceled")
    assert run_lus("runs", "wait", run_id).exit_code == 3
    assert run_lus("runs", "cancel", run_id).stdout.startswith("canceled: ")
    assert run_lus("runs", "list").stdout.splitlines()[1].split()[1] == "CANCELED"


def test_ctrl_c_leaves_the_run_going_and_says_how_to_come_back(
    server: KubeflowServer, run_lus: Lus, training_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(progress.time, "sleep", interrupted)
    server.script = [("RUNNING", {"ingest": "RUNNING"})]
    result = run_lus("submit", training_file, *PARAMETERS, "--wait")
    assert result.exit_code == 130
    (run_id,) = server.runs
    assert f"the run goes on: {server.host}/#/runs/details/{run_id}; `lus runs wait {run_id}` comes back to it" in result.stderr
    assert not any(":terminate" in request for request in server.requests)


def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], step: Step, seconds: float) -> list[str]:
    """Returns what is printed of a step that is looked at for some seconds."""
    clock = iter(range(10_000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(progress, "POLL_S", 0.0)
    looks = iter([Progress("RUNNING", [step], where_to_look="look there")] * round(seconds))
    progress.follow(lambda: next(looks, Progress("SUCCEEDED", [])), 1e6, "the run 7")
    return [line.split("  ", 1)[1] for line in capsys.readouterr().out.splitlines()]


def test_why_a_pod_waits_is_said_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(monkeypatch, capsys, Step("train", "PENDING", None, None, waiting="no node has room for it."), 200)
    assert lines == ["train                    PENDING", "train                    waits: no node has room for it."]


def test_that_nothing_is_known_of_a_pod_that_waits_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(monkeypatch, capsys, Step("train", "PENDING", None, None), 200)
    assert lines[1:] == ["train                    waits, and the cluster does not say why: look there"]


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (
            "INFO: 3 videos\nerror: manifest 'a.csv' does not exist; give another one.\n",
            "manifest 'a.csv' does not exist; give another one",
        ),
        ("Traceback (most recent call last):\n  File\nKeyError: 'x'\nmore\n", "KeyError: 'x'"),
        ("Killed\n", "does not say why"),
        (None, "cannot be read from here"),
    ],
)
def test_a_failed_step_is_explained_by_its_log(tmp_path: Path, log: str | None, words: str) -> None:
    if log is not None:
        storage.write_bytes(str(tmp_path / "log"), log.encode())
    step = runs._explained(Step("train", "FAILED", None, None, log_uri=str(tmp_path / "log")))
    assert words in step.failure
