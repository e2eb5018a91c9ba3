"""The same predictions as an Apache Beam pipeline with RunInference, for thousands of videos on many workers.

    videos → read clips → one element a clip → RunInference (batches of clips) → gathered by video → lines in the order of the videos

Clips travel as JPEG files, 0.2 MB each. A worker reads the videos and the model from their URIs, so these must be where it can see them.
What it writes comes back through the storage, unless the workers run on this machine; the lines come together at the end, all or none.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.ml.inference.base import KeyedModelHandler, ModelHandler, RunInference
from apache_beam.options.pipeline_options import PipelineOptions

from components.core import storage
from components.core.beam.beam_options import VideoProgress, check_workers_see, pipeline_options, work_folder, worker_failures
from components.core.beam.completeness import results_of_all
from components.core.files import json_lines
from components.core.files.outputs import is_stream
from components.core.video.guarded_reader import GuardedReader
from components.core.video.sampling import Sampling
from components.predict.inputs import VideoTask
from components.predict.model_choice import ChosenModel
from components.predict.prediction import (
    MAX_BATCH_CLIPS,
    Jpegs,
    ReadVideo,
    VideoPrediction,
    answering,
    classify,
    finish,
    read_video,
)


class ClassifierHandler(ModelHandler[Jpegs, np.ndarray, Any]):
    """How RunInference loads a classifier of this project and asks it."""

    def __init__(self, model: ChosenModel) -> None:
        super().__init__()
        self._model = model

    def load_model(self) -> Any:
        """Loads the model on a worker."""
        from components.core.models.classifier import load_classifier
        from components.core.models.tensorflow_startup import load_tensorflow

        load_tensorflow()
        with storage.local_folder(self._model.uri) as folder:
            return answering(load_classifier(folder)[0], self._model)

    def run_inference(self, batch: Sequence[Jpegs], model: Any, inference_args: dict[str, Any] | None = None) -> Iterable[np.ndarray]:
        """Returns what the model says of each clip of the batch."""
        return classify(model, batch, self._model)

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        """Tells Beam how many clips a batch may have."""
        return {"max_batch_size": MAX_BATCH_CLIPS}


class ReadClips(beam.DoFn):
    """Reads the clips of videos in a child process of each worker, so that a video on which the decoder crashes is lost alone.

    Attributes:
        progress: counts the videos.
    """

    def __init__(self, sampling: Sampling, num_videos: int) -> None:
        self.progress = VideoProgress(num_videos)
        self._sampling = sampling

    def setup(self) -> None:
        """Makes the reader; its process starts with the first video."""
        self._reader = GuardedReader()

    def process(self, task: VideoTask) -> Iterator[ReadVideo]:
        """Yields what came of reading a video."""
        read = read_video(task, self._sampling, self._reader)
        self.progress.count(str(task.position), len(read.clips))
        yield read

    def teardown(self) -> None:
        """Ends the process."""
        self._reader.close()


def predict_with_beam(
    tasks: list[VideoTask],
    model: ChosenModel,
    sampling: Sampling,
    storage_uri: str,
    predictions_path: Path,
    strips_path: Path | None,
    beam_options: str,
) -> list[str]:
    """Predicts videos as a Beam pipeline and writes their lines to one file, and strips to a folder unless that is None.

    Returns:
        The lines, in the order of the tasks.

    Raises:
        UsageError: the options name no runner that Beam knows, or one whose workers run elsewhere while there is no storage.
        DataError: the model gives something else than probabilities.
        OutageError: the runner loses predictions again and again.
        StorageError: the storage cannot be read, or an output cannot be written.
    """
    options = pipeline_options(beam_options)
    check_workers_see(options, [model.uri, *(task.uri for task in tasks if not task.obstacle)])
    if not is_stream(predictions_path):
        storage.check_writable(str(predictions_path.parent))
    with work_folder(options, storage_uri) as work_uri:
        lines_uri = storage.join(work_uri, "predictions.jsonl")
        strips_uri = storage.join(work_uri, "strips") if strips_path else ""

        def run(chosen: Sequence[VideoTask]) -> dict[int, str]:
            with worker_failures():
                _run(chosen, model, sampling, lines_uri, strips_uri, options)
            return dict(map(json.loads, storage.read_bytes(lines_uri).splitlines()))

        found = results_of_all({task.position: task for task in tasks}, run, "predictions")
        if strips_path and storage.exists(strips_uri):
            with storage.local_folder(strips_uri) as folder:
                storage.put_folder(folder, str(strips_path), last="")
        lines = [found[task.position] for task in tasks]
        storage.write_bytes(str(predictions_path), json_lines.to_bytes(lines))
        return lines


def _run(
    tasks: Sequence[VideoTask], model: ChosenModel, sampling: Sampling, lines_uri: str, strips_uri: str, options: PipelineOptions
) -> None:
    """Runs the pipeline, which writes a line `[position, line of the predictions]` a video."""
    reading = ReadClips(sampling, len(tasks))
    with reading.progress.shown(options), beam.Pipeline(options=options) as pipeline:
        reads = (
            pipeline
            | "videos" >> beam.Create(tasks, reshuffle=True)
            | "read clips" >> beam.ParDo(reading)
            | "by position" >> beam.WithKeys(lambda read: read.task.position)
        )
        answers = (
            reads
            | "clips" >> beam.FlatMap(_clips)
            | "infer" >> RunInference(KeyedModelHandler(ClassifierHandler(model)))
            | "by video" >> beam.MapTuple(lambda key, row: (key[0], (key[1], row)))
        )
        (
            {"read": reads, "answers": answers}
            | "gather clips" >> beam.CoGroupByKey()
            | "finish" >> beam.Map(_line, model=model, strips_uri=strips_uri)
            | "gather videos" >> beam.GroupByKey()
            | "write" >> beam.Map(_write, uri=lines_uri)
        )


def _clips(keyed: tuple[int, ReadVideo]) -> Iterator[tuple[tuple[int, int], Jpegs]]:
    position, read = keyed
    for number, jpegs in enumerate(read.clips):
        yield (position, number), jpegs


def _line(gathered: tuple[int, dict[str, Any]], model: ChosenModel, strips_uri: str) -> tuple[None, tuple[int, str]]:
    position, found = gathered
    (read,) = found["read"]
    rows = [row for _, row in sorted(found["answers"], key=lambda item: item[0])]
    prediction = VideoPrediction(read, model, np.array(rows))
    finish(prediction, strips_uri)
    return None, (position, prediction.to_json())


def _write(gathered: tuple[None, Iterable[tuple[int, str]]], uri: str) -> None:
    _, lines = gathered
    storage.write_bytes(uri, "\n".join(map(json.dumps, sorted(lines))).encode())
