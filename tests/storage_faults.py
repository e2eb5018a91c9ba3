"""Every step on tiny data in a cloud storage, one of whose answers is spoiled: what does the step make of it?

A trial begins with the storage as `prepare` left it, spoils the answer to one request of the step and looks at the outcome: EQUAL when the
step's outputs and the storage are what they are without a fault; ENDED when the step said in one sentence that names the storage why it
ends with exit code 1, and, where that can be told, gave the undisturbed outcome when it was started again. Anything else is WRONG, with
what it was. Times do not count, nor does the empty object by which ingest finds out whether it may write: a request that comes late may
write it after it was deleted.
"""

import contextlib
import dataclasses
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import tenacity

from components.core import storage
from components.core.errors import PipelineError
from components.core.records import clips
from components.core.records.manifest import ManifestRow
from components.core.records.video_records import Status, VideoRecord, videos_content
from components.core.registry.champion import moved_to, read_pointer, set_champion
from components.core.registry.versions import publish_version
from components.core.storage import object_stores, outages, small_objects
from tests.outages import CUT_BODY, RESET, SLOW, Proxy
from tests.videos import numbered_frames, write_video

EQUAL, ENDED, WRONG = "equal", "ended", "WRONG"
# For good: from that request on.
FOR_GOOD = "503 for good"
FAULTS: tuple[int | str, ...] = (503, RESET, 403, SLOW, CUT_BODY, FOR_GOOD)

Contents = dict[str, bytes]

# The times that a step writes, the version that is called by one, and what a place in the storage is hashed to.
_TIMES = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)?|\d{8}T\d{6}Z|\d{4}-\d\d-\d\d \d\d:\d\d")


@dataclasses.dataclass(frozen=True)
class Step:
    """A step as it is tried.

    Attributes:
        name: of the step.
        prepare: fills a storage, and a local folder with what earlier steps would have given.
        run: runs the step with that storage and that folder; writes its outputs to another one, and returns what to compare of them.
        is_repeatable: whether started again after it ended it leaves the same storage: not when each start adds a version of its own.
    """

    name: str
    prepare: Callable[[str, Path], None]
    run: Callable[[str, Path, Path], Contents]
    is_repeatable: bool = True


@dataclasses.dataclass(frozen=True)
class Trial:
    """What became of a step one of whose requests was spoiled."""

    request: str
    fault: int | str
    outcome: str
    detail: str = ""


class Tried:
    """A step with its storage, as it is without faults."""

    def __init__(self, step: Step, root: str, proxy: Proxy, folder: Path) -> None:
        self._step, self._root, self._proxy, self._inputs = step, root, proxy, folder / step.name
        self._inputs.mkdir()
        step.prepare(root, self._inputs)
        self._before = _objects(root)
        self.requests, self._expected = self._undisturbed()

    def spoil(self, number: int, fault: int | str) -> Trial:
        """Runs the step with one answer spoiled, or all from that one on."""
        _restore(self._root, self._before)
        self._proxy.faults.extend([None] * number)
        self._proxy.faults.extend([503] * 10_000 if fault == FOR_GOOD else [fault])
        try:
            outcome, detail = self._outcome()
        finally:
            self._proxy.faults.clear()
        if outcome == ENDED and self._step.is_repeatable and self._run() != self._expected:
            outcome, detail = WRONG, f"it does not go on after: {detail}"
        return Trial(self.requests[number], fault, outcome, detail)

    def _undisturbed(self) -> tuple[list[str], Contents]:
        """Returns the requests that the step makes, and its outcome, which must be the same each time."""
        outcomes = []
        for _ in range(2):
            _restore(self._root, self._before)
            outcomes.append(self._run())
        assert outcomes[0] == outcomes[1], f"{self._step.name} differs from run to run: {_difference(*outcomes)}"
        return self._requests, outcomes[1]

    def _run(self) -> Contents:
        self._proxy.requests.clear()
        with tempfile.TemporaryDirectory() as outputs:
            results = self._step.run(self._root, self._inputs, Path(outputs))
        self._requests = list(self._proxy.requests)
        self._proxy.faults.clear()
        results |= _objects(self._root)
        return {_TIMES.sub(b"T", name.encode()).decode(): _TIMES.sub(b"T", content) for name, content in results.items()}

    def _outcome(self) -> tuple[str, str]:
        try:
            results = self._run()
        except PipelineError as error:
            sentence = str(error)
            names_it = self._root.partition("://")[2].partition("/")[0] in sentence
            is_told = error.exit_code == 1 and names_it and "\n" not in sentence and sentence.endswith(".")
            return (ENDED if is_told else WRONG), f"{type(error).__name__}: {sentence}"
        except Exception as error:  # whatever comes out is the outcome
            return WRONG, f"traceback of {type(error).__name__}: {error}"
        return (EQUAL, "") if results == self._expected else (WRONG, f"another result: {_difference(results, self._expected)}")


@contextlib.contextmanager
def impatience() -> Iterator[None]:
    """Makes the storage layer give up soon, and ask s3:// again soon when an answer is slow; ingest asks one thing after another."""
    from components.ingest import ingest

    with (
        mock.patch.object(outages, "PATIENCE_S", 0.3),
        mock.patch.object(outages, "BACK_OFF", tenacity.wait_fixed(0.02)),
        mock.patch.object(object_stores, "READ_TIMEOUT_S", 0.5),
        mock.patch.object(ingest, "NUM_THREADS", 1),
    ):
        object_stores.client_of.cache_clear()
        yield
    object_stores.client_of.cache_clear()


def _objects(root: str) -> Contents:
    """Returns what a storage holds; asked again, because the last fault of a step may have closed a connection that is kept."""
    paths = storage.patiently("list", root, lambda: list(storage.path_of(root).rglob("*")))
    read = {str(path): storage.read_with_generation(str(path)) for path in paths}
    return {uri: content for uri, (content, generation) in read.items() if generation != small_objects.ABSENT and "/.writable-" not in uri}


def _restore(root: str, contents: Contents) -> None:
    """Writes a storage anew, in an order of its own, so that of two objects the same one is always the older."""
    storage.delete_folder(root)
    for uri, content in sorted(contents.items()):
        storage.write_bytes(uri, content)


def _difference(one: Mapping[str, bytes], other: Mapping[str, bytes]) -> str:
    return ", ".join(sorted(name for name in {*one, *other} if one.get(name) != other.get(name)))


def _files(folder: Path) -> Contents:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _write_manifest(root: str, folder: Path) -> None:
    """Lists two videos in the storage, and one that is not there."""
    for number in range(2):
        storage.put_file(write_video(folder / f"{number}.avi", numbered_frames(14 + number)), f"{root}/sources/{number}.avi")
    lines = [f"v{number},sources/{number}.avi,covid," for number in range(3)]
    storage.write_bytes(f"{root}/manifest.csv", "\n".join(["video_id,uri,label,group", *lines]).encode())


def _ingest(root: str, folder: Path, outputs: Path) -> Contents:
    from components.ingest.ingest import ingest_videos

    return {"videos": videos_content(ingest_videos(f"{root}/manifest.csv", root).records)}


def _write_videos(root: str, folder: Path) -> None:
    """Writes what ingest gives of three videos a class, each of a group of its own."""
    records = []
    for label, name in enumerate(clips.CLASS_NAMES):
        for number in range(3):
            path = write_video(folder / f"{name}{number}.avi", numbered_frames(14 + number, 64, 64 + 8 * label))
            uri = f"{root}/videos/{path.name}"
            storage.put_file(path, uri)
            row = ManifestRow(path.stem, "x", name, path.stem)
            records.append(VideoRecord(row, Status.STORED, storage_uri=uri, sha256=path.stem, num_bytes=path.stat().st_size))
    storage.write_bytes(f"{root}/videos/lists/0.jsonl", videos_content(records))


def _preprocess(root: str, folder: Path, outputs: Path) -> Contents:
    from components.preprocess.preprocess import Settings, build_dataset

    settings = Settings("window", 25, 1, 0.3, 0.2, num_folds=2, num_shards=1, keep_other=False, seed=0)
    build_dataset(f"{root}/videos/lists/0.jsonl", root, outputs / "dataset", settings, num_workers=1)
    return _files(outputs)


def _write_challenger(root: str, folder: Path) -> None:
    """Writes a model that has been evaluated, and makes another one the champion."""
    from components.core.registry.versions import model_sha256
    from tests.comparisons import convincing_comparison

    for name in ("champion", "challenger"):
        model = folder / name
        model.mkdir()
        (model / "model.keras").write_text(name)
        metadata = {"kind": "pruned", "class_names": list(clips.CLASS_NAMES), "dataset_fingerprint": "f" * 64, "code_revision": "c0de"}
        (model / "metadata.json").write_text(json.dumps({**metadata, "parameters": {}, "results": {}}))
        comparison = convincing_comparison(model_sha256(model), 0.6)
        if name == "challenger":
            version = crowned(root, folder / "champion", folder / "evaluation", folder / "report")
            comparison |= {"champion_version": version, "champion_macro_f1": 0.55, "difference_interval": [0.01, 0.2]}
        (folder / "evaluation").write_text(json.dumps({"comparison": comparison, "dataset_fingerprint": "f" * 64}))
        (folder / "report").write_text("<html>")


def crowned(root: str, model: Path, evaluation: Path, report: Path) -> str:
    """Publishes a model and makes it the champion; returns its version."""
    from components.core.registry.versions import model_sha256

    version = publish_version(root, model, evaluation, report, datetime(2026, 1, 2, tzinfo=UTC), "# Promoted\n")
    before, generation = read_pointer(root)
    set_champion(root, moved_to(version, model_sha256(model), 0.55, "The first one.", before), generation)
    return version


def _promote(root: str, folder: Path, outputs: Path) -> Contents:
    from components.promote.decision import Rule
    from components.promote.promote import promote_model

    promotion = promote_model(folder / "challenger", folder / "evaluation", folder / "report", root, Rule(0.5, 0.0, 0.05))
    return {"decision": promotion.to_markdown().encode()}


def _write_training(root: str, folder: Path) -> None:
    _write_videos(root, folder)
    _write_challenger(root, folder)


def _record_training(root: str, folder: Path, outputs: Path) -> Contents:
    from components.record_training.record_training import record

    record(folder / "evaluation", root)
    return {}


def _local(root: str, outputs: Path) -> Path:
    """Returns the list of videos as a cluster gives it to a step: a local file."""
    (outputs / "videos").write_bytes(storage.read_bytes(f"{root}/videos/lists/0.jsonl"))
    return outputs / "videos"


def _write_record(root: str, folder: Path) -> None:
    _write_training(root, folder)
    _record_training(root, folder, folder)


def _decide_training(root: str, folder: Path, outputs: Path) -> Contents:
    from components.decide_training.decide_training import decide

    return {"decision": decide(_local(root, outputs), root, 30, force=False).to_markdown().encode()}


def _write_leftovers(root: str, folder: Path) -> None:
    _write_challenger(root, folder)
    for number in range(2):
        storage.write_bytes(f"{root}/runs/lung-ultrasound-training/{number}/train/model", b"12345")
        storage.write_bytes(f"{root}/checkpoints/{number}.npz", b"state")
        storage.write_bytes(f"{root}/models/2026010{number + 3}T000000Z-00000000/metadata.json", b"{}")


def _gc(root: str, folder: Path, outputs: Path) -> Contents:
    from pipelines.commands import gc

    with mock.patch.object(gc, "MIN_AGE_S", 0):
        gc.delete(root, gc.candidates(root, keep=1))
    return {}


def _write_clips(root: str, folder: Path) -> None:
    from tests.clip_datasets import write_toy_dataset

    write_toy_dataset(folder / "dataset", {"train": 1, "validation": 1, "test": 1})


def _train(root: str, folder: Path, outputs: Path) -> Contents:
    from components.train.trainer import train_classifier
    from tests.networks import coarse_model, training_options

    options = training_options(epochs=2, patience=2, batch_size=3, learning_rate=0.001, seed=0)
    with mock.patch("components.train.trainer.build_network", lambda num_classes, *_: coarse_model(num_classes)):
        results = train_classifier(folder / "dataset", outputs / "model", outputs / "curves", options, root)
    return {"results": json.dumps({name: value for name, value in results.items() if name != "data_wait_share"}).encode()}


def _write_checkpoint(root: str, folder: Path) -> None:
    """Leaves what a training leaves that is killed when it is over."""
    _write_clips(root, folder)
    (folder / "killed").mkdir()
    with mock.patch("components.core.models.checkpoints.Checkpoints.delete"):
        _train(root, folder, folder / "killed")


def _write_models(root: str, folder: Path) -> None:
    """Writes a dataset, a model of it, and the same model as the champion."""
    from components.core.models.classifier import ClassifierMetadata, save_classifier
    from components.core.records.shards import DatasetIndex
    from tests.comparisons import convincing_comparison
    from tests.networks import coarse_model

    _write_clips(root, folder)
    (folder / "model").mkdir()
    fingerprint = DatasetIndex.read(folder / "dataset").fingerprint
    sampling = {"sampling": "window", "frames_per_second": 25.0, "max_clips_per_video": 1}
    metadata = ClassifierMetadata("pruned", list(clips.CLASS_NAMES), fingerprint, "c0de", {}, {}, sampling)
    save_classifier(folder / "model", coarse_model(), metadata)
    (folder / "evaluation").write_text(json.dumps({"comparison": convincing_comparison("0" * 64, 0.6)}))
    (folder / "report").write_text("<html>")
    crowned(root, folder / "model", folder / "evaluation", folder / "report")


def _evaluate(root: str, folder: Path, outputs: Path) -> Contents:
    from components.evaluate.evaluate import evaluate_models

    evaluation = evaluate_models(folder / "dataset", folder / "model", folder / "model", root, num_bootstrap=0, batch_size=3, seed=0)
    return {"evaluation": evaluation.to_json().encode()}


def _write_predicted(root: str, folder: Path) -> None:
    _write_models(root, folder)
    for number in range(2):
        storage.put_file(write_video(folder / f"{number}.avi", numbered_frames(14 + number)), f"{root}/clinic/{number}.avi")


def _predict(root: str, folder: Path, outputs: Path) -> Contents:
    from components.predict.inputs import list_videos
    from components.predict.prediction import predict_videos

    predict_videos(
        list_videos([f"{root}/clinic"]), "champion", root, *(outputs / name for name in ("predictions", "strips", "patients", "page"))
    )
    return {"predictions": (outputs / "predictions").read_bytes()}


LIGHT_STEPS = (
    Step("ingest", _write_manifest, _ingest),
    Step("preprocess", _write_videos, _preprocess),
    Step("promote", _write_challenger, _promote, is_repeatable=False),
    Step("record_training", _write_training, _record_training),
    Step("decide_training", _write_record, _decide_training),
    Step("gc", _write_leftovers, _gc),
)
# They load TensorFlow.
HEAVY_STEPS = (
    Step("train", _write_clips, _train),
    Step("train, gone on", _write_checkpoint, _train),
    Step("evaluate", _write_models, _evaluate),
    Step("predict", _write_predicted, _predict),
)
