"""`lus submit` with kfp's own client against a server that is as strict as the real one."""

from collections.abc import Callable
from pathlib import Path

import google.auth
import pytest
from click.testing import CliRunner, Result
from google.auth.exceptions import RefreshError

from components.core.errors import ClusterError, PipelineError, UsageError
from pipelines.commands.main import main as lus
from pipelines.engines import progress
from pipelines.engines.cost import Prices, Usage
from tests.pipelines.conftest import PARAMETERS
from tests.pipelines.kubeflow_server import PREFIX, KubeflowServer

SECRET = "s3cr3t-t0k3n"
Lus = Callable[..., Result]


def test_a_run_is_started_with_its_parameters(server: KubeflowServer, run_lus: Lus, training_file: Path) -> None:
    result = run_lus("submit", training_file, *PARAMETERS, "-p", "epochs=3", "-p", "recheck=true", "--service-account", "lungs")
    assert result.exit_code == 0, result.output
    (run,) = server.runs.values()
    assert run["runtime_config"]["parameters"] == {
        "manifest": "gs://bucket/manifest.csv",
        "storage": "gs://bucket/storage",
        "epochs": 3,
        "recheck": True,
    }
    assert run["runtime_config"]["pipeline_root"] == "gs://bucket/storage/runs"
    assert run["service_account"] == "lungs"
    assert server.experiments[run["experiment_id"]]["display_name"] == "lung-ultrasound"
    version = server.versions[run["pipeline_version_reference"]["pipeline_version_id"]]
    assert version["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]
    assert f"started: {server.host}/#/runs/details/{run['run_id']}" in result.stdout


def test_the_same_content_is_uploaded_once(server: KubeflowServer, run_lus: Lus, training_file: Path, tmp_path: Path) -> None:
    assert ": uploaded" in run_lus("submit", training_file, *PARAMETERS).stdout
    assert "was uploaded before" in run_lus("submit", training_file, *PARAMETERS, "-p", "seed=1").stdout
    assert (len(server.runs), len(server.versions), len(server.pipelines), len(server.experiments)) == (2, 1, 1, 1)
    (tmp_path / "resources.yaml").write_text("train: {timeout_s: 99}")
    other = tmp_path / "other.yaml"
    CliRunner().invoke(lus, ["compile", "-o", str(other), "--resources", str(tmp_path / "resources.yaml")])
    assert ": uploaded" in run_lus("submit", other, *PARAMETERS).stdout
    assert (len(server.versions), len(server.pipelines)) == (2, 1)


def test_a_successful_run_is_followed_to_its_end(server: KubeflowServer, run_lus: Lus, training_file: Path, tmp_path: Path) -> None:
    server.script = [
        ("RUNNING", {"ingest": "RUNNING"}),
        ("RUNNING", {"ingest": "SUCCEEDED", "train": "RUNNING"}),
        ("SUCCEEDED", {"train": "SUCCEEDED"}),
    ]
    (tmp_path / "prices.yaml").write_text("{currency: EUR, cpu: 0.6, memory_gb: 0.06, gpu: {nvidia.com/gpu: 6}}")
    result = run_lus("submit", training_file, *PARAMETERS, "--wait", "--prices", tmp_path / "prices.yaml")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [line[1:3] for line in lines if len(line) > 2 and line[2] in ("RUNNING", "SUCCEEDED")] == [
        ["ingest", "RUNNING"],
        ["ingest", "SUCCEEDED"],
        ["train", "RUNNING"],
        ["train", "SUCCEEDED"],
    ]
    start_to_end = {line[0]: line for line in lines if line and line[0] in ("ingest", "train", "total")}
    # The server's clock moves by a minute at each event: 1 minute of ingest (1 CPU, 2 GB), 1 of train (4 CPUs, 16 GB, 1 GPU).
    assert start_to_end["ingest"][1:] == ["60", "0.02", "0.03", "0.00", "0.01"]
    assert start_to_end["train"][1:] == ["60", "0.07", "0.27", "0.02", "0.16"]
    assert start_to_end["total"][1:] == ["0.17"]


def test_the_cost_is_time_times_prices() -> None:
    usage = Usage("train", seconds=1800, cpus=4, memory_gb=10, gpus=2, gpu_type="a")
    assert usage.cost(Prices("EUR", cpu=1, memory_gb=0.1, gpu={"a": 3})) == pytest.approx(0.5 * (4 + 1 + 6))


@pytest.mark.parametrize(
    ("script", "code", "message"),
    [
        (
            [("RUNNING", {"train": "RUNNING"}), ("FAILED", {"train": "FAILED"})],
            1,
            "failed: train: its log is not kept; see the page of the run; out of memory",
        ),
        ([("RUNNING", {}), ("CANCELED", {})], 3, "was canceled"),
        ([("RUNNING", {})], 4, "did not end within 0 s and goes on; it is RUNNING"),
        ([("RUNNING", {}), ("DELETED", {})], 5, "was deleted while it was waited for"),
    ],
)
def test_the_exit_code_tells_how_a_run_ended(
    server: KubeflowServer, run_lus: Lus, training_file: Path, script: list[tuple[str, dict[str, str]]], code: int, message: str
) -> None:
    server.script, server.run_error = script, "out of memory"
    result = run_lus("submit", training_file, *PARAMETERS, "--wait", *(("--timeout-s", 0) if code == 4 else ()))
    assert result.exit_code == code, result.output
    assert message in result.stderr


def test_a_server_that_falters_while_a_run_is_waited_for_is_asked_again(
    server: KubeflowServer, run_lus: Lus, training_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script = [("RUNNING", {}), ("BROKEN", {}), ("BROKEN", {}), ("SUCCEEDED", {})]
    result = run_lus("submit", training_file, *PARAMETERS, "--wait")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("answers 500, Internal Server Error") == 2
    monkeypatch.setattr(progress, "MAX_SILENCE_S", -1.0)
    result = run_lus("submit", training_file, *PARAMETERS, "--wait")
    assert result.exit_code == 6
    assert "answers 500" in result.stderr


def test_the_wait_ends_in_time_though_nothing_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    def look() -> progress.Progress:
        raise ClusterError("no answer.")

    monkeypatch.setattr(progress, "POLL_S", 0.0)
    with pytest.raises(ClusterError, match=r"the run 7 did not end within 0 s, as far as is known: no answer\.") as caught:
        progress.follow(look, 0, "the run 7")
    assert caught.value.exit_code == progress.TIMED_OUT_CODE


@pytest.mark.parametrize("refusal", [ClusterError("unauthenticated.", status=401), UsageError("there are no usable credentials.")])
def test_credentials_that_end_during_the_wait_are_no_failed_run(refusal: PipelineError) -> None:
    def look() -> progress.Progress:
        raise refusal

    with pytest.raises(ClusterError, match=f"the state of the run 7 is not known any more, and it may go on: {refusal}") as caught:
        progress.follow(look, 60, "the run 7")
    assert caught.value.exit_code == progress.UNKNOWN_CODE


def test_a_busy_server_does_not_end_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([429, 429, 0])

    def look() -> progress.Progress:
        if status := next(answers):
            raise ClusterError("busy.", status=status)
        return progress.Progress("SUCCEEDED", [], "")

    monkeypatch.setattr(progress, "POLL_S", 0.0)
    assert progress.follow(look, 60, "the run 7") == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-p", "epoch=3"), "the pipeline has no parameter 'epoch'; it has anatomies"),
        (("-p", "epochs=many"), "the parameter 'epochs' must be a whole number, got 'many'"),
        (("-p", "recheck=maybe"), "the parameter 'recheck' must be true or false, got 'maybe'"),
        (("-p", "sparsity=2"), "sparsity must be at least 0 and less than 1, got 2"),
        (("-p", "epochs"), "a parameter must be NAME=VALUE, got 'epochs'"),
        (("-p", "drop_in=downloads"), "drop_in must be a gs:// or s3:// URI"),
        (("-p", "weights=mine.h5"), "weights must be a gs:// or s3:// URI"),
        (("-p", "storage=gs://b/s"), "the parameter 'storage' is given twice"),
        (("--token", SECRET), "--token shows the secret to everyone who lists the processes; use --token-file"),
        (("--cookie", SECRET), "--cookie shows the secret"),
        (("--token-file", "absent"), "cannot read the secret in 'absent'"),
        (("--google", "--cookie-file", "absent"), "use one of --token-file, --cookie-file, --service-account-token, --google"),
    ],
)
def test_bad_usage_is_refused_before_anything_is_sent(
    server: KubeflowServer, run_lus: Lus, training_file: Path, options: tuple[str, ...], message: str
) -> None:
    result = run_lus("submit", training_file, *PARAMETERS, *options)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert SECRET not in result.output
    assert server.requests == []


def test_a_required_parameter_must_be_given(server: KubeflowServer, run_lus: Lus, training_file: Path) -> None:
    result = run_lus("submit", training_file, "-p", "manifest=catalog")
    assert result.exit_code == 2
    assert "the parameter(s) storage must be given" in result.stderr
    assert server.requests == []


def test_the_name_of_the_catalog_is_no_storage(server: KubeflowServer, run_lus: Lus, training_file: Path) -> None:
    result = run_lus("submit", training_file, "-p", "manifest=catalog", "-p", "storage=catalog", "-p", "weights=imagenet")
    assert result.exit_code == 2
    assert "storage must be a gs:// or s3:// URI, which every step on the cluster can reach, got 'catalog'" in result.stderr
    assert server.requests == []


def test_a_pipeline_without_a_storage_needs_a_root(server: KubeflowServer, run_lus: Lus, tmp_path: Path) -> None:
    file = tmp_path / "search.yaml"
    assert CliRunner().invoke(lus, ["compile", "--pipeline", "architecture_search", "-o", str(file)]).exit_code == 0
    result = run_lus("submit", file, "-p", "dataset_uri=runs/dataset")
    assert result.exit_code == 2
    assert "dataset_uri must be a gs:// or s3:// URI" in result.stderr
    result = run_lus("submit", file, "-p", "dataset_uri=gs://bucket/dataset")
    assert result.exit_code == 2
    assert "the parameter storage is not given, so say where the outputs of steps go: --pipeline-root URI" in result.stderr
    assert server.requests == []
    assert run_lus("submit", file, "-p", "dataset_uri=gs://bucket/dataset", "--pipeline-root", "gs://bucket/runs").exit_code == 0
    (run,) = server.runs.values()
    assert run["runtime_config"]["pipeline_root"] == "gs://bucket/runs"


def test_a_host_of_the_environment_does_not_stand_in_the_way_of_vertex(training_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", "http://localhost")
    for options, message in (((), "compile it with --platform vertex"), (("--host", "http://localhost"), "has neither --host")):
        result = CliRunner().invoke(lus, ["submit", str(training_file), "--vertex", *PARAMETERS, *options])
        assert result.exit_code == 2
        assert message in result.stderr


def test_google_credentials_that_have_expired_are_one_sentence(
    server: KubeflowServer, run_lus: Lus, training_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Expired:
        valid = False

        def refresh(self, _: object) -> None:
            raise RefreshError("Reauthentication is needed.")

    monkeypatch.setattr(google.auth, "default", lambda **_: (Expired(), "project"))
    result = run_lus("submit", training_file, *PARAMETERS, "--google")
    assert result.exit_code == 2
    assert "the Google credentials are not usable (Reauthentication is needed.); run `gcloud auth" in result.stderr


def test_a_file_that_is_not_for_this_cluster_is_refused(server: KubeflowServer, run_lus: Lus, training_file: Path, tmp_path: Path) -> None:
    CliRunner().invoke(lus, ["compile", "--platform", "vertex", "-o", str(tmp_path / "vertex.yaml")])
    edited = tmp_path / "edited.yaml"
    edited.write_text(training_file.read_text().replace("cpuLimit: 4.0", "cpuLimit: 5.0"))
    for path, message in (
        (tmp_path / "vertex.yaml", "was compiled for vertex; compile it with --platform kubeflow"),
        (edited, "was changed after it was compiled"),
        (tmp_path / "absent.yaml", "cannot read"),
    ):
        result = run_lus("submit", path, *PARAMETERS)
        assert result.exit_code == 2
        assert message in result.stderr
    assert server.requests == []


def test_a_token_a_cookie_and_a_token_volume_are_shown(
    server: KubeflowServer, run_lus: Lus, training_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(SECRET + "\n")
    (tmp_path / "cookie").write_text(f"authservice_session={SECRET}\n")
    server.token = SECRET
    assert run_lus("submit", training_file, *PARAMETERS, "--token-file", tmp_path / "token").exit_code == 0
    assert run_lus("submit", training_file, *PARAMETERS, "--service-account-token", tmp_path / "token").exit_code == 0
    monkeypatch.setenv("LUS_KFP_TOKEN", SECRET)
    assert run_lus("submit", training_file, *PARAMETERS).exit_code == 0
    monkeypatch.delenv("LUS_KFP_TOKEN")
    server.token, server.cookie = "", f"authservice_session={SECRET}"
    assert run_lus("submit", training_file, *PARAMETERS, "--cookie-file", tmp_path / "cookie").exit_code == 0
    assert len(server.runs) == 4


def test_who_is_refused_learns_what_was_tried(server: KubeflowServer, run_lus: Lus, training_file: Path, tmp_path: Path) -> None:
    server.token = "another"
    (tmp_path / "token").write_text(SECRET)
    for options, tried in (((), "no credentials"), (("--token-file", tmp_path / "token"), f"the token in '{tmp_path}/token'")):
        result = run_lus("submit", training_file, *PARAMETERS, *options)
        assert result.exit_code == 1
        assert f"answers 401, Unauthenticated: tried {tried}" in result.stderr
        assert SECRET not in result.output


def test_a_namespace_is_asked_for_and_checked(server: KubeflowServer, run_lus: Lus, training_file: Path) -> None:
    server.namespaces = ("mine",)
    result = run_lus("submit", training_file, *PARAMETERS)
    assert result.exit_code == 2
    assert "has several users; give your namespace" in result.stderr
    result = run_lus("submit", training_file, *PARAMETERS, "--namespace", "theirs")
    assert result.exit_code == 1
    assert "answers 403, User is not authorized for the namespace theirs" in result.stderr
    assert run_lus("submit", training_file, *PARAMETERS, "--namespace", "mine").exit_code == 0
    assert {experiment["namespace"] for experiment in server.experiments.values()} == {"mine"}


def test_a_busy_server_is_asked_again(server: KubeflowServer, run_lus: Lus, training_file: Path) -> None:
    server.faults.answers = [503, 429, 503]
    assert run_lus("submit", training_file, *PARAMETERS).exit_code == 0
    server.faults.answers = [503] * 6
    result = run_lus("submit", training_file, *PARAMETERS)
    assert result.exit_code == 1
    assert "answers 503, not now: the server was busy each of 6 times" in result.stderr
    assert len(server.runs) == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((404, "text/plain", "404 page not found"), "there is no API v2beta1; it must be Kubeflow Pipelines 2.0 or later"),
        ((200, "text/html", "<html>log in</html>"), "does not answer as Kubeflow Pipelines does"),
        ((500, "text/html", "<html><b>broken</b></html>"), "answers 500, broken"),
    ],
)
def test_something_else_at_the_address_is_named(
    server: KubeflowServer, run_lus: Lus, training_file: Path, answer: tuple[int, str, str], message: str
) -> None:
    server.faults.everything = answer
    result = run_lus("submit", training_file, *PARAMETERS)
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_a_server_that_is_down_is_named(server: KubeflowServer, run_lus: Lus, training_file: Path) -> None:
    server.close()
    result = run_lus("submit", training_file, *PARAMETERS)
    assert result.exit_code == 1
    assert f"no answer from {server.host}" in result.stderr
    assert "Connection refused" in result.stderr


def test_somebody_who_was_quicker_is_no_error(
    server: KubeflowServer, run_lus: Lus, training_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_lus("submit", training_file, *PARAMETERS).exit_code == 0
    real, blind = server._list_versions, iter([True])

    def list_nothing_at_first(key: str, query: dict[str, str]) -> object:
        return {} if next(blind, False) else real(key, query)

    monkeypatch.setattr(server, "_list_versions", list_nothing_at_first)
    assert run_lus("submit", training_file, *PARAMETERS).exit_code == 0
    assert f"POST {PREFIX}/pipelines/upload_version" in server.requests[-5:]
    assert len(server.versions) == 1
