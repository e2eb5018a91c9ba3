"""Vertex AI Pipelines as `lus submit --vertex` and `lus schedule --vertex` see it: Google's client, with errors in one sentence.

A pipeline job carries its pipeline with it, so nothing is uploaded; the version is a label of the job. Credentials are Google's application
default ones. The client takes half a minute to import, therefore nothing imports this module but the command that needs it.
"""

import contextlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import google.auth.exceptions
from google.api_core import exceptions
from google.cloud import aiplatform

from components.core import storage
from components.core.errors import ClusterError, UsageError
from pipelines.engines.progress import Progress, Step
from pipelines.engines.schedule import Schedule
from pipelines.engines.submit import Package

VERSION_LABEL, SCHEDULE_LABEL = "lus-version", "lus-schedule"
_STATES = {"CANCELLED": "CANCELED", "QUEUED": "PENDING", "STATE_UNSPECIFIED": "PENDING"}

# The client tells of each object that it makes.
logging.getLogger("google.cloud.aiplatform").setLevel(logging.WARNING)


class Vertex:
    """A project and a region.

    Every method raises ClusterError when Vertex AI refuses or does not answer, and UsageError when there are no credentials.
    """

    def __init__(self, project: str, region: str) -> None:
        if not project or not region:
            raise UsageError("Vertex AI needs --project and --region.")
        self.place: dict[str, Any] = {"project": project, "location": region}

    def job(self, package: Package, pipeline_root: str, labels: Mapping[str, str] | None = None) -> Any:
        """Returns a pipeline job that has not been sent."""
        if storage.scheme_of(pipeline_root) != "gs":
            raise UsageError(f"the outputs of steps on Vertex AI must go to a gs:// URI, got {pipeline_root!r}.")
        with _failures("prepare the pipeline job"):
            return aiplatform.PipelineJob(
                display_name=package.name,
                template_path=str(package.path),
                pipeline_root=pipeline_root,
                parameter_values=dict(package.parameters),
                labels={VERSION_LABEL: package.version, **(labels or {})},
                **self.place,
            )

    def submit(self, package: Package, service_account: str, pipeline_root: str) -> str:
        """Starts a run and returns its resource name."""
        job = self.job(package, pipeline_root)
        with _failures("start the pipeline job"):
            job.submit(service_account=service_account or None)
        return job.resource_name

    def run_url(self, run_id: str) -> str:
        """Returns the page of a run in Google's console."""
        return (
            f"https://console.cloud.google.com/vertex-ai/pipelines/locations/{self.place['location']}/runs/{run_id.rsplit('/', 1)[-1]}"
            f"?project={self.place['project']}"
        )

    def progress(self, run_id: str) -> Progress:
        """Returns how far a run is."""
        with _failures(f"look at the run {run_id}"):
            job = aiplatform.PipelineJob.get(run_id, **self.place).gca_resource
        return Progress(
            state=_state(job.state.name.removeprefix("PIPELINE_STATE_")),
            steps=[
                Step(task.task_name, _state(task.state.name), task.start_time or None, task.end_time or None)
                for task in job.job_detail.task_details
                if task.start_time
            ],
            error=" ".join(job.error.message.split()),
        )


class VertexScheduler:
    """Schedules of pipeline jobs; a label of the job tells this project's own."""

    def __init__(self, vertex: Vertex, settings: Mapping[str, Any] | None = None, job: Callable[[str], Any] | None = None) -> None:
        """`settings` are those of a schedule to create, as PipelineJobSchedule.create takes them; `job` makes its job from the digest."""
        self._place, self._settings, self._job = vertex.place, settings or {}, job

    def schedules(self, name: str = "") -> list[Schedule]:
        """See Scheduler."""
        with _failures("list the schedules"):
            found = aiplatform.PipelineJobSchedule.list(
                filter=f"display_name={json.dumps(name, ensure_ascii=False)}" if name else None, order_by="create_time desc", **self._place
            )
        return [schedule for each in found if (schedule := _schedule(each)).digest]

    def create(self, name: str, digest: str, is_paused: bool) -> Schedule:
        """See Scheduler. Vertex AI creates active schedules only."""
        assert self._job, "a scheduler that was made to create"
        with _failures("create the schedule"):
            schedule = aiplatform.PipelineJobSchedule(pipeline_job=self._job(digest), display_name=name, **self._place)
            schedule.create(**self._settings)
            if is_paused:
                schedule.pause()
        return Schedule(schedule.resource_name, name, self._settings["cron"], is_paused, digest)

    def pause(self, schedule_id: str) -> None:
        """See Scheduler."""
        with _failures("pause the schedule"):
            self._get(schedule_id).pause()

    def resume(self, schedule_id: str) -> None:
        """See Scheduler."""
        with _failures("resume the schedule"):
            self._get(schedule_id).resume(catch_up=False)

    def going_on(self, schedule_id: str) -> list[str]:
        """See Scheduler. Not asked: deleting a schedule ends none of them."""
        return []

    def deletes_without_runs(self) -> bool:
        """See Scheduler."""
        return True

    def delete(self, schedule_id: str) -> None:
        """See Scheduler."""
        with _failures("delete the schedule"), contextlib.suppress(exceptions.NotFound):
            self._get(schedule_id).delete()

    def _get(self, schedule_id: str) -> Any:
        return aiplatform.PipelineJobSchedule.get(schedule_id, **self._place)


def vertex_cron(cron: str, time_zone: str) -> str:
    """Returns a cron expression of Vertex AI, which has five fields and names its time zone.

    Args:
        cron: six fields, seconds first.
        time_zone: such as Europe/Berlin.

    Raises:
        UsageError: the seconds are not 0.
    """
    seconds, _, rest = cron.partition(" ")
    if seconds != "0":
        raise UsageError(f"Vertex AI starts runs at whole minutes; the seconds must be 0, got {cron!r}.")
    return f"TZ={time_zone} {rest}"


def _schedule(found: Any) -> Schedule:
    resource = found.gca_resource
    labels = resource.create_pipeline_job_request.pipeline_job.labels
    # For the table of schedules, as the other clusters write it.
    cron = f"0 {resource.cron.split(' ', 1)[1]}" if resource.cron.startswith("TZ=") else f"0 {resource.cron}"
    return Schedule(resource.name, resource.display_name, cron, resource.state.name == "PAUSED", labels.get(SCHEDULE_LABEL, ""))


def _state(name: str) -> str:
    return _STATES.get(name, name)


@contextlib.contextmanager
def _failures(action: str) -> Iterator[None]:
    try:
        yield
    except exceptions.GoogleAPICallError as error:
        hint = {
            401: "; the credentials were Google's application default ones",
            403: "; the credentials were Google's application default ones, which may lack the role Vertex AI User",
            404: "; it does not exist, or was deleted",
        }.get(error.code or 0, "")
        raise ClusterError(f"cannot {action}: Vertex AI answers {error.code}, {error.message}{hint}.", status=error.code or 0) from None
    except exceptions.GoogleAPIError as error:  # such as a RetryError: no answer in time
        raise ClusterError(f"cannot {action}: Vertex AI does not answer ({' '.join(str(error).split())[:200]}).") from None
    except google.auth.exceptions.GoogleAuthError as error:
        raise UsageError(
            f"there are no usable Google credentials ({' '.join(str(error).split())[:200]}); run `gcloud auth application-default login`."
        ) from None
    except ValueError as error:
        raise UsageError(f"cannot {action}: {' '.join(str(error).split())[:300]}.") from None
