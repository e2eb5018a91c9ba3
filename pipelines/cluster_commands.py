"""The commands of `lus` that talk to a cluster: submit and schedule."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from components.command_line import Failure
from components.core.errors import PipelineError, UsageError
from pipelines.cost import TaskTime, cost_table, read_prices, resources_by_task, usages
from pipelines.resources import KUBEFLOW


def _refuse_secret(_: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise Failure(
            UsageError(
                f"--{option.name} shows the secret to everyone who lists the processes; use --{option.name}-file, or the environment."
            )
        )


_CONNECTION = [
    click.Option(["--host"], envvar="KF_PIPELINES_ENDPOINT", help="Address of Kubeflow Pipelines.  [env: KF_PIPELINES_ENDPOINT]"),
    click.Option(["--namespace"], default="", help="Your namespace, where the server has several users."),
    click.Option(["--token-file"], default="", help="File with a bearer token.  [env: LUS_KFP_TOKEN holds the token itself]"),
    click.Option(["--cookie-file"], default="", help="File with the cookie NAME=VALUE of Dex or Istio.  [env: LUS_KFP_COOKIE]"),
    click.Option(
        ["--service-account-token"], default="", help="File of a service account's token volume, in a pod; read again when it changes."
    ),
    click.Option(["--google"], is_flag=True, help="Use Google's application default credentials."),
    *(click.Option([f"--{name}"], hidden=True, expose_value=False, is_eager=True, callback=_refuse_secret) for name in ("token", "cookie")),
]
_RUN = [
    click.Argument(["file"], type=click.Path(path_type=Path)),
    click.Option(["-p", "--parameter", "parameters"], multiple=True, help="NAME=VALUE of a parameter of the pipeline; may be repeated."),
    click.Option(["--service-account"], default="", help="The service account that the steps run as."),
    click.Option(["--pipeline-root"], default="", help="Where the outputs of steps go, a gs:// or s3:// URI.  [default: STORAGE/runs]"),
    click.Option(["--experiment"], default="lung-ultrasound", show_default=True, help="Groups the runs in the UI."),
]


def _command(name: str, callback: Callable[..., None], params: list[click.Parameter]) -> click.Command:
    """Returns a command whose errors are one sentence and an exit code; its help is the docstring."""

    def checked(**values: Any) -> None:
        try:
            callback(**values)
        except PipelineError as error:
            raise Failure(error) from None

    return click.Command(name, callback=checked, params=params, help=callback.__doc__)


def _connect(host: str | None, namespace: str, token_file: str, cookie_file: str, service_account_token: str, google: bool) -> Any:
    from pipelines.kubeflow import Kubeflow, authentication

    if not host:
        raise UsageError("say where: --host ADDRESS of Kubeflow Pipelines.")
    return Kubeflow(host, namespace, authentication(token_file, cookie_file, service_account_token, google))


def _root(pipeline_root: str, parameters: Any) -> str:
    return pipeline_root or f"{parameters['storage'].rstrip('/')}/runs"


def _submit(
    file: Path,
    parameters: tuple[str, ...],
    service_account: str,
    pipeline_root: str,
    experiment: str,
    wait: bool,
    timeout_s: float,
    prices: str,
    **connection: Any,
) -> None:
    """Starts a pipeline that `lus compile` wrote; the file is uploaded only when the cluster does not have it yet.

    With --wait, the exit code tells the outcome: 0 succeeded, 1 failed, 3 canceled, 4 not ended in time, 5 deleted.
    """
    from pipelines.submit import follow, read_package, submit

    package = read_package(file, KUBEFLOW, parameters)
    price_table = read_prices(prices) if prices else None
    # A GPU without a price is found before the run, not after it.
    cost_table(usages(package.pipeline, [TaskTime(name, "", None, None) for name in resources_by_task(package.pipeline)]), price_table)
    kubeflow = _connect(**connection)
    run_id = submit(kubeflow, package, experiment, service_account, _root(pipeline_root, package.parameters))
    if wait:
        tasks = follow(kubeflow, run_id, timeout_s)
        click.echo(f"succeeded\n\n{cost_table(usages(package.pipeline, tasks), price_table)}")


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
    from pipelines import schedule
    from pipelines.submit import read_package, upload

    package = read_package(file, KUBEFLOW, parameters)
    cron = schedule.parse_cron(cron)
    times = schedule.next_times(cron, time_zone, datetime.datetime.now(datetime.UTC))
    kubeflow = _connect(**connection)
    settings = {
        "experiment_id": kubeflow.experiment_id(experiment),
        "cron_expression": cron,
        "max_concurrency": max_concurrency,
        "no_catchup": not catch_up,
        "params": dict(package.parameters),
        "pipeline_root": _root(pipeline_root, package.parameters),
        "service_account": service_account or None,
        **upload(kubeflow, package),
    }
    scheduler = schedule.KubeflowScheduler(kubeflow, settings)
    kept, is_new, num_deleted = schedule.replace(scheduler, name, schedule.digest_of(**settings))
    replaced = f", in place of {num_deleted} earlier" if num_deleted else ""
    click.echo(f"{'created' if is_new else 'unchanged'}: {name}{replaced}{'; it is paused, as before' if kept.is_paused else ''}")
    for time in times:
        click.echo(f"next: {schedule.show_time(time)}")


def _list_schedules(time_zone: str, **connection: Any) -> None:
    """Lists the schedules of this project, with the next time of each."""
    from pipelines import schedule

    click.echo(
        schedule.table(schedule.KubeflowScheduler(_connect(**connection)).schedules(), time_zone, datetime.datetime.now(datetime.UTC))
    )


def _change_schedule(action: str) -> Callable[..., None]:
    def change(name: str, **connection: Any) -> None:
        from pipelines import schedule

        scheduler = schedule.KubeflowScheduler(_connect(**connection))
        for found in schedule.named(scheduler, name):
            getattr(scheduler, action)(found.id)
        click.echo(f"{action}d: {name}")

    change.__doc__ = {
        "pause": "Lets a schedule start no more runs, until it is resumed.",
        "resume": "Lets a paused schedule start runs again; runs that were missed are not made up for.",
        "delete": "Deletes a schedule; runs that it has started go on.",
    }[action]
    return change


_TIME_ZONE = click.Option(["--time-zone"], default="UTC", show_default=True, help="The time zone in which the cluster reads the cron.")
_NAME = click.Argument(["name"])

submit_command = _command(
    "submit",
    _submit,
    [
        *_RUN,
        click.Option(["--wait"], is_flag=True, help="Follow the run to its end."),
        click.Option(["--timeout-s"], type=click.FloatRange(min=0), default=48 * 3600, show_default=True, help="How long to wait at most."),
        click.Option(["--prices"], default="", help="YAML file of prices, for the cost of the run; see pipelines/cost.py."),
        *_CONNECTION,
    ],
)
schedule_group = click.Group("schedule", help="Starts a pipeline again and again: create, list, pause, resume, delete.")
schedule_group.add_command(
    _command(
        "create",
        _create_schedule,
        [
            *_RUN,
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
            *_CONNECTION,
        ],
    )
)
schedule_group.add_command(_command("list", _list_schedules, [_TIME_ZONE, *_CONNECTION]))
for _action in ("pause", "resume", "delete"):
    schedule_group.add_command(_command(_action, _change_schedule(_action), [_NAME, *_CONNECTION]))
COMMANDS = (submit_command, schedule_group)
