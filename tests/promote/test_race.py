"""Eight processes promote at once, on a local folder, gs:// and s3://: one wins, the others are told, and nobody's version is lost."""

import itertools
import json
import multiprocessing
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.core import storage
from components.core.registry.champion import read_champion
from components.core.registry.versions import list_versions, model_sha256, version_uri
from components.core.storage.object_stores import client_of
from components.core.storage.small_objects import ABSENT
from components.promote.decision import Rule
from components.promote.promote import Promotion, promote_model

pytestmark = pytest.mark.slow

NUM_PROCESSES = 8
NUM_WRITES = {"": 100, "gs": 8, "s3": 8}  # by scheme: without its lock, a local folder fails once in some ten
# So many, and then more until there was a race: a slow machine lets the processes come one after the other.
NUM_PROMOTIONS, MAX_PROMOTIONS = 4, 40


@pytest.fixture(params=["local", "gs", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "storage") if request.param == "local" else request.getfixturevalue(f"{request.param}_storage")


class Racers:
    """Processes that do the same thing at the same moment."""

    def __init__(self) -> None:
        # Children of a server process that has no threads, and has loaded the libraries once for all of them.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["components.promote.promote", "google.cloud.storage", "boto3"])
        self._barrier = context.Barrier(NUM_PROCESSES)
        self._pipes = []
        self._processes = []
        for number in range(NUM_PROCESSES):
            ours, theirs = context.Pipe()
            process = context.Process(target=_race, args=(number, self._barrier, theirs, dict(os.environ)), daemon=True)
            process.start()
            theirs.close()  # so that a process that ends early is an end of file here, not silence
            self._pipes.append(ours)
            self._processes.append(process)

    def run(self, action: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Calls action(number, *arguments) in each process; returns what they return."""
        for pipe in self._pipes:
            pipe.send((action, arguments))
        return [pipe.recv() for pipe in self._pipes]

    def close(self) -> None:
        for pipe in self._pipes:
            pipe.send(None)
        for process in self._processes:
            process.join(10)


def _race(number: int, barrier: Any, pipe: Any, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    client_of.cache_clear()
    while task := pipe.recv():
        action, arguments = task
        barrier.wait(60)
        pipe.send(action(number, *arguments))


@pytest.fixture
def racers(root: str) -> Iterator[Racers]:
    racers = Racers()
    yield racers
    racers.close()


def write(number: int, uri: str, turn: int, generation: str) -> bool:
    try:
        storage.write_if_unchanged(uri, f"{turn} {number}".encode(), generation)
    except storage.ConflictError:
        return False
    return True


def test_of_several_writers_of_one_generation_exactly_one_succeeds(root: str, racers: Racers) -> None:
    uri = storage.join(root, "folder", "pointer.json")
    for turn in range(NUM_WRITES[storage.scheme_of(root)]):
        before, generation = storage.read_with_generation(uri)
        assert (generation == ABSENT) == (before == b"") == (turn == 0)
        succeeded = racers.run(write, uri, turn, generation)
        assert succeeded.count(True) == 1
        assert storage.read_with_generation(uri)[0] == f"{turn} {succeeded.index(True)}".encode()


def promote(number: int, root: str, folder: Path) -> Promotion:
    challenger = folder / str(number)
    return promote_model(challenger / "model", challenger / "evaluation", challenger / "report", root, Rule(0.5, 0.0, 0.05))


def write_challenger(folder: Path, content: str, champion: str | None) -> None:
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "model.keras").write_text(content)
    (folder / "model" / "metadata.json").write_text("{}")
    (folder / "report").write_text("<html>")
    comparison = {
        "challenger_sha256": model_sha256(folder / "model"),
        "challenger_macro_f1": 0.7,
        "challenger_interval": None,
        "chance_p_value": 0.001,
        "majority_macro_f1": 0.2,
        "champion_version": champion,
        "champion_macro_f1": 0.6 if champion else None,
        "difference_interval": [-0.1, 0.3] if champion else None,
        "remark": "",
        "challenger_brier": 0.4,
        "champion_brier": 0.5 if champion else None,
    }
    (folder / "evaluation").write_text(json.dumps({"comparison": comparison}))


def test_a_promotion_race_has_one_winner_and_loses_no_version(root: str, racers: Racers, tmp_path: Path) -> None:
    winners: list[str] = []
    published: dict[str, str] = {}
    for turn in itertools.count():
        if turn >= NUM_PROMOTIONS and (len(published) > turn or turn == MAX_PROMOTIONS):
            break
        folder = tmp_path / f"turn-{turn}"
        for number in range(NUM_PROCESSES):
            write_challenger(folder / str(number), f"{turn} {number}", winners[-1] if winners else None)
        promotions: list[Promotion] = racers.run(promote, root, folder)

        promoted = [promotion for promotion in promotions if promotion.decision.promoted]
        assert len(promoted) == 1
        winner = promoted[0].version
        assert winner is not None
        winners.append(winner)
        champion = read_champion(root)
        assert champion is not None
        assert champion.version == winner
        assert champion.model_sha256 == promoted[0].comparison.challenger_sha256
        for number, promotion in enumerate(promotions):
            if promotion.version:
                published[promotion.version] = f"{turn} {number}"
            if promotion is not promoted[0]:
                told = promotion.decision.reasons[-1]
                assert re.search(f"(the champion is|and is) {winner} now", told), told
                assert promotion.champion_now == winner
    assert [change.version for change in champion.history] == winners
    assert list_versions(root) == sorted(published), "no version is lost, and none is there that nobody was told of"
    for version, content in published.items():
        assert storage.read_bytes(storage.join(version_uri(root, version), "model.keras")) == content.encode()
    assert len(published) > len(winners), "nobody lost after publishing: there was no race"
