"""`--vertex` with Google's own client, up to the network: its calls go to a gRPC server on this machine instead of to Google."""

from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pipelines.commands.main import main as lus
from pipelines.engines import progress
from tests.pipelines.conftest import PARAMETERS

pytestmark = pytest.mark.slow
PLACE = "projects/lungs/locations/europe-west4"
WHERE = ("--vertex", "--project", "lungs", "--region", "europe-west4")


class VertexServer:
    """Keeps pipeline jobs and schedules, and the requests that came.

    Attributes:
        states: of the jobs, one a look.
    """

    def __init__(self) -> None:
        import grpc
        from google.cloud.aiplatform_v1.types import pipeline_service, schedule_service
        from google.longrunning import operations_pb2
        from google.protobuf import empty_pb2

        self.jobs: dict[str, Any] = {}
        self.schedules: dict[str, Any] = {}
        self.states: list[str] = []
        self.refusal: Any = None
        calls = {
            "PipelineService/CreatePipelineJob": (pipeline_service.CreatePipelineJobRequest, self._create_job),
            "PipelineService/GetPipelineJob": (pipeline_service.GetPipelineJobRequest, self._get_job),
            "ScheduleService/CreateSchedule": (schedule_service.CreateScheduleRequest, self._create_schedule),
            "ScheduleService/GetSchedule": (schedule_service.GetScheduleRequest, lambda request: self.schedules[request.name]),
            "ScheduleService/ListSchedules": (schedule_service.ListSchedulesRequest, self._list_schedules),
            "ScheduleService/PauseSchedule": (schedule_service.PauseScheduleRequest, lambda request: self._set_state(request, "PAUSED")),
            "ScheduleService/ResumeSchedule": (schedule_service.ResumeScheduleRequest, lambda request: self._set_state(request, "ACTIVE")),
            "ScheduleService/DeleteSchedule": (schedule_service.DeleteScheduleRequest, self._delete_schedule),
        }
        self._empty, self._operation = empty_pb2.Empty, operations_pb2.Operation
        server = self

        class Handler(grpc.GenericRpcHandler):
            def service(self, details: Any) -> Any:
                kind, action = calls[details.method.removeprefix("/google.cloud.aiplatform.v1.")]

                def answer(request: Any, context: Any) -> bytes:
                    if server.refusal:
                        context.abort(*server.refusal)
                    result = action(request)
                    return type(result).serialize(result) if hasattr(type(result), "serialize") else result.SerializeToString()

                return grpc.unary_unary_rpc_method_handler(answer, request_deserializer=kind.deserialize)

        self._server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Handler()])
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def close(self) -> None:
        self._server.stop(None)

    def _create_job(self, request: Any) -> Any:
        job = request.pipeline_job
        job.name = f"{request.parent}/pipelineJobs/{request.pipeline_job_id}"
        job.state = "PIPELINE_STATE_PENDING"
        self.jobs[job.name] = job
        return job

    def _get_job(self, request: Any) -> Any:
        job = self.jobs[request.name]
        if self.states:
            job.state = f"PIPELINE_STATE_{self.states.pop(0)}"
        job.job_detail = {
            "task_details": [
                {"task_name": "train", "state": "SUCCEEDED", "start_time": "2026-01-05T03:00:00Z", "end_time": "2026-01-05T03:30:00Z"}
            ]
        }
        return job

    def _create_schedule(self, request: Any) -> Any:
        schedule = request.schedule
        schedule.name = f"{request.parent}/schedules/{len(self.schedules) + 1}"
        schedule.state = "ACTIVE"
        self.schedules[schedule.name] = schedule
        return schedule

    def _list_schedules(self, request: Any) -> Any:
        from google.cloud.aiplatform_v1.types import schedule_service

        wanted = [schedule for schedule in self.schedules.values() if request.filter in ("", f'display_name="{schedule.display_name}"')]
        return schedule_service.ListSchedulesResponse(schedules=wanted)

    def _set_state(self, request: Any, state: str) -> Any:
        self.schedules[request.name].state = state
        return self._empty()

    def _delete_schedule(self, request: Any) -> Any:
        del self.schedules[request.name]
        operation = self._operation(name=f"{request.name}/operations/1", done=True)
        operation.response.Pack(self._empty())
        return operation


@pytest.fixture(scope="module")
def vertex_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compiled") / "vertex.yaml"
    assert CliRunner().invoke(lus, ["compile", "--platform", "vertex", "-o", str(path)]).exit_code == 0
    return path


@pytest.fixture(scope="module")
def _server() -> Iterator[VertexServer]:
    """One server for all tests, because Google's client keeps its connections."""
    import google.auth
    import grpc
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.aiplatform.utils import gcs_utils
    from google.cloud.aiplatform_v1.services.pipeline_service.transports import PipelineServiceGrpcTransport
    from google.cloud.aiplatform_v1.services.schedule_service.transports import ScheduleServiceGrpcTransport

    server = VertexServer()
    with pytest.MonkeyPatch.context() as patch:
        # Before it starts a job, the client asks two other services of Google whether the bucket is there and the project's.
        patch.setattr(gcs_utils, "create_gcs_bucket_for_pipeline_artifacts_if_it_does_not_exist", lambda **_: None)
        patch.setattr(google.auth, "default", lambda *_, **__: (AnonymousCredentials(), "lungs"))
        for transport in (PipelineServiceGrpcTransport, ScheduleServiceGrpcTransport):
            patch.setattr(transport, "create_channel", lambda *_, **__: grpc.insecure_channel(server.address))
        yield server
    server.close()


@pytest.fixture
def server(_server: VertexServer, monkeypatch: pytest.MonkeyPatch) -> VertexServer:
    """The server, empty."""
    _server.jobs.clear()
    _server.schedules.clear()
    _server.refusal = None
    monkeypatch.setattr(progress, "POLL_S", 0.0)
    monkeypatch.delenv("KF_PIPELINES_ENDPOINT", raising=False)
    return _server


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(lus, list(map(str, arguments)))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_a_job_is_started_and_followed(server: VertexServer, vertex_file: Path) -> None:
    server.states = ["RUNNING", "SUCCEEDED"]
    result = run("submit", vertex_file, *PARAMETERS, "-p", "epochs=3", *WHERE, "--service-account", "a@lungs.example", "--wait")
    assert result.exit_code == 0, result.output
    (job,) = server.jobs.values()
    assert job.name.startswith(f"{PLACE}/pipelineJobs/lung-ultrasound-training-")
    assert job.runtime_config.gcs_output_directory == "gs://bucket/storage/runs"
    assert job.runtime_config.parameter_values["epochs"] == 3
    assert job.service_account == "a@lungs.example"
    assert len(job.labels["lus-version"]) == 12
    train = job.pipeline_spec["deploymentSpec"]["executors"]["exec-train"]["container"]
    assert train["resources"]["accelerator"]["type"] == "NVIDIA_L4"
    assert (
        f"https://console.cloud.google.com/vertex-ai/pipelines/locations/europe-west4/runs/{job.name.rsplit('/', 1)[-1]}" in result.stdout
    )
    (row,) = (line.split() for line in result.stdout.splitlines() if line.startswith("train"))
    assert row[1:] == ["1800", "2.00", "8.00", "0.50"]


def test_the_outcome_and_a_refusal_are_told(server: VertexServer, vertex_file: Path) -> None:
    import grpc

    for state, code in (("FAILED", 1), ("CANCELLED", 3)):
        server.states = [state]
        assert run("submit", vertex_file, *PARAMETERS, *WHERE, "--wait").exit_code == code
    server.refusal = (grpc.StatusCode.PERMISSION_DENIED, "Permission 'aiplatform.pipelineJobs.create' denied")
    result = run("submit", vertex_file, *PARAMETERS, *WHERE)
    assert result.exit_code == 1
    assert "Vertex AI answers 403, Permission 'aiplatform.pipelineJobs.create' denied; the credentials were Google's" in result.stderr


def test_no_answer_in_time_is_one_sentence(server: VertexServer, vertex_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from google.api_core.exceptions import RetryError
    from google.cloud import aiplatform

    def give_up(*_: object, **__: object) -> None:
        raise RetryError("Timeout of 60.0s exceeded", cause=None)

    monkeypatch.setattr(aiplatform.PipelineJob, "submit", give_up)
    result = run("submit", vertex_file, *PARAMETERS, *WHERE)
    assert result.exit_code == 1
    assert "cannot start the pipeline job: Vertex AI does not answer (Timeout of 60.0s exceeded" in result.stderr


def test_a_schedule_is_created_replaced_paused_and_deleted(server: VertexServer, vertex_file: Path) -> None:
    def create(cron: str) -> Result:
        return run(
            "schedule", "create", vertex_file, *PARAMETERS, *WHERE, "--name", "weekly", "--cron", cron, "--time-zone", "Europe/Berlin"
        )

    assert "created: weekly" in create("0 3 * * 1").stdout
    (first,) = server.schedules.values()
    assert (first.cron, first.max_concurrent_run_count) == ("TZ=Europe/Berlin 0 3 * * 1", 1)
    assert first.create_pipeline_job_request.pipeline_job.runtime_config.parameter_values["storage"] == "gs://bucket/storage"
    assert "unchanged: weekly" in create("0 0 3 * * 1").stdout
    assert run("schedule", "pause", "weekly", *WHERE).exit_code == 0
    assert first.state.name == "PAUSED"
    assert "in place of 1 earlier; it is paused, as before" in create("0 4 * * 1").stdout
    (second,) = server.schedules.values()
    assert (second.cron, second.state.name) == ("TZ=Europe/Berlin 0 4 * * 1", "PAUSED")
    assert run("schedule", "resume", "weekly", *WHERE).exit_code == 0
    assert [line.split()[:2] for line in run("schedule", "list", *WHERE).stdout.splitlines()[1:]] == [["weekly", "active"]]
    assert run("schedule", "delete", "weekly", *WHERE).exit_code == 0
    assert server.schedules == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--vertex", "--project", "lungs"), "Vertex AI needs --project and --region"),
        ((*WHERE, "--host", "http://localhost"), "--vertex has neither --host nor --namespace"),
        ((*WHERE, "--pipeline-root", "s3://bucket/runs"), "must go to a gs:// URI, got 's3://bucket/runs'"),
        ((*WHERE, "-p", "epoch=1"), "the pipeline has no parameter 'epoch'"),
    ],
)
def test_bad_usage_is_refused(server: VertexServer, vertex_file: Path, arguments: tuple[str, ...], message: str) -> None:
    result = run("submit", vertex_file, *PARAMETERS, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert server.jobs == {}


def test_seconds_are_refused(server: VertexServer, vertex_file: Path) -> None:
    result = run("schedule", "create", vertex_file, *PARAMETERS, *WHERE, "--name", "weekly", "--cron", "30 0 3 * * 1")
    assert result.exit_code == 2
    assert "the seconds must be 0" in result.stderr
