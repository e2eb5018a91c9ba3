"""Recurring runs of Kubeflow Pipelines as schedules."""

from http import HTTPStatus
from typing import Any

from components.core.errors import ClusterError
from pipelines.engines.kubeflow import Kubeflow, equal
from pipelines.engines.runs import unfinished
from pipelines.engines.schedule import Schedule

# How the description of a recurring run of this project begins; the digest follows.
_MARK = "lus "
_NOBODY = "00000000-0000-0000-0000-000000000000"


class KubeflowScheduler:
    """A Scheduler, on a server."""

    def __init__(self, kubeflow: Kubeflow, settings: dict[str, Any] | None = None) -> None:
        """`settings` are those of a schedule to create, as kfp.Client.create_recurring_run takes them."""
        self._kubeflow, self._settings = kubeflow, settings or {}

    def schedules(self, name: str = "") -> list[Schedule]:
        """See Scheduler."""
        pages = self._kubeflow.pages(
            "schedules",
            self._kubeflow.client.list_recurring_runs,
            namespace=self._kubeflow.namespace,
            filter=equal(display_name=name) if name else None,
        )
        found = (run for page in pages for run in page.recurring_runs or [])
        return [_schedule(run) for run in found if (run.description or "").startswith(_MARK)]

    def create(self, name: str, digest: str, is_paused: bool) -> Schedule:
        """See Scheduler."""
        with self._kubeflow.failures("create the schedule"):
            created = self._kubeflow.client.create_recurring_run(
                job_name=name, description=_MARK + digest, enabled=not is_paused, **self._settings
            )
        return _schedule(created)

    def pause(self, schedule_id: str) -> None:
        """See Scheduler."""
        with self._kubeflow.failures("pause the schedule"):
            self._kubeflow.client.disable_recurring_run(schedule_id)

    def resume(self, schedule_id: str) -> None:
        """See Scheduler."""
        with self._kubeflow.failures("resume the schedule"):
            self._kubeflow.client.enable_recurring_run(schedule_id)

    def going_on(self, schedule_id: str) -> list[str]:
        """See Scheduler."""
        return [self._kubeflow.run_url(run.run_id) for run in unfinished(self._kubeflow, schedule_id)]

    def deletes_without_runs(self) -> bool:
        """See Scheduler. Kubeflow Pipelines can since 2.16.

        Earlier ones do not know the policy, and say of a wrong one for a recurring run that is not there only that it is not there.
        """
        try:
            self._delete(_NOBODY, "no such policy")
        except ClusterError as error:
            return error.status == HTTPStatus.BAD_REQUEST
        return False

    def delete(self, schedule_id: str) -> None:
        """See Scheduler. The runs that it has started go on if `deletes_without_runs`; a schedule that is gone already is no error."""
        try:
            self._delete(schedule_id, "ORPHAN")
        except ClusterError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    def _delete(self, schedule_id: str, policy: str) -> None:
        with self._kubeflow.failures("delete the schedule"):
            self._kubeflow.client._recurring_run_api.recurring_run_service_delete_recurring_run(schedule_id, propagation_policy=policy)


def _schedule(run: Any) -> Schedule:
    cron = run.trigger.cron_schedule.cron if run.trigger and run.trigger.cron_schedule else ""
    return Schedule(run.recurring_run_id, run.display_name, cron, run.status == "DISABLED", (run.description or "").removeprefix(_MARK))
