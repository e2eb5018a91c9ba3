"""Schedules: a compiled pipeline that a cluster starts again and again.

Recurring runs cannot be edited, so a schedule is replaced: the new one is created first and the old ones are retired then. Interrupted
in between, both are there until the command is run again, which finds the new one by its digest, creates nothing, and retires the old one.
The other order could leave none, and a model that nobody trains again is noticed late; two runs at a time do no harm, because whatever a
step writes appears whole, and promote refuses when the champion changed since the evaluation.

On Kubeflow a recurring run owns the runs that it has started: deleted while one goes on, it takes that one with it, unless the server is
told to leave it, which those before 2.16 do not understand. There a schedule with a run that goes on is retired by pausing it, and the next
`create` or `delete` of its name deletes it. The newest schedule of a name is the one in use.
"""

import calendar
import dataclasses
import datetime
import hashlib
import json
import re
import zoneinfo
from collections.abc import Iterable
from typing import Any, Protocol

from components.core.errors import UsageError

# The scheduler of Kubeflow (robfig/cron) and that of Google Cloud know these and no more: no L, W, #, and Sunday is 0.
_CRON_FIELD = re.compile(r"[0-9A-Za-z*/,?-]+")
_CRON_WORDS = {*calendar.month_abbr, *calendar.day_abbr}


@dataclasses.dataclass(frozen=True)
class Schedule:
    """A schedule of this project on a cluster.

    Attributes:
        id: the server's.
        name: the user's.
        cron: as the server keeps it.
        is_paused: whether it starts no runs.
        digest: of all that it was created with.
    """

    id: str
    name: str
    cron: str
    is_paused: bool
    digest: str


class Scheduler(Protocol):
    """A cluster that keeps schedules."""

    def schedules(self, name: str = "") -> list[Schedule]:
        """Returns the schedules of this project, of one name or all."""

    def create(self, name: str, digest: str, is_paused: bool) -> Schedule:
        """Creates a schedule of the package and the settings that the scheduler was made with."""

    def pause(self, schedule_id: str) -> None:
        """Stops a schedule from starting runs."""

    def resume(self, schedule_id: str) -> None:
        """Lets a schedule start runs again."""

    def going_on(self, schedule_id: str) -> list[str]:
        """Returns the addresses of the runs of a schedule that go on."""

    def deletes_without_runs(self) -> bool:
        """Tells whether a schedule can be deleted without those of its runs that go on."""

    def delete(self, schedule_id: str) -> None:
        """Deletes a schedule."""


def parse_cron(text: str) -> str:
    """Returns a cron expression with six fields, seconds first, from five or six.

    Raises:
        UsageError: it is none, or never comes true.
    """
    import croniter

    fields = text.split()
    wrong = f"the cron expression {text!r} is wrong"
    if len(fields) not in (5, 6):
        raise UsageError(
            f"{wrong}: it has {len(fields)} fields; give five (minute hour day month weekday) or six (seconds first), such as '0 3 * * 1'."
        )
    for field in fields:
        words = re.findall(r"[A-Za-z]+", field)
        if not _CRON_FIELD.fullmatch(field) or not {word.title() for word in words} <= _CRON_WORDS:
            raise UsageError(f"{wrong}: {field!r} is not known to the schedulers; use numbers, names of months and days, and * / , -.")
    if re.search(r"(^|[,-])7", fields[-1]):
        raise UsageError(f"{wrong}: weekdays are 0 (Sunday) to 6, got {fields[-1]!r}.")
    cron = text if len(fields) == 6 else f"0 {' '.join(fields)}"
    cron = " ".join(cron.split())
    try:
        croniter.croniter(cron, second_at_beginning=True).get_next()
    except (croniter.CroniterError, ValueError) as error:
        raise UsageError(f"{wrong}: {' '.join(str(error).split())}.") from None
    return cron


def next_times(cron: str, zone: str, now: datetime.datetime, count: int = 3) -> list[datetime.datetime]:
    """Returns when a schedule will start runs next.

    Args:
        cron: six fields.
        zone: time zone in which the cluster reads it, such as UTC or Europe/Berlin.
        now: a time with a zone.
        count: how many times.

    Raises:
        UsageError: there is no such time zone.
    """
    import croniter

    try:
        start = now.astimezone(zoneinfo.ZoneInfo(zone))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise UsageError(f"there is no time zone {zone!r}; give a name such as UTC or Europe/Berlin.") from None
    times = croniter.croniter(cron, start, second_at_beginning=True)
    return [times.get_next(datetime.datetime) for _ in range(count)]


def digest_of(**settings: Any) -> str:
    """Returns a digest of all that decides what a schedule does."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class Replacement:
    """What `replace` did.

    Attributes:
        kept: the schedule in use.
        is_new: whether it was created now.
        retired: what became of the others.
    """

    kept: Schedule
    is_new: bool
    retired: "Retirement"


@dataclasses.dataclass(frozen=True)
class Retirement:
    """What became of schedules that are to start no more runs.

    Attributes:
        num_deleted: how many of them were deleted.
        num_paused: how many were paused instead, because deleting them would end a run.
        going_on: addresses of their runs that go on to their end.
    """

    num_deleted: int
    num_paused: int
    going_on: list[str]


def replace(scheduler: Scheduler, name: str, digest: str) -> Replacement:
    """Sees to it that one schedule of this name, with these settings, starts runs; one that was paused stays paused."""
    existing = scheduler.schedules(name)
    is_new = not existing or existing[0].digest != digest
    kept = scheduler.create(name, digest, bool(existing) and existing[0].is_paused) if is_new else existing[0]
    others = [schedule for schedule in existing if schedule.id != kept.id]
    return Replacement(kept, is_new, retire(scheduler, others))


def retire(scheduler: Scheduler, schedules: list[Schedule]) -> Retirement:
    """Lets schedules start no more runs, and deletes those whose deletion ends no run."""
    going_on: list[str] = []
    num_paused = 0
    for schedule in schedules:
        if not schedule.is_paused:
            scheduler.pause(schedule.id)
        found = scheduler.going_on(schedule.id)
        going_on += found
        if found and not scheduler.deletes_without_runs():
            num_paused += 1
        else:
            scheduler.delete(schedule.id)
    return Retirement(len(schedules) - num_paused, num_paused, going_on)


def named(scheduler: Scheduler, name: str) -> list[Schedule]:
    """Returns the schedules of a name, the newest first; the others were retired, or left by an interruption.

    Raises:
        UsageError: there is none.
    """
    found = scheduler.schedules(name)
    if not found:
        known = sorted({schedule.name for schedule in scheduler.schedules()})
        raise UsageError(f"there is no schedule {name!r}; there are: {', '.join(known) or 'none'}.")
    return found


def table(schedules: Iterable[Schedule], zone: str, now: datetime.datetime) -> str:
    """Returns a line for each schedule; times are in the user's time zone."""
    rows = [f"{'name':<24} {'state':<7} {'cron':<20} next"]
    named: set[str] = set()
    for schedule in schedules:
        state = "active" if not schedule.is_paused else "retired" if schedule.name in named else "paused"
        coming = "–" if schedule.is_paused else show_time(next_times(schedule.cron, zone, now, 1)[0])
        rows.append(f"{schedule.name:<24} {state:<7} {_shown(schedule.cron):<20} {coming}")
        named.add(schedule.name)
    return "\n".join(rows)


def _shown(cron: str) -> str:
    """Returns a cron expression of six fields without the seconds, if they are the 0 that nobody has to give."""
    seconds, _, rest = cron.partition(" ")
    return rest if seconds == "0" else cron


def show_time(time: datetime.datetime) -> str:
    """Returns a time in the user's time zone."""
    return f"{time.astimezone():%a %Y-%m-%d %H:%M:%S %Z}"
