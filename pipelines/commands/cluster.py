"""The commands of `lus` for clusters: submit, runs, schedule, explain and gc."""

import datetime
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from components.command_line import Failure, example
from components.core.errors import PipelineError, UsageError
from components.ingest.component import ingest
from pipelines.engines.cost import cost_table, read_prices, resources_by_task, usages
from pipelines.engines.progress import PENDING, Progress, Step, follow
from pipelines.resources import KUBEFLOW, VERTEX


def _refuse_secret(_: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise Failure(
            UsageError(
                f"--{option.name} shows the secret to everyone who lists the processes; use --{option.name}-file, or the environment."
            )
        )


# In the examples.
_AT = "--host http://localhost:8080"
# As a shell calls a command that Ctrl-C has ended.
INTERRUPTED_CODE = 130
_KUBEFLOW_CONNECTION = [
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
_CONNECTION = [
    click.Option(["--vertex"], is_flag=True, help="Vertex AI instead of a Kubeflow server, with Google's credentials."),
    click.Option(["--project"], default="", help="Google Cloud project, for --vertex."),
    click.Option(["--region"], default="", help="Google Cloud region, such as europe-west4, for --vertex."),
    *_KUBEFLOW_CONNECTION,
]
_EXPERIMENT = click.Option(["--experiment"], default="lung-ultrasound", show_default=True, help="Groups the runs in the UI.")
_RUN = [
    click.Argument(["file"], type=click.Path(path_type=Path)),
    click.Option(["-p", "--parameter", "parameters"], multiple=True, help="NAME=VALUE of a parameter of the pipeline; may be repeated."),
    click.Option(["--service-account"], default="", help="The service account that the steps run as."),
    click.Option(["--pipeline-root"], default="", help="Where the outputs of steps go, a gs:// or s3:// URI.  [default: STORAGE/runs]"),
    _EXPERIMENT,
]


def not_installed(error: ModuleNotFoundError) -> UsageError:
    """Returns what to say when a library of the extra `cluster` is absent."""
    return UsageError(f"{error.name} is not installed; install the extra: pip install 'lung-ultrasound-pipeline[cluster]'.")


def _command(name: str, callback: Callable[..., None], shown: str, params: list[click.Parameter]) -> click.Command:
    """Returns a command whose errors are one sentence and an exit code; its help is the docstring, and an example of its use."""

    def checked(**values: Any) -> None:
        try:
            callback(**values)
        except PipelineError as error:
            raise Failure(error) from None
        except ModuleNotFoundError as error:
            raise Failure(not_installed(error)) from None

    return click.Command(name, callback=checked, params=params, help=callback.__doc__, epilog=example(shown))


def _kubeflow(
    host: str | None, namespace: str, token_file: str, cookie_file: str, service_account_token: str, google: bool, **_: Any
) -> Any:
    from pipelines.engines.authentication import authentication
    from pipelines.engines.kubeflow import Kubeflow

    if not host:
        raise UsageError("say where: --host ADDRESS of Kubeflow Pipelines, or --vertex.")
    return Kubeflow(host, namespace, authentication(token_file, cookie_file, service_account_token, google))


def _platform(connection: dict[str, Any]) -> str:
    # The environment may name a host for the other times.
    host_is_given = click.get_current_context().get_parameter_source("host") is ParameterSource.COMMANDLINE
    if connection["vertex"] and (host_is_given or connection["namespace"]):
        raise UsageError("--vertex has neither --host nor --namespace; leave out one or the other.")
    return VERTEX if connection["vertex"] else KUBEFLOW


def _root(pipeline_root: str, parameters: Mapping[str, Any]) -> str:
    if not pipeline_root and not parameters.get("storage"):
        raise UsageError("the parameter storage is not given, so say where the outputs of steps go: --pipeline-root URI.")
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

    With --wait, the exit code tells the outcome: 0 succeeded, 1 failed or not started, 3 canceled, 4 not ended in time,
    5 deleted, 6 state unknown.
    """
    from pipelines.engines import submit

    package = submit.read_package(file, _platform(connection), parameters)
    root = _root(pipeline_root, package.parameters)
    price_table = read_prices(prices) if prices else None
    # A GPU without a price is found before the run, not after it.
    cost_table(usages(package.pipeline, [Step(name, PENDING, None, None) for name in resources_by_task(package.pipeline)]), price_table)
    if connection["vertex"]:
        from pipelines.engines.vertex import Vertex

        vertex = Vertex(connection["project"], connection["region"])
        run_id = vertex.submit(package, service_account, root)
        url, look = vertex.run_url(run_id), lambda: vertex.progress(run_id)
    else:
        from pipelines.engines import runs

        kubeflow = _kubeflow(**connection)
        run_id = submit.submit(kubeflow, package, experiment, service_account, root)
        url, look = kubeflow.run_url(run_id), lambda: runs.progress(kubeflow, run_id)
    click.echo(f"started: {url}")
    if wait:
        steps = _followed(look, timeout_s, url, run_id, connection["vertex"])
        click.echo(f"succeeded\n\n{cost_table(usages(package.pipeline, steps), price_table)}")


def _followed(look: Callable[[], Progress], timeout_s: float, url: str, run_id: str, is_vertex: bool) -> list[Step]:
    """Waits for a run to end; Ctrl-C ends the waiting and not the run."""
    try:
        return follow(look, timeout_s, f"the run {url}")
    except KeyboardInterrupt:
        again = "" if is_vertex else f"; `lus runs wait {run_id}` comes back to it, `lus runs cancel {run_id}` ends it"
        click.echo(f"\nthe run goes on: {url}{again}", err=True)
        raise SystemExit(INTERRUPTED_CODE) from None


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

    package = read_package(file, _platform(connection), parameters)
    root = _root(pipeline_root, package.parameters)
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
        kubeflow = _kubeflow(**connection)
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
        scheduler = schedule.KubeflowScheduler(kubeflow, settings)
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
    if _platform(connection) == VERTEX:
        from pipelines.engines.vertex import Vertex, VertexScheduler

        return VertexScheduler(Vertex(connection["project"], connection["region"]))
    from pipelines.engines.schedule import KubeflowScheduler

    return KubeflowScheduler(_kubeflow(**connection))


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


def _list_runs(experiment: str, limit: int, **connection: Any) -> None:
    """Lists the newest runs of an experiment: id, state, start and how long it took."""
    from pipelines.engines import runs

    kubeflow = _kubeflow(**connection)
    experiment_id = kubeflow.experiment(experiment)
    if not experiment_id:
        raise UsageError(f"there is no experiment {experiment!r} at the server; give another one with --experiment.")
    click.echo(runs.table(kubeflow.runs(limit, experiment_id=experiment_id)))


def _show_run(run: str, **connection: Any) -> None:
    """Shows a run: its parameters, its steps, why one waits, and what a failed one says."""
    from pipelines.engines import runs

    run_id = runs.run_id_in(run)
    click.echo(runs.details(_kubeflow(**connection), run_id))


def _wait_for_run(run: str, timeout_s: float, prices: str, **connection: Any) -> None:
    """Follows a run to its end, as `lus submit --wait` does; the exit code tells the outcome."""
    from pipelines.engines import runs

    run_id = runs.run_id_in(run)
    price_table = read_prices(prices) if prices else None
    kubeflow = _kubeflow(**connection)
    steps = _followed(lambda: runs.progress(kubeflow, run_id), timeout_s, kubeflow.run_url(run_id), run_id, is_vertex=False)
    click.echo(f"succeeded\n\n{cost_table(usages(kubeflow.pipeline(run_id), steps), price_table)}")


def _cancel_run(run: str, **connection: Any) -> None:
    """Ends a run; what it has stored stays."""
    from pipelines.engines import runs

    run_id = runs.run_id_in(run)
    kubeflow = _kubeflow(**connection)
    state = runs.cancel(kubeflow, run_id)
    click.echo(f"{state.lower()}: {kubeflow.run_url(run_id)}")


def _explain(file: Path) -> None:
    """Shows what a compiled file asks of the cluster for each step: container, node, volumes, environment, time and retries."""
    from pipelines.commands.explain import explain

    click.echo(explain(file))


def _gc(storage: str, keep: int, is_real: bool) -> None:
    """Deletes old runs, versions of the model, checkpoints and leftovers of workers; the champion, videos and splits stay.

    What was written in the last day stays, too: it may belong to a run that is going on.

    Kubeflow's cache does not know of it: compile with --no-cache when a step asks for the outputs of a deleted run.
    """
    from pipelines.commands import gc

    doomed = gc.candidates(storage, keep)
    if doomed:
        click.echo(gc.table(doomed))
    if not is_real:
        click.echo(f"{len(doomed)} would be deleted; add --delete to do it")
        return
    deleted = gc.delete(storage, doomed)
    kept = f"; {len(doomed) - len(deleted)} stay, because they have changed meanwhile" if len(deleted) < len(doomed) else ""
    click.echo(f"{len(deleted)} deleted{kept}")


_TIME_ZONE = click.Option(["--time-zone"], default="UTC", show_default=True, help="The time zone in which the cluster reads the cron.")
_NAME = click.Argument(["name"])
_RUN_ID = click.Argument(["run"])
_WAIT = [
    click.Option(["--timeout-s"], type=click.FloatRange(min=0), default=48 * 3600, show_default=True, help="How long to wait at most."),
    click.Option(["--prices"], default="", help="YAML file of prices, for the cost of the run; see pipelines/engines/cost.py."),
]

submit_command = _command(
    "submit",
    _submit,
    f"lus submit training.yaml {_AT} -p manifest=gs://lungs/videos.csv -p storage=gs://lungs --wait",
    [
        *_RUN,
        click.Option(["--wait"], is_flag=True, help="Follow the run to its end."),
        *_WAIT,
        *_CONNECTION,
    ],
)
schedule_group = click.Group(
    "schedule",
    help="Starts a pipeline again and again: create, list, pause, resume, delete.",
    epilog=example(f"lus schedule list {_AT}"),
)
schedule_group.add_command(
    _command(
        "create",
        _create_schedule,
        "lus schedule create retraining.yaml --name weekly --cron '0 3 * * 1' "
        f"{_AT} -p manifest=gs://lungs/videos.csv -p storage=gs://lungs",
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
schedule_group.add_command(_command("list", _list_schedules, f"lus schedule list {_AT}", [_TIME_ZONE, *_CONNECTION]))
schedule_group.add_command(_command("pause", _pause_schedule, f"lus schedule pause weekly {_AT}", [_NAME, *_CONNECTION]))
schedule_group.add_command(_command("resume", _resume_schedule, f"lus schedule resume weekly {_AT}", [_NAME, *_CONNECTION]))
schedule_group.add_command(_command("delete", _delete_schedule, f"lus schedule delete weekly {_AT}", [_NAME, *_CONNECTION]))
runs_group = click.Group(
    "runs",
    help="Runs on Kubeflow: list, show, wait, cancel. A run is named by its id or its address.",
    epilog=example(f"lus runs list {_AT}"),
)
runs_group.add_command(
    _command(
        "list",
        _list_runs,
        f"lus runs list {_AT}",
        [
            _EXPERIMENT,
            click.Option(["--limit"], type=click.IntRange(1, 1000), default=20, show_default=True, help="How many at most."),
            *_KUBEFLOW_CONNECTION,
        ],
    )
)
runs_group.add_command(
    _command(
        "show",
        _show_run,
        f"lus runs show 3f2504e0-4f89-11d3-9a0c-0305e82c3301 {_AT}",
        [_RUN_ID, *_KUBEFLOW_CONNECTION],
    )
)
runs_group.add_command(
    _command(
        "wait",
        _wait_for_run,
        f"lus runs wait 3f2504e0-4f89-11d3-9a0c-0305e82c3301 {_AT}",
        [_RUN_ID, *_WAIT, *_KUBEFLOW_CONNECTION],
    )
)
runs_group.add_command(
    _command(
        "cancel",
        _cancel_run,
        f"lus runs cancel 3f2504e0-4f89-11d3-9a0c-0305e82c3301 {_AT}",
        [_RUN_ID, *_KUBEFLOW_CONNECTION],
    )
)
explain_command = _command("explain", _explain, "lus explain training.yaml", [click.Argument(["file"], type=click.Path(path_type=Path))])
gc_command = _command(
    "gc",
    _gc,
    "lus gc --storage lungs --keep 5",
    [
        click.Option(["--storage"], required=True, help=ingest.component_spec.inputs["storage"].description),
        click.Option(["--keep"], type=click.IntRange(min=1), required=True, help="How many of the newest of each kind to keep."),
        click.Option(["--delete", "is_real"], is_flag=True, help="Delete; without it, only list what would be deleted."),
    ],
)
COMMANDS = (submit_command, runs_group, schedule_group, explain_command, gc_command)
