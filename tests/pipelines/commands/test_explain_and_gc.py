"""`lus explain` says what a file asks for; `lus gc` deletes old runs and versions, and only those."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from components.core import storage
from pipelines.commands import gc
from pipelines.commands.main import main as lus

VERSIONS = [f"2026010{day}T000000Z-{day:08x}" for day in range(1, 6)]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(lus, list(map(str, arguments)))


def steps(text: str) -> dict[str, list[tuple[str, str]]]:
    blocks = (block.splitlines() for block in text.split("\n\n")[1:])
    return {name: [(line[2:16].strip(), line[17:]) for line in lines] for name, *lines in blocks}


def test_the_pod_of_a_step_is_explained(tmp_path: Path) -> None:
    (tmp_path / "resources.yaml").write_text(
        "all: {secrets: {aws: {access-key: AWS_ACCESS_KEY_ID}}}\ntrain: {node_selector: {pool: gpu}, timeout_s: 7200}"
    )
    assert run("compile", "-o", tmp_path / "a.yaml", "--resources", tmp_path / "resources.yaml").exit_code == 0
    result = run("explain", tmp_path / "a.yaml")
    assert result.exit_code == 0, result.output
    train = steps(result.stdout)["train"]
    assert train == [
        ("image", "lung-ultrasound-pipeline/train:0.1.0-cuda"),
        ("cpu", "limit 4, request 4"),
        ("memory", "limit 16G, request 16G"),
        ("gpu", "1 × nvidia.com/gpu"),
        ("node selector", "pool=gpu"),
        ("toleration", "nvidia.com/gpu Exists, NoSchedule"),
        ("toleration", "cloud.google.com/gke-spot=true Equal, NoSchedule"),
        ("toleration", "kubernetes.azure.com/scalesetpriority=spot Equal, NoSchedule"),
        ("volume", "/dev/shm: emptyDir, medium Memory, at most 4Gi"),
        ("environment", "AWS_ACCESS_KEY_ID from key access-key of secret aws"),
        ("user", "not root"),
        ("labels", "app.kubernetes.io/component=train, app.kubernetes.io/part-of=lung-ultrasound-pipeline"),
        ("timeout", "7200 s"),
        ("retries", "of lost pods only, as often as the cluster does by itself"),
        ("cache", "reused for equal inputs"),
    ]
    assert ("cache", "never") in steps(result.stdout)["ingest"]


def test_the_secret_of_the_notification_may_be_absent(tmp_path: Path) -> None:
    (tmp_path / "resources.yaml").write_text("all: {secrets: {aws: {access-key: AWS_ACCESS_KEY_ID}}}")
    options = ("--pipeline", "retraining", "-o", tmp_path / "a.yaml", "--resources", tmp_path / "resources.yaml")
    assert run("compile", *options).exit_code == 0
    environment = [value for name, value in steps(run("explain", tmp_path / "a.yaml").stdout)["notify"] if name == "environment"]
    assert "LUS_WEBHOOK_URL from key webhook-url of secret lus-notify, if there is one" in environment
    assert "AWS_ACCESS_KEY_ID from key access-key of secret aws" in environment


def test_the_machine_on_vertex_is_explained(tmp_path: Path) -> None:
    assert run("compile", "--platform", "vertex", "-o", tmp_path / "a.yaml").exit_code == 0
    train = dict(steps(run("explain", tmp_path / "a.yaml").stdout)["train"])
    assert train["retries"] == "4, after 60s, × 2 each time"
    assert (train["cpu"], train["gpu"]) == ("limit 4", "1 × NVIDIA_L4")
    assert not {"toleration", "volume", "timeout"} & set(train)


@pytest.fixture(params=["local", "gs"])
def full_storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A storage with five versions, the second of which is the champion, four runs and what was left behind."""
    root = str(tmp_path / "storage") if request.param == "local" else request.getfixturevalue("gs_storage")
    for version in VERSIONS:
        storage.write_bytes(f"{root}/models/{version}/metadata.json", b"{}")
    champion = {"version": VERSIONS[1], "model_sha256": "0", "macro_f1": 0.7, "promoted_at": "2026-01-02T00:00:00+00:00"}
    storage.write_bytes(f"{root}/models/champion.json", json.dumps(champion).encode())
    runs = [
        "lung-ultrasound-training-2026-01-01-00-00-00-000000",
        "123456789012/lung-ultrasound-retraining-20260102000000",
        "lung-ultrasound-training/c",
        "lung-ultrasound-training/d",
    ]
    for day, name in enumerate(runs):
        storage.write_bytes(f"{root}/runs/{name}/train/model", b"12345")
        if request.param == "local":
            os.utime(f"{root}/runs/{name}/train/model", (day, day))
    for number in range(3):
        storage.write_bytes(f"{root}/checkpoints/{number}.npz", b"state")
        storage.write_bytes(f"{root}/work/{number}/clips/a.tfrecord", b"clips")
    foreign = ("runs/mine/a/model", "runs/mine/b/model", "runs/mine/c/model", "runs/7/c/model")
    for name in ("splits.json", "videos/0.mp4", "videos/lists/0.jsonl", "last_training.json", *foreign):
        storage.write_bytes(f"{root}/{name}", b"kept")
    return root


@pytest.fixture
def _as_a_day_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """An emulator lets nobody say when an object was written."""
    monkeypatch.setattr(gc, "MIN_AGE_S", 0)


def content(root: str) -> set[str]:
    with storage.local_folder(root) as folder:
        return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("_as_a_day_later")
def test_gc_lists_first_and_deletes_then(full_storage: str) -> None:
    before = content(full_storage)
    result = run("gc", "--storage", full_storage, "--keep", 2)
    assert result.exit_code == 0, result.output
    assert "6 would be deleted" in result.stdout
    assert content(full_storage) == before
    assert "6 deleted" in run("gc", "--storage", full_storage, "--keep", 2, "--delete").stdout
    gone = before - content(full_storage)
    assert {name.split("/")[1] for name in gone if name.startswith("models")} == {VERSIONS[0], VERSIONS[2]}
    assert len({name for name in gone if name.startswith("runs")}) == 2
    assert not [name for name in gone if name.startswith(("runs/mine", "runs/7/"))], "no run of this project"
    assert [len([name for name in gone if name.startswith(kind)]) for kind in ("checkpoints", "work")] == [1, 1]
    if not full_storage.startswith("gs"):
        assert {name.split("/")[1] for name in gone if name.startswith("runs")} == {
            "lung-ultrasound-training-2026-01-01-00-00-00-000000",
            "123456789012",
        }, "the oldest by their files"
    assert "0 deleted" in run("gc", "--storage", full_storage, "--keep", 2, "--delete").stdout


def test_gc_leaves_what_was_written_in_the_last_day(full_storage: str) -> None:
    """Of each kind there are three or more, all of them just written, but for the runs of the local storage."""
    before = content(full_storage)
    assert run("gc", "--storage", full_storage, "--keep", 1, "--delete").exit_code == 0
    assert {name for name in before - content(full_storage) if not name.startswith("runs")} == set()
    if full_storage.startswith("gs"):
        assert content(full_storage) == before


def test_gc_leaves_what_has_changed_since_it_looked(full_storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gc, "MIN_AGE_S", 0)
    doomed = gc.candidates(full_storage, keep=1)
    assert {each.kind for each in doomed} == {"runs", "checkpoints", "work", "models"}
    storage.write_bytes(f"{full_storage}/checkpoints/0.npz", b"a later state")
    storage.write_bytes(f"{full_storage}/work/0/clips/b.tfrecord", b"clips")
    champion = {"version": VERSIONS[0], "model_sha256": "0", "macro_f1": 0.7, "promoted_at": "2026-01-02T00:00:00+00:00"}
    storage.write_bytes(f"{full_storage}/models/champion.json", json.dumps(champion).encode())
    deleted = gc.delete(full_storage, doomed)
    assert len(deleted) == len(doomed) - 3
    left = content(full_storage)
    assert {"checkpoints/0.npz", "work/0/clips/a.tfrecord", f"models/{VERSIONS[0]}/metadata.json"} <= left
    assert "checkpoints/1.npz" not in left


def test_gc_takes_a_mistyped_storage_for_no_empty_one(tmp_path: Path) -> None:
    result = run("gc", "--storage", tmp_path / "storrage", "--keep", 1)
    assert result.exit_code == 2
    assert f"there is no storage '{tmp_path}/storrage'" in result.stderr


def test_gc_deletes_nothing_when_the_champion_is_not_known(full_storage: str) -> None:
    storage.write_bytes(f"{full_storage}/models/champion.json", b"broken")
    before = content(full_storage)
    result = run("gc", "--storage", full_storage, "--keep", 1, "--delete")
    assert result.exit_code == 1
    assert "is not a champion pointer" in result.stderr
    assert content(full_storage) == before


def test_gc_keeps_at_least_one(full_storage: str) -> None:
    assert run("gc", "--storage", full_storage, "--keep", 0).exit_code == 2
