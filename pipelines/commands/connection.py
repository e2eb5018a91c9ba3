"""What the commands for clusters have in common: how to reach one, what a run is given, and how to wait for it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from components.command_line import example
from components.core.errors import UsageError
from pipelines.engines.progress import Progress, Step, follow
from pipelines.resources import KUBEFLOW, VERTEX

# As a shell calls a command that Ctrl-C has ended.
INTERRUPTED_CODE = 130
# In the examples.
AT = "--host http://localhost:8080"


def _refuse_secret(_: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise UsageError(
            f"--{option.name} shows the secret to everyone who lists the processes; use --{option.name}-file, or the environment."
        )


KUBEFLOW_CONNECTION = [
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
CONNECTION = [
    click.Option(["--vertex"], is_flag=True, help="Vertex AI instead of a Kubeflow server, with Google's credentials."),
    click.Option(["--project"], default="", help="Google Cloud project, for --vertex."),
    click.Option(["--region"], default="", help="Google Cloud region, such as europe-west4, for --vertex."),
    *KUBEFLOW_CONNECTION,
]
EXPERIMENT = click.Option(["--experiment"], default="lung-ultrasound", show_default=True, help="Groups the runs in the UI.")
RUN = [
    click.Argument(["file"], type=click.Path(path_type=Path)),
    click.Option(["-p", "--parameter", "parameters"], multiple=True, help="NAME=VALUE of a parameter of the pipeline; may be repeated."),
    click.Option(["--service-account"], default="", help="The service account that the steps run as."),
    click.Option(["--pipeline-root"], default="", help="Where the outputs of steps go, a gs:// or s3:// URI.  [default: STORAGE/runs]"),
    EXPERIMENT,
]
WAIT = [
    click.Option(["--timeout-s"], type=click.FloatRange(min=0), default=48 * 3600, show_default=True, help="How long to wait at most."),
    click.Option(["--prices"], default="", help="YAML file of prices, for the cost of the run; see pipelines/engines/cost.py."),
]


def not_installed(error: ModuleNotFoundError) -> UsageError:
    """Returns what to say when a library of the extra `cluster` is absent."""
    return UsageError(f"{error.name} is not installed; install the extra: pip install 'lung-ultrasound-pipeline[cluster]'.")


def cluster_command(name: str, callback: Callable[..., None], shown: str, params: list[click.Parameter]) -> click.Command:
    """Returns a command that tells when the extra `cluster` is absent; its help is the docstring, and an example of its use."""

    def checked(**values: Any) -> None:
        try:
            callback(**values)
        except ModuleNotFoundError as error:
            raise not_installed(error) from None

    return click.Command(name, callback=checked, params=params, help=callback.__doc__, epilog=example(shown))


def kubeflow_of(
    host: str | None, namespace: str, token_file: str, cookie_file: str, service_account_token: str, google: bool, **_: Any
) -> Any:
    """Returns the server that the options of a command name."""
    from pipelines.engines.authentication import authentication
    from pipelines.engines.kubeflow import Kubeflow

    if not host:
        raise UsageError("say where: --host ADDRESS of Kubeflow Pipelines, or --vertex.")
    return Kubeflow(host, namespace, authentication(token_file, cookie_file, service_account_token, google))


def platform_of(connection: dict[str, Any]) -> str:
    """Returns the platform that the options of a command name."""
    # The environment may name a host for the other times.
    host_is_given = click.get_current_context().get_parameter_source("host") is ParameterSource.COMMANDLINE
    if connection["vertex"] and (host_is_given or connection["namespace"]):
        raise UsageError("--vertex has neither --host nor --namespace; leave out one or the other.")
    return VERTEX if connection["vertex"] else KUBEFLOW


def root_of(pipeline_root: str, parameters: Mapping[str, Any]) -> str:
    """Returns the folder for the outputs of steps."""
    if not pipeline_root and not parameters.get("storage"):
        raise UsageError("the parameter storage is not given, so say where the outputs of steps go: --pipeline-root URI.")
    return pipeline_root or f"{parameters['storage'].rstrip('/')}/runs"


def followed(look: Callable[[], Progress], timeout_s: float, url: str, run_id: str, is_vertex: bool) -> list[Step]:
    """Waits for a run to end; Ctrl-C ends the waiting and not the run."""
    try:
        return follow(look, timeout_s, f"the run {url}")
    except KeyboardInterrupt:
        again = "" if is_vertex else f"; `lus runs wait {run_id}` comes back to it, `lus runs cancel {run_id}` ends it"
        click.echo(f"\nthe run goes on: {url}{again}", err=True)
        raise SystemExit(INTERRUPTED_CODE) from None
