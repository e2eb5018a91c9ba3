"""A compiled pipeline, and a server to send it to."""

from collections.abc import Callable, Iterator
from pathlib import Path

import kfp
import pytest
import urllib3
from click.testing import CliRunner, Result

from pipelines.commands.main import main as lus
from pipelines.engines import authentication, kubeflow, progress
from tests.pipelines.kubeflow_server import KubeflowServer

PARAMETERS = ("-p", "manifest=gs://bucket/manifest.csv", "-p", "storage=gs://bucket/storage")


@pytest.fixture(scope="session")
def training_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training pipeline, compiled for Kubeflow."""
    path = tmp_path_factory.mktemp("compiled") / "training.yaml"
    result = CliRunner().invoke(lus, ["compile", "-o", str(path)])
    assert result.exit_code == 0, result.output
    return path


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[KubeflowServer]:
    """A server for one user, without authentication; the client does not wait between requests."""
    server = KubeflowServer()
    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
    monkeypatch.setattr(progress, "POLL_S", 0.0)
    monkeypatch.setattr(urllib3.Retry, "DEFAULT_BACKOFF_MAX", 0)
    monkeypatch.setattr(kubeflow, "RETRIES", kubeflow.RETRIES.new(backoff_factor=0))
    for variable in (authentication.TOKEN_VARIABLE, authentication.COOKIE_VARIABLE, "KF_PIPELINES_ENDPOINT"):
        monkeypatch.delenv(variable, raising=False)
    yield server
    server.close()


@pytest.fixture
def run_lus(server: KubeflowServer) -> Callable[..., Result]:
    """Runs `lus` with the address of the server."""

    def run(*arguments: object) -> Result:
        result = CliRunner().invoke(lus, [*map(str, arguments), "--host", server.host])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run
