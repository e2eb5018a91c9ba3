"""Predict: videos → what a classifier makes of them, as JSON Lines.

    predictions    a line a video, in the order in which they were asked for (VideoPrediction.to_json):
                   video_id, uri, model_version, model_sha256, sector, reason (why there is no prediction, or empty)
                   probabilities     of the classes, the mean over the clips; null without a prediction
                   most_probable     the class with the highest probability
                   abstained         whether that probability is below abstain_below
                   findings          of a model that tells any: `probability` that there are A-lines, that there are B-lines; of the
                                     severity the `expected` grade; null without a prediction
                   strangeness       how far it is from the videos that the model learnt from (core.models.reference): beyond 1 it is
                                     unlike them, as one in twenty videos of new patients from the same places is; null where
                                     the model has no reference
                   patient_scores    what it says of the classes of its patient: the rule that was learnt on train patients; null likewise
                   clips             start_s and end_s in the video, and the probabilities and findings of each clip
                   patient, zone     whose video it is and where on the chest, as a manifest says; null where none does
    patients       what the videos of a patient say together (components.predict.patients)
    page           all of it for a person to read, in one HTML file (components.predict.page)
    strips/        number and id of the video .png: every clip in a row, with what the model says of it

Each line is written when its video is done. A file of predictions appears whole at the end; until then it grows beside its place, and what
was done outlives the process (outputs.growing_file). A pipe or /dev/stdout gets line by line. A name that is not UTF-8 is said so
that `os.fsencode(json.loads(line)["uri"])` finds the file (core.files.json_lines).

Videos are read by the code that preprocess reads them with, sampled as the model's own training clips were, and their frames pass through
the same JPEG, so that a prediction is what evaluate would find. For many videos the same functions run with Beam (beam_prediction).
"""

import dataclasses
import json
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from components.core import storage
from components.core.errors import AbsentError, DataError
from components.core.files import json_lines
from components.core.files.outputs import growing_file, is_stream
from components.core.models import heads
from components.core.models.classifier import load_classifier
from components.core.models.dataset import decode_frames
from components.core.models.reference import with_looks
from components.core.records.findings import FINDINGS, Finding
from components.core.video.clip_reader import read_clips
from components.core.video.guarded_reader import GuardedReader
from components.core.video.sampling import Sampling
from components.predict.inputs import VideoTask
from components.predict.model_choice import ChosenModel, open_model
from components.predict.page import NOT_ASKED_FOR, NOT_WITH_BEAM, Pictured, page_html
from components.predict.patients import patient_lines, rounded, summary
from components.predict.strips import strip_png

MAX_BATCH_CLIPS = 16

Jpegs: TypeAlias = tuple[bytes, ...]

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class ReadVideo:
    """What came of reading a video.

    Attributes:
        task: the video.
        sector: what its field of view was taken for.
        clips: the frames of each clip as JPEG files.
        times_s: of the first and the last frame of each clip.
        num_damaged: parts of what was read that could not be decoded, and are left out.
        reason: why there is no clip, or an empty string.
    """

    task: VideoTask
    sector: str = ""
    clips: tuple[Jpegs, ...] = ()
    times_s: tuple[tuple[float, float], ...] = ()
    num_damaged: int = 0
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class VideoPrediction:
    """What the model makes of one video; `answers` is [clips, numbers], its heads side by side, empty when there is no prediction."""

    read: ReadVideo
    model: ChosenModel
    answers: np.ndarray

    @property
    def probabilities(self) -> np.ndarray:
        """Of the classes, [clips, classes]."""
        return self.answers[:, : len(self.model.metadata.class_names)]

    @property
    def strangeness(self) -> float | None:
        """How far the video is from the train videos, beyond 1 unlike them; None where that is not known."""
        return float(self.model.reference.strangeness(self._look())[0]) if self.model.reference and len(self.answers) else None

    def to_json(self) -> str:
        """Returns one line of JSON."""
        task, read, model = self.read.task, self.read, self.model
        mean = self.probabilities.mean(axis=0) if len(self.answers) else None
        fields = {
            "video_id": task.video_id,
            "uri": task.uri,
            "patient": task.patient or None,
            "zone": task.zone or None,
            "model_version": model.version or None,
            "model_sha256": model.sha256,
            "sector": read.sector or None,
            "reason": read.reason,
            "num_damaged": read.num_damaged,
            "most_probable": None if mean is None else model.metadata.class_names[int(mean.argmax())],
            **self._said(self.answers),
            "abstained": None if mean is None else bool(mean.max() < model.record.abstain_below),
            "abstain_below": model.record.abstain_below,
            "strangeness": None if self.strangeness is None else rounded(self.strangeness),
            "patient_scores": self._patient_scores(),
            "clips": [
                {"start_s": round(start_s, 3), "end_s": round(end_s, 3), **self._said(row[np.newaxis])}
                for (start_s, end_s), row in zip(read.times_s, self.answers, strict=True)
            ],
        }
        return json.dumps(fields, ensure_ascii=False)  # json_lines makes bytes of it

    def summary(self) -> str:
        """Returns what a person wants to see of it in a line."""
        if self.read.reason:
            return f"{self.read.task.video_id}: no prediction: {self.read.reason}"
        mean = self.probabilities.mean(axis=0)
        best = int(mean.argmax())
        abstains = ", the model abstains" if mean[best] < self.model.record.abstain_below else ""
        findings = "".join(
            f", {finding.title} {value:.{2 if finding.num_thresholds == 1 else 1}f}" for finding, value in self._findings(self.answers)
        )
        damaged = f", {self.read.num_damaged} damaged parts left out" if self.read.num_damaged else ""
        strange = ", unlike the videos that the model learnt from" if (self.strangeness or 0) > 1 else ""
        return f"{self.read.task.video_id}: {self.model.metadata.class_names[best]} {mean[best]:.2f}{abstains}{findings}{damaged}{strange}"

    def _look(self) -> np.ndarray:
        """Returns the mean look of the clips, [1, d]."""
        return heads.apart(self.answers, self.model.sizes)[heads.LOOK].mean(axis=0, keepdims=True)

    def _patient_scores(self) -> dict[str, float] | None:
        if not self.model.reference or not len(self.answers):
            return None
        (scores,) = self.model.reference.scores(self._look())
        return dict(zip(self.model.metadata.class_names, map(rounded, scores), strict=True))

    def _said(self, answers: np.ndarray) -> dict[str, Any]:
        """Returns the mean of what the model says of clips; null where there are none."""
        names = self.model.metadata.class_names
        means = answers[:, : len(names)].mean(axis=0) if len(answers) else None
        said: dict[str, Any] = {"probabilities": None if means is None else dict(zip(names, map(rounded, means), strict=True))}
        if self.model.metadata.findings:
            found = {finding.name: {finding.measure: rounded(value)} for finding, value in self._findings(answers)}
            said["findings"] = found or None
        return said

    def _findings(self, answers: np.ndarray) -> list[tuple[Finding, float]]:
        """Returns of each finding that the model tells the grade that it expects, the mean over the clips, if there are any."""
        if not len(answers):
            return []
        by_head = heads.apart(answers, self.model.sizes)
        return [(finding, by_head[finding.name].sum(axis=1).mean()) for finding in FINDINGS if finding.name in by_head]


def predict_videos(
    tasks: list[VideoTask],
    model_name: str,
    storage_uri: str,
    predictions_path: Path,
    strips_path: Path,
    patients_path: Path,
    page_path: Path,
    draw_strips: bool = False,
    draw_pictures: bool = False,
    beam_options: str = "",
) -> None:
    """Predicts videos and writes what was found.

    Args:
        tasks: the videos.
        model_name: see `open_model`.
        storage_uri: where the project keeps its models, and where Beam's workers pass files when they run elsewhere; may be empty.
        predictions_path: file to write, or a stream; the file appears complete or not at all, and of a run that failed there is
            `<name>.partial-…` with the lines of the videos before.
        strips_path: folder for the strips; it is made in any case.
        patients_path: file for what the videos of each patient say together.
        page_path: file for the page.
        draw_strips: whether strips are drawn.
        draw_pictures: whether the page has pictures; with Beam it has none.
        beam_options: options of Apache Beam; empty to do without.

    Raises:
        UsageError: there is no such model, or the options name no runner.
        DataError: the model cannot be used, or gives something else than probabilities.
        StorageError: the storage cannot be read, or an output cannot be written; the message says where the lines before are kept.
    """
    with open_model(model_name, storage_uri) as (model, folder):
        sampling = model.sampling
        _log.info("model %s, classes %s; not for diagnosis", model.version or model.uri, ", ".join(model.metadata.class_names))
        with storage.failures("write", strips_path):
            strips_path.mkdir(parents=True, exist_ok=True)
        for path in (patients_path, page_path):
            if not is_stream(path):
                storage.check_writable(str(path.parent))
        if beam_options:
            from components.predict.beam_prediction import predict_with_beam

            drawn = strips_path if draw_strips else None
            lines = predict_with_beam(tasks, model, sampling, storage_uri, predictions_path, drawn, beam_options)
            pictured = Pictured(remark=NOT_WITH_BEAM)
        else:
            lines, pictured = _predict_here(tasks, model, folder, predictions_path, strips_path if draw_strips else None, draw_pictures)
    told = [json.loads(line) for line in lines]
    _log.info("%d of %d videos have a prediction", sum(not line["reason"] for line in told), len(tasks))
    patients = patient_lines(tasks, told)
    _write_patients(patients_path, patients)
    storage.write_bytes(page_path, page_html(model, told, patients, pictured))


def _predict_here(
    tasks: list[VideoTask], model: ChosenModel, folder: Path, predictions_path: Path, strips_path: Path | None, draw_pictures: bool
) -> tuple[list[str], Pictured]:
    """Predicts videos one after the other, and returns their lines and the pictures for the page."""
    lines = []
    with growing_file(predictions_path) as add:
        classifier, _ = load_classifier(folder)
        album = None
        if draw_pictures:
            from components.predict.pictures import Album  # with what it draws with, a second to load

            album = Album(classifier, model)
        for prediction in _predictions(tasks, answering(classifier, model), model, model.sampling):
            finish(prediction, str(strips_path or ""))
            lines.append(prediction.to_json())
            add(json_lines.to_bytes(lines[-1:]))
            read = prediction.read
            _log.info("%d of %d  %s", read.task.position + 1, len(tasks), prediction.summary())
            if album and read.clips:
                album.add(read.task.position, read.clips[0], int(prediction.probabilities.mean(axis=0).argmax()))
    return lines, album.pictured() if album else Pictured(remark=NOT_ASKED_FOR)


def _write_patients(path: Path, patients: list[dict[str, Any]]) -> None:
    """Writes a line for each patient, and tells of those with several videos."""
    storage.write_bytes(path, json_lines.to_bytes(json.dumps(patient, ensure_ascii=False) for patient in patients))
    for patient in patients:
        if len(patient["videos"]) > 1:
            _log.info("%s", summary(patient))


def _predictions(tasks: list[VideoTask], classifier: Any, model: ChosenModel, sampling: Sampling) -> Iterator[VideoPrediction]:
    with GuardedReader() as reader:
        for task in tasks:
            read = read_video(task, sampling, reader)
            batches = [read.clips[start : start + MAX_BATCH_CLIPS] for start in range(0, len(read.clips), MAX_BATCH_CLIPS)]
            rows = [row for batch in batches for row in classify(classifier, batch, model)]
            yield VideoPrediction(read, model, np.array(rows))


def read_video(task: VideoTask, sampling: Sampling, reader: GuardedReader) -> ReadVideo:
    """Reads the clips of a video; whatever is wrong with it becomes the reason.

    Raises:
        StorageError: the storage does not give it, though it is there, or there is no room for a copy of the video.
    """
    if task.obstacle:
        return ReadVideo(task, reason=task.obstacle)
    try:
        with storage.local_copy(task.uri) as path:
            video = reader(read_clips, path, task.crop, sampling)
    except (DataError, AbsentError) as error:
        return ReadVideo(task, reason=str(error))
    return ReadVideo(
        task,
        sector=video.sector.value,
        clips=tuple(clip.jpegs() for clip in video.clips),
        times_s=tuple((clip.times_s[0], clip.times_s[-1]) for clip in video.clips),
        num_damaged=video.facts.num_damaged,
    )


def answering(classifier: Any, model: ChosenModel) -> Any:
    """Returns the classifier as `classify` takes it: one that gives the looks, too, where there is a reference to compare them with."""
    return with_looks(classifier) if model.reference else classifier


def classify(classifier: Any, clips: Sequence[Jpegs], model: ChosenModel) -> np.ndarray:
    """Returns what the model says of clips, its heads and perhaps the looks side by side, [clips, numbers].

    Raises:
        DataError: the model gives something else.
    """
    batch = tf.stack([decode_frames(tf.constant(list(jpegs))) for jpegs in clips])
    answer = classifier.predict_on_batch(batch)
    try:
        answers = heads.side_by_side(answer, model.sizes)
        if not np.isfinite(answers).all():
            raise ValueError(f"does not give {heads.in_words(model.sizes)}, all finite, for each clip")
    except ValueError as error:
        raise DataError(f"the model {model.version or model.uri} {error}; use another version (lus champion list).") from None
    return answers


def finish(prediction: VideoPrediction, strips_uri: str) -> None:
    """Draws the strip of a prediction into a folder, if that is not empty and there is something to draw.

    Raises:
        StorageError: it cannot be written.
    """
    if not strips_uri or not prediction.read.clips:
        return
    task = prediction.read.task
    name = f"{task.position:05d}-{re.sub(r'[^A-Za-z0-9._-]+', '_', task.video_id)[-80:]}.png"
    strip = strip_png(prediction.read.clips, prediction.probabilities, prediction.model.metadata.class_names)
    storage.write_bytes(storage.join(strips_uri, name), strip)
