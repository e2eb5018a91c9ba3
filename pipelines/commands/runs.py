"""`lus runs`: the runs on a Kubeflow server."""

from typing import Any

import click

from components.command_line import example
from components.core.errors import UsageError
from pipelines.commands.connection import AT, EXPERIMENT, KUBEFLOW_CONNECTION, WAIT, cluster_command, followed, kubeflow_of
from pipelines.engines.cost import cost_table, read_prices, usages

_RUN_ID = click.Argument(["run"])


def _list_runs(experiment: str, limit: int, **connection: Any) -> None:
    """Lists the newest runs of an experiment: id, state, start and how long it took."""
    from pipelines.engines import runs

    kubeflow = kubeflow_of(**connection)
    experiment_id = kubeflow.experiment(experiment)
    if not experiment_id:
        raise UsageError(f"there is no experiment {experiment!r} at the server; give another one with --experiment.")
    click.echo(runs.table(kubeflow, kubeflow.runs(limit, experiment_id=experiment_id)))


def _show_run(run: str, **connection: Any) -> None:
    """Shows a run: its parameters, its steps, why one waits, and what a failed one says."""
    from pipelines.engines import runs

    run_id = runs.run_id_in(run)
    click.echo(runs.details(kubeflow_of(**connection), run_id))


def _wait_for_run(run: str, timeout_s: float, prices: str, **connection: Any) -> None:
    """Follows a run to its end, as `lus submit --wait` does; the exit code tells the outcome."""
    from pipelines.engines import runs

    run_id = runs.run_id_in(run)
    price_table = read_prices(prices) if prices else None
    kubeflow = kubeflow_of(**connection)
    steps = followed(lambda: runs.progress(kubeflow, run_id), timeout_s, kubeflow.run_url(run_id), run_id, is_vertex=False)
    click.echo(f"succeeded\n\n{cost_table(usages(kubeflow.pipeline(run_id), steps), price_table)}")


def _cancel_run(run: str, **connection: Any) -> None:
    """Ends a run; what it has stored stays."""
    from pipelines.engines import runs

    run_id = runs.run_id_in(run)
    kubeflow = kubeflow_of(**connection)
    state = runs.cancel(kubeflow, run_id)
    click.echo(f"{state.lower()}: {kubeflow.run_url(run_id)}")


runs_group = click.Group(
    "runs",
    help="Runs on Kubeflow: list, show, wait, cancel. A run is named by its id or its address.",
    epilog=example(f"lus runs list {AT}"),
)
runs_group.add_command(
    cluster_command(
        "list",
        _list_runs,
        f"lus runs list {AT}",
        [
            EXPERIMENT,
            click.Option(["--limit"], type=click.IntRange(1, 1000), default=20, show_default=True, help="How many at most."),
            *KUBEFLOW_CONNECTION,
        ],
    )
)
runs_group.add_command(
    cluster_command(
        "show",
        _show_run,
        f"lus runs show 3f2504e0-4f89-11d3-9a0c-0305e82c3301 {AT}",
        [_RUN_ID, *KUBEFLOW_CONNECTION],
    )
)
runs_group.add_command(
    cluster_command(
        "wait",
        _wait_for_run,
        f"lus runs wait 3f2504e0-4f89-11d3-9a0c-0305e82c3301 {AT}",
        [_RUN_ID, *WAIT, *KUBEFLOW_CONNECTION],
    )
)
runs_group.add_command(
    cluster_command(
        "cancel",
        _cancel_run,
        f"lus runs cancel 3f2504e0-4f89-11d3-9a0c-0305e82c3301 {AT}",
        [_RUN_ID, *KUBEFLOW_CONNECTION],
    )
)
