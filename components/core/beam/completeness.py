"""Making sure that a Beam pipeline gives a result for every task.

A runner may lose one: of seven runs over 408 videos with the direct runner's threads, on a machine with a load of seven, one gave 407
outcomes although all videos were decoded (Beam 2.77). What is lost is done again, never left out in silence.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from components.core.errors import OutageError

MAX_RUNS = 3
NUM_NAMED = 3

_log = logging.getLogger(__name__)
Key = TypeVar("Key")
Task = TypeVar("Task")
Result = TypeVar("Result")


def results_of_all(tasks: Mapping[Key, Task], run: Callable[[Sequence[Task]], Mapping[Key, Result]], what: str) -> dict[Key, Result]:
    """Runs a pipeline over tasks, and again over those of which it gave no result.

    Args:
        tasks: by what tells them apart.
        run: runs the pipeline over some of them; returns results by the same keys.
        what: the tasks in a message, such as `videos`.

    Raises:
        OutageError: some have no result after MAX_RUNS runs.
    """
    results: dict[Key, Result] = {}
    for num_runs in range(MAX_RUNS):
        lost = {key: task for key, task in tasks.items() if key not in results}
        if not lost:
            break
        if num_runs:
            _log.warning("the runner lost the results of %d of %d %s, which are done again: %s", len(lost), len(tasks), what, _named(lost))
        results |= run(list(lost.values()))
    if lost := {key: task for key, task in tasks.items() if key not in results}:
        raise OutageError(
            f"the runner lost the results of {len(lost)} of {len(tasks)} {what}, {MAX_RUNS} times ({_named(lost)}); start the step again."
        )
    return results


def _named(lost: Mapping[Key, Task]) -> str:
    names = [str(key) for key in lost]
    return ", ".join(names[:NUM_NAMED]) + (f" and {len(names) - NUM_NAMED} more" if len(names) > NUM_NAMED else "")
