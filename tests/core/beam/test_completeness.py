"""What a runner loses is done again, and never left out."""

from collections.abc import Sequence

import pytest

from components.core.beam.completeness import results_of_all
from components.core.errors import OutageError

TASKS = {f"v{number}": number for number in range(9)}


class Runner:
    """Squares numbers, but loses the results of some of them, each so many times."""

    def __init__(self, **times_lost: int) -> None:
        self.given: list[list[int]] = []
        self._times_lost = times_lost

    def __call__(self, tasks: Sequence[int]) -> dict[str, int]:
        self.given.append(list(tasks))
        results = {f"v{number}": number**2 for number in tasks}
        for name in [name for name in results if self._times_lost.get(name, 0) >= len(self.given)]:
            del results[name]
        return results


def test_a_runner_that_loses_nothing_runs_once(caplog: pytest.LogCaptureFixture) -> None:
    runner = Runner()
    assert results_of_all(TASKS, runner, "videos") == {name: number**2 for name, number in TASKS.items()}
    assert runner.given == [list(range(9))]
    assert not caplog.records


def test_what_is_lost_is_named_and_done_again(caplog: pytest.LogCaptureFixture) -> None:
    runner = Runner(v3=1, v5=2)
    assert results_of_all(TASKS, runner, "videos") == {name: number**2 for name, number in TASKS.items()}
    assert runner.given == [list(range(9)), [3, 5], [5]]
    assert "the runner lost the results of 2 of 9 videos, which are done again: v3, v5" in caplog.text


def test_what_is_lost_again_and_again_ends_the_step() -> None:
    runner = Runner(**dict.fromkeys(TASKS, 9))
    sentence = r"^the runner lost the results of 9 of 9 videos, 3 times \(v0, v1, v2 and 6 more\); start the step again\.$"
    with pytest.raises(OutageError, match=sentence):
        results_of_all(TASKS, runner, "videos")
    assert len(runner.given) == 3


def test_nothing_to_do_starts_no_runner() -> None:
    runner = Runner()
    assert results_of_all({}, runner, "videos") == {}
    assert runner.given == []
