"""`lus submit`: a run on a cluster."""

from pathlib import Path
from typing import Any

import click

from pipelines.commands.connection import AT, CONNECTION, RUN, WAIT, cluster_command, followed, kubeflow_of, platform_of, root_of
from pipelines.engines.cost import cost_table, read_prices, resources_by_task, usages
from pipelines.engines.progress import PENDING, Step


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
    """Starts a pipeline that `lus compile` wrote.

    The file is uploaded only when the cluster does not have it yet.

    With --wait, the exit code tells the outcome: 0 succeeded, 1 failed or not started, 3 canceled, 4 not ended in time,
    5 deleted, 6 state unknown.
    """
    from pipelines.engines import submit

    package = submit.read_package(file, platform_of(connection), parameters)
    root = root_of(pipeline_root, package.parameters)
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

        kubeflow = kubeflow_of(**connection)
        run_id = submit.submit(kubeflow, package, experiment, service_account, root)
        url, look = kubeflow.run_url(run_id), lambda: runs.progress(kubeflow, run_id)
    click.echo(f"started: {url}")
    if wait:
        steps = followed(look, timeout_s, url, run_id, connection["vertex"])
        click.echo(f"succeeded\n\n{cost_table(usages(package.pipeline, steps), price_table)}")


submit_command = cluster_command(
    "submit",
    _submit,
    f"lus submit training.yaml {AT} -p manifest=gs://lungs/videos.csv -p storage=gs://lungs --wait",
    [
        *RUN,
        click.Option(["--wait"], is_flag=True, help="Follow the run to its end."),
        *WAIT,
        *CONNECTION,
    ],
)
