"""`lus schedule`: a pipeline again and again on a cluster."""

import datetime
from pathlib import Path
from typing import Any

import click

from components.command_line import example
from components.core.errors import UsageError
from pipelines.commands.connection import AT, CONNECTION, RUN, cluster_command, kubeflow_of, platform_of, root_of
from pipelines.resources import VERTEX

_TIME_ZONE = click.Option(["--time-zone"], default="UTC", show_default=True, help="The time zone in which the cluster reads the cron.")
_NAME = click.Argument(["name"])


def _create_schedule(
    file: Path,
    parameters: tuple[str, ...],
    service_account: str,
    pipeline_root: str,
    experiment: str,
    name: str,
    cron: str,
    time_zone: str,
    max_concurrency: int,
    catch_up: bool,
    **connection: Any,
) -> None:
    """Starts a pipeline again and again; a schedule of the same name is replaced."""
    from pipelines.engines import schedule
    from pipelines.engines.submit import read_package, upload

    package = read_package(file, platform_of(connection), parameters)
    root = root_of(pipeline_root, package.parameters)
    cron = schedule.parse_cron(cron)
    times = schedule.next_times(cron, time_zone, datetime.datetime.now(datetime.UTC))
    settings: dict[str, Any]
    if connection["vertex"]:
        from pipelines.engines.vertex import SCHEDULE_LABEL, Vertex, VertexScheduler, vertex_cron

        if catch_up:
            raise UsageError("--catch-up is for Kubeflow; Vertex AI makes up for missed runs when a schedule is resumed in its console.")
        vertex = Vertex(connection["project"], connection["region"])
        settings = {
            "cron": vertex_cron(cron, time_zone),
            "max_concurrent_run_count": max_concurrency,
            "service_account": service_account or None,
        }
        digest = schedule.digest_of(**settings, version=package.version, parameters=dict(package.parameters), root=root)
        scheduler: schedule.Scheduler = VertexScheduler(
            vertex, settings, lambda digest: vertex.job(package, root, {SCHEDULE_LABEL: digest})
        )
    else:
        from pipelines.engines.kubeflow_schedules import KubeflowScheduler

        kubeflow = kubeflow_of(**connection)
        settings = {
            "experiment_id": kubeflow.experiment_id(experiment),
            "cron_expression": cron,
            "max_concurrency": max_concurrency,
            "no_catchup": not catch_up,
            "params": dict(package.parameters),
            "pipeline_root": root,
            "service_account": service_account or None,
            **upload(kubeflow, package),
        }
        digest = schedule.digest_of(**settings)
        scheduler = KubeflowScheduler(kubeflow, settings)
    done = schedule.replace(scheduler, name, digest)
    num_earlier = done.retired.num_deleted + done.retired.num_paused
    replaced = f", in place of {num_earlier} earlier" if num_earlier else ""
    paused = f"; it is paused, as before: `lus schedule resume {name}` lets it start runs" if done.kept.is_paused else ""
    click.echo(f"{'created' if done.is_new else 'unchanged'}: {name}{replaced}{paused}")
    _tell_of_runs(done.retired.going_on)
    for time in times:
        click.echo(f"next: {schedule.show_time(time)}")


def _scheduler(connection: dict[str, Any]) -> Any:
    """Returns a scheduler that creates nothing."""
    if platform_of(connection) == VERTEX:
        from pipelines.engines.vertex import Vertex, VertexScheduler

        return VertexScheduler(Vertex(connection["project"], connection["region"]))
    from pipelines.engines.kubeflow_schedules import KubeflowScheduler

    return KubeflowScheduler(kubeflow_of(**connection))


def _list_schedules(time_zone: str, **connection: Any) -> None:
    """Lists the schedules of this project, with the next time of each."""
    from pipelines.engines import schedule

    click.echo(schedule.table(_scheduler(connection).schedules(), time_zone, datetime.datetime.now(datetime.UTC)))


def _pause_schedule(name: str, **connection: Any) -> None:
    """Lets a schedule start no more runs, until it is resumed; a run that it has started goes on."""
    from pipelines.engines import schedule

    scheduler = _scheduler(connection)
    for found in schedule.named(scheduler, name):
        scheduler.pause(found.id)
    click.echo(f"paused: {name}")


def _resume_schedule(name: str, **connection: Any) -> None:
    """Lets a paused schedule start runs again; runs that were missed are not made up for."""
    from pipelines.engines import schedule

    scheduler = _scheduler(connection)
    scheduler.resume(schedule.named(scheduler, name)[0].id)
    click.echo(f"resumed: {name}")


def _delete_schedule(name: str, **connection: Any) -> None:
    """Deletes a schedule; a run that it has started goes on.

    A server before Kubeflow Pipelines 2.16 would end the run, so there the schedule is paused, and deleted by the same command later.
    """
    from pipelines.engines import schedule

    scheduler = _scheduler(connection)
    retired = schedule.retire(scheduler, schedule.named(scheduler, name))
    if retired.num_paused:
        click.echo(f"paused: {name} starts no more runs; the same command deletes it when the run that goes on has ended")
    else:
        click.echo(f"deleted: {name}")
    _tell_of_runs(retired.going_on)


def _tell_of_runs(urls: list[str]) -> None:
    for url in urls:
        click.echo(f"a run that it had started goes on to its end: {url}")


schedule_group = click.Group(
    "schedule",
    help="Starts a pipeline again and again.",
    epilog=example(f"lus schedule list {AT}"),
)
schedule_group.add_command(
    cluster_command(
        "create",
        _create_schedule,
        "lus schedule create retraining.yaml --name weekly --cron '0 3 * * 1' "
        f"{AT} -p manifest=gs://lungs/videos.csv -p storage=gs://lungs",
        [
            *RUN,
            click.Option(["--name"], required=True, help="Name of the schedule."),
            click.Option(["--cron"], required=True, help="Five fields, or six with the seconds first: '0 3 * * 1' is Mondays at three."),
            _TIME_ZONE,
            click.Option(
                ["--max-concurrency"],
                type=click.IntRange(1, 10),
                default=1,
                show_default=True,
                help="How many of its runs may go on at once.",
            ),
            click.Option(["--catch-up"], is_flag=True, help="Make up for runs that were missed, one by one."),
            *CONNECTION,
        ],
    )
)
schedule_group.add_command(cluster_command("list", _list_schedules, f"lus schedule list {AT}", [_TIME_ZONE, *CONNECTION]))
schedule_group.add_command(cluster_command("pause", _pause_schedule, f"lus schedule pause weekly {AT}", [_NAME, *CONNECTION]))
schedule_group.add_command(cluster_command("resume", _resume_schedule, f"lus schedule resume weekly {AT}", [_NAME, *CONNECTION]))
schedule_group.add_command(cluster_command("delete", _delete_schedule, f"lus schedule delete weekly {AT}", [_NAME, *CONNECTION]))
