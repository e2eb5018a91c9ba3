"""A fault of the storage costs no video: a step gives what it gives without it, or ends and names the storage.

This is a small part of `benchmarks/storage_faults.py`, which tries every request of every step.
"""

import random
from pathlib import Path

import pytest

from tests import emulators
from tests.outages import Proxy
from tests.storage_faults import ENDED, EQUAL, FAULTS, FOR_GOOD, LIGHT_STEPS, Tried, impatience

STEPS = {step.name: step for step in LIGHT_STEPS}


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "name"), [("s3", "ingest"), ("gs", "promote")])
def test_a_fault_at_a_request_leaves_the_outcome_or_ends_the_step(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, scheme: str, name: str
) -> None:
    bucket = request.getfixturevalue(f"{scheme}_storage")
    proxy = Proxy(request.getfixturevalue({"s3": "_s3_server", "gs": "_gs_emulator"}[scheme]))
    monkeypatch.setenv(emulators.ENDPOINTS[scheme], proxy.url)
    draw = random.Random(name)
    with impatience():
        tried = Tried(STEPS[name], f"{bucket}/lungs", proxy, tmp_path)
        trials = [tried.spoil(draw.randrange(len(tried.requests)), fault) for fault in FAULTS]
    proxy.stop()
    assert [(trial.fault, trial.outcome) for trial in trials] == [
        (fault, ENDED if fault in (403, FOR_GOOD) else EQUAL) for fault in FAULTS
    ], trials
