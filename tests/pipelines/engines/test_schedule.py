"""`lus schedule` with kfp's own client: replaced, never doubled for good, whatever request it is interrupted at."""

import datetime
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import Result

from components.core.errors import UsageError
from pipelines.engines.schedule import next_times, parse_cron
from tests.pipelines.conftest import PARAMETERS
from tests.pipelines.kubeflow_server import KubeflowServer

Lus = Callable[..., Result]
NOW = datetime.datetime(2026, 3, 27, 12, 0, tzinfo=datetime.UTC)


@pytest.fixture
def create(run_lus: Lus, training_file: Path) -> Lus:
    def run(*options: object, name: str = "weekly", cron: str = "0 3 * * 1") -> Result:
        return run_lus("schedule", "create", training_file, *PARAMETERS, "--name", name, "--cron", cron, *options)

    return run


def test_a_schedule_is_created_as_asked(server: KubeflowServer, create: Lus) -> None:
    result = create()
    assert result.exit_code == 0, result.output
    (schedule,) = server.recurring_runs.values()
    assert schedule["display_name"] == "weekly"
    assert schedule["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * 1"
    assert (schedule["no_catchup"], int(schedule["max_concurrency"]), schedule["status"]) == (True, 1, "ENABLED")
    assert schedule["runtime_config"]["parameters"]["storage"] == "gs://bucket/storage"
    assert result.stdout.count("next: Mon ") == 3


def test_the_same_schedule_is_left_alone_and_another_replaces_it(server: KubeflowServer, create: Lus) -> None:
    create()
    (first,) = server.recurring_runs
    assert "unchanged: weekly" in create().stdout
    assert list(server.recurring_runs) == [first]
    assert "created: weekly, in place of 1 earlier" in create(cron="0 4 * * 1").stdout
    (second,) = server.recurring_runs.values()
    assert second["trigger"]["cron_schedule"]["cron"] == "0 0 4 * * 1"
    assert len(server.versions) == 1


def test_it_is_paused_resumed_listed_and_deleted(server: KubeflowServer, create: Lus, run_lus: Lus) -> None:
    create()
    create(name="daily", cron="30 5 2 * * *")
    assert run_lus("schedule", "pause", "weekly").exit_code == 0
    assert {schedule["display_name"]: schedule["status"] for schedule in server.recurring_runs.values()} == {
        "weekly": "DISABLED",
        "daily": "ENABLED",
    }
    lines = run_lus("schedule", "list").stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["daily", "active"], ["weekly", "paused"]]
    assert "30 5 2 * * *" in lines[1]
    result = create(cron="0 5 * * 1")
    assert "it is paused, as before" in result.stdout
    assert run_lus("schedule", "resume", "weekly").exit_code == 0
    assert {schedule["status"] for schedule in server.recurring_runs.values()} == {"ENABLED"}
    assert run_lus("schedule", "delete", "weekly").exit_code == 0
    assert [schedule["display_name"] for schedule in server.recurring_runs.values()] == ["daily"]
    result = run_lus("schedule", "delete", "weekly")
    assert result.exit_code == 2
    assert "there is no schedule 'weekly'; there are: daily" in result.stderr


def test_what_goes_on_is_never_ended_with_its_schedule(server: KubeflowServer, create: Lus, run_lus: Lus, training_file: Path) -> None:
    create()
    (first,) = server.recurring_runs
    assert run_lus("submit", training_file, *PARAMETERS).exit_code == 0
    (run,) = server.runs.values()
    run |= {"recurring_run_id": first, "state": "RUNNING"}
    server.knows_policies = False
    result = create(cron="0 4 * * 1")
    assert f"goes on to its end: {server.host}/#/runs/details/{run['run_id']}" in result.stdout
    assert server.recurring_runs[first]["status"] == "DISABLED"
    assert [line.split()[1] for line in run_lus("schedule", "list").stdout.splitlines()[1:]] == ["active", "retired"]
    # What was retired is not resumed.
    run_lus("schedule", "pause", "weekly")
    run_lus("schedule", "resume", "weekly")
    assert server.recurring_runs[first]["status"] == "DISABLED"
    assert "paused: weekly starts no more runs" in run_lus("schedule", "delete", "weekly").stdout
    assert list(server.recurring_runs) == [first]
    run["state"] = "SUCCEEDED"
    assert run_lus("schedule", "delete", "weekly").stdout == "deleted: weekly\n"
    assert not server.recurring_runs
    # A server that knows how to leave the run alone is asked to.
    server.knows_policies, run["state"] = True, "RUNNING"
    create()
    (run["recurring_run_id"],) = server.recurring_runs
    deleted = run_lus("schedule", "delete", "weekly").stdout.splitlines()
    assert deleted[0] == "deleted: weekly"
    assert deleted[1].endswith(run["run_id"])
    assert not server.recurring_runs


def test_recurring_runs_of_others_are_not_touched(server: KubeflowServer, create: Lus, run_lus: Lus) -> None:
    create()
    (mine,) = server.recurring_runs.values()
    server.recurring_runs["theirs"] = {**mine, "recurring_run_id": "theirs", "description": "made by hand"}
    assert create(cron="0 5 * * 1").exit_code == 0
    assert run_lus("schedule", "delete", "weekly").exit_code == 0
    assert list(server.recurring_runs) == ["theirs"]


def test_interrupted_at_any_request_the_next_try_leaves_exactly_one(server: KubeflowServer, create: Lus) -> None:
    """The server stops answering after each request in turn, so that the command ends there; the schedule is never gone."""
    assert create(cron="0 1 * * 1").exit_code == 0
    before = len(server.requests)
    assert create(cron="0 2 * * 1").exit_code == 0
    num_requests = len(server.requests) - before
    assert num_requests >= 5
    for hour in range(num_requests):
        cron = f"0 {3 + hour} * * 1"
        server.faults.down_after = hour + 1
        assert create(cron=cron).exit_code == 1
        assert 1 <= len(server.recurring_runs) <= 2
        server.faults.down_after = None
        assert create(cron=cron).exit_code == 0
        (schedule,) = server.recurring_runs.values()
        assert schedule["trigger"]["cron_schedule"]["cron"] == f"0 {cron}"
        assert schedule["status"] == "ENABLED"
    assert len(server.versions) == 1


def test_the_first_creation_is_not_doubled_by_an_interruption(server: KubeflowServer, create: Lus) -> None:
    for after in range(1, 12):
        server.recurring_runs.clear()
        server.versions.clear()
        server.pipelines.clear()
        server.faults.down_after = after
        create()
        server.faults.down_after = None
        assert create().exit_code == 0
        assert (len(server.recurring_runs), len(server.versions), len(server.pipelines)) == (1, 1, 1)


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("0 3 * *", "it has 4 fields"),
        ("0 3 * * 1 * *", "it has 7 fields"),
        ("0 25 * * 1", "is wrong"),
        ("0 3 * * MOONDAY", "'MOONDAY' is not known to the schedulers"),
        ("0 3 L * *", "'L' is not known to the schedulers"),
        ("0 3 * * 7", "weekdays are 0 (Sunday) to 6"),
        ("0 3 30 2 *", "is wrong"),
        ("@weekly", "it has 1 fields"),
    ],
)
def test_a_wrong_cron_is_refused_before_anything_is_sent(server: KubeflowServer, create: Lus, cron: str, message: str) -> None:
    result = create(cron=cron)
    assert result.exit_code == 2
    assert message in result.stderr
    assert server.requests == []


def test_the_next_times_are_those_of_the_cluster_s_zone_over_a_change_of_clocks() -> None:
    # Clocks in Berlin went from +01:00 to +02:00 on Sunday 29 March 2026.
    times = next_times(parse_cron("0 3 * * *"), "Europe/Berlin", NOW)
    assert [time.astimezone(datetime.UTC).strftime("%d %H:%M") for time in times] == ["28 02:00", "29 01:00", "30 01:00"]
    assert next_times("30 0 12 * * *", "UTC", NOW, 1)[0] == datetime.datetime(2026, 3, 27, 12, 0, 30, tzinfo=ZoneInfo("UTC"))
    with pytest.raises(UsageError, match="no time zone 'Mars'"):
        next_times("0 0 3 * * *", "Mars", NOW)
