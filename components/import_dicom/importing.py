"""From a folder of DICOM files to de-identified videos and a manifest that ingest takes.

    <destination>/videos/<video id>.mkv    lossless; the id is a pseudonym of the file's SOPInstanceUID, and of what it shows where an
                                           earlier file has the same UID and shows something else
    <destination>/manifest.csv             a row for each video (core.records.manifest); written last

Nothing that is written, logged or reported quotes a tag or a path, for hospitals name files after patients. A file is told by its number:
files are counted from 1 in the order of their paths, as `find SOURCE -xtype f | LC_ALL=C sort` lists them. A row of the labels is told by
its line.
"""

import collections
import contextlib
import dataclasses
import hashlib
import logging
from pathlib import Path, PurePosixPath

import numpy as np

from components.core import storage
from components.core.errors import AbsentError, DataError, DiskError, OutageError, StorageError, UsageError
from components.core.files.local_files import temporary_folder
from components.core.records.tables import to_csv
from components.import_dicom.cine import Box, Cine, read_cine
from components.import_dicom.decoders import Decoder, decoded, installed_decoders
from components.import_dicom.deidentification import Pseudonyms, bounding_box, visible
from components.import_dicom.labels import Label, Labels, read_labels
from components.import_dicom.outcomes import RejectedError
from components.import_dicom.video_writing import SUFFIX, write_video

MANIFEST_NAME = "manifest.csv"
PROGRESS_EVERY = 10
MAX_LINES_TOLD = 20
TEXT_INSIDE = "BurnedInAnnotation says YES: text inside of the image would still be there; look at the video before you share it"
NO_REGIONS = "it has no ultrasound regions, and BurnedInAnnotation says NO: nothing was blacked out; look at the video before you share it"
NO_PATIENT = "it names no patient; its study is its group"
NO_COUNT = "it does not state how many frames it has; they were counted in its pixel data"
SAME_UID = "its SOPInstanceUID is that of file {number}, but its patient, its frames or their times are others: both were imported"

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a file.

    Attributes:
        number: of the file, from 1.
        reason: why it was rejected, or empty.
        row: the row of the manifest; empty when it was rejected.
        warnings: what a person should look at.
        decoder: which one has decoded it.
        num_frames: of the video.
    """

    number: int
    reason: str = ""
    row: dict[str, str] = dataclasses.field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    decoder: str = ""
    num_frames: int = 0


@dataclasses.dataclass(frozen=True)
class ImportResult:
    """What became of every file, in the order of their paths; and the lines of the labels whose path is that of no file."""

    outcomes: list[Outcome]
    manifest_uri: str
    idle_lines: tuple[int, ...] = ()

    @property
    def imported(self) -> list[Outcome]:
        """The files that gave a video."""
        return [outcome for outcome in self.outcomes if outcome.row]

    def metrics(self) -> dict[str, int]:
        """Returns the counts that the Kubeflow UI shows."""
        decoders = collections.Counter(outcome.decoder for outcome in self.imported)
        return {
            "num_files": len(self.outcomes),
            "num_imported": len(self.imported),
            "num_rejected": len(self.outcomes) - len(self.imported),
            "num_to_look_at": sum(bool(outcome.warnings) for outcome in self.imported),
            "num_frames": sum(outcome.num_frames for outcome in self.imported),
            "num_labels_without_file": len(self.idle_lines),
            **{f"num_decoded_by_{name.replace('-', '_')}": count for name, count in sorted(decoders.items())},
        }

    def to_markdown(self) -> str:
        """Returns the counts, and each file that was rejected or that a person should look at, with the reason."""
        lines = ["# DICOM import", "", *(f"- {name}: {value}" for name, value in self.metrics().items())]
        lines += ["", *([_told_idle(self.idle_lines), ""] if self.idle_lines else [])]
        lines += ["Files are numbered as `find SOURCE -xtype f | LC_ALL=C sort` lists them.", "", "| file | video | |", "|---|---|---|"]
        for outcome in self.outcomes:
            for text in (f"rejected: {outcome.reason}",) if outcome.reason else outcome.warnings:
                lines.append(f"| {outcome.number} | {outcome.row.get('video_id', '')} | {text} |")
        return "\n".join(lines) + "\n"

    def check(self) -> None:
        """Checks that there is something to go on with.

        Raises:
            DataError: no file was imported.
        """
        if not self.imported:
            reasons = collections.Counter(outcome.reason for outcome in self.outcomes)
            told = "; ".join(f"{reason} ({count} files)" for reason, count in reasons.most_common(3))
            idle = f" {_told_idle(self.idle_lines)}" if self.idle_lines else ""
            raise DataError(f"none of {len(self.outcomes)} files could be imported: {told}.{idle}")


def import_dicom_files(
    source_uri: str, labels_uri: str, destination_uri: str, key_file: str = "", source_name: str = "dicom"
) -> ImportResult:
    """Imports the DICOM files below a folder.

    Args:
        source_uri: the folder.
        labels_uri: what the user says of the files; see labels.
        destination_uri: where videos and manifest go.
        key_file: of the pseudonyms; empty takes the environment's.
        source_name: what the manifest gives as the source.

    Raises:
        UsageError: the source, the labels or the key is wrong; nothing was written.
        DiskError: a disk of this machine is full, or refuses.
        StorageError: the source cannot be listed, or the destination cannot be written.
    """
    pseudonyms = Pseudonyms.from_key_file(key_file)
    labels = read_labels(labels_uri)
    root = storage.path_of(storage.absolute_uri(source_uri))
    if not storage.patiently("look up", source_uri, root.is_dir):
        raise UsageError(f"the source {source_uri!r} is not a folder; give the folder with the DICOM files.")
    files = storage.patiently("list", source_uri, lambda: [path for path in root.rglob("*") if path.is_file()])
    paths = sorted((PurePosixPath(str(path)).relative_to(str(root)) for path in files), key=str)
    if not paths:
        raise UsageError(f"the source {source_uri!r} holds no files.")
    storage.check_writable(destination_uri)
    idle_lines = labels.idle_lines(paths)
    if idle_lines:
        _log.warning("%s", _told_idle(idle_lines))
    decoders = installed_decoders()
    run = _Import(labels, pseudonyms, decoders, storage.absolute_uri(destination_uri), source_name)
    outcomes = []
    try:
        for number, path in enumerate(paths, start=1):
            outcomes.append(run.import_file(number, storage.join(str(root), str(path)), path))
            if number % PROGRESS_EVERY == 0 or number == len(paths):
                _log.info("%d of %d files, %d imported", number, len(paths), sum(bool(outcome.row) for outcome in outcomes))
    finally:
        for decoder in decoders:
            decoder.close()
    result = ImportResult(outcomes, storage.join(storage.absolute_uri(destination_uri), MANIFEST_NAME), idle_lines)
    if result.imported:
        storage.write_bytes(result.manifest_uri, to_csv([outcome.row for outcome in result.imported]))
    counts = result.metrics()
    _log.info(
        "result: %s", ", ".join(f"{counts[f'num_{what}']} {what.replace('_', ' ')}" for what in ("imported", "rejected", "to_look_at"))
    )
    return result


def _told_idle(lines: tuple[int, ...]) -> str:
    more = f" and {len(lines) - MAX_LINES_TOLD} more" if len(lines) > MAX_LINES_TOLD else ""
    told = ", ".join(map(str, lines[:MAX_LINES_TOLD]))
    return f"Line(s) {told}{more} of the labels match no file; compare the spelling of their paths with that of the files."


class _Import:
    """The work on one file after another; remembers which instances it has imported."""

    def __init__(self, labels: Labels, pseudonyms: Pseudonyms, decoders: list[Decoder], destination_uri: str, source_name: str) -> None:
        self._labels = labels
        self._pseudonyms = pseudonyms
        self._decoders = decoders
        self._destination_uri = destination_uri
        self._source_name = source_name
        # By SOPInstanceUID and by content.
        self._first: dict[str, int] = {}
        self._seen: dict[tuple[str, str], tuple[int, Label]] = {}

    def import_file(self, number: int, uri: str, path: PurePosixPath) -> Outcome:
        """Writes the video of one file, and says what became of it."""
        try:
            label = self._labels.of(path)
            if label is None:
                raise RejectedError("the labels do not mention it")
            with contextlib.ExitStack() as stack:
                try:
                    local_path = stack.enter_context(storage.local_copy(uri))
                except DiskError:
                    raise
                except OutageError:
                    raise OutageError("the storage with the source did not answer; start again when it does.") from None
                except StorageError as error:  # it quotes the path, as the other does
                    if storage.scheme_of(uri) and not isinstance(error, AbsentError):
                        raise StorageError("the storage with the source refuses a file; check that you may read all of it.") from None
                    raise RejectedError("it cannot be read from the source") from None
                return self._imported(number, local_path, label)
        except RejectedError as error:
            return Outcome(number, reason=str(error))

    def _imported(self, number: int, path: Path, label: Label) -> Outcome:
        cine = read_cine(path)
        boxes, warnings = _image_boxes(cine, label)
        if not cine.num_frames_is_stated:
            warnings.append(NO_COUNT)
        if cine.doubt_of_times:
            warnings.append(cine.doubt_of_times)
        if not cine.patient:
            warnings.append(NO_PATIENT)
        with temporary_folder("lus-dicom-") as folder:
            frames, decoder = decoded(path, cine, self._decoders, folder)
            content = _content(cine, frames)
            self._check_new(cine.instance, content, label)
            if first := self._first.get(cine.instance):
                warnings.append(SAME_UID.format(number=first))
            video_id = self._video_id(cine.instance, content)
            mask = visible(boxes, cine.height_px, cine.width_px)
            video_path = folder / f"video{SUFFIX}"
            write_video(video_path, (frame * mask for frame in frames), mask.shape[:2], cine.times_ms)
            storage.put_file(video_path, storage.join(self._destination_uri, "videos", f"{video_id}{SUFFIX}"))
        self._seen[cine.instance, content] = number, label
        if cine.instance:
            self._first.setdefault(cine.instance, number)
        crop = bounding_box(boxes)
        row = {
            "video_id": video_id,
            "uri": f"videos/{video_id}{SUFFIX}",
            "label": label.class_name,
            "group": self._group(cine, video_id),
            "probe": cine.probe,
            "source": self._source_name,
            "crop": f"{crop.left},{crop.top},{crop.right - crop.left},{crop.bottom - crop.top}",
        }
        return Outcome(number, row=row, warnings=tuple(warnings), decoder=decoder, num_frames=cine.num_frames)

    def _check_new(self, instance: str, content: str, label: Label) -> None:
        """Refuses what was imported before, of whatever name."""
        if (instance, content) in self._seen:
            number, earlier = self._seen[instance, content]
            conflict = "" if earlier == label else ", for which the labels say something else: decide which of them is right"
            raise RejectedError(f"the same instance as file {number}{conflict}")

    def _video_id(self, instance: str, content: str) -> str:
        """Returns a pseudonym; whoever comes first with an instance gets the one that depends on nothing else."""
        if instance and instance not in self._first:
            return self._pseudonyms.of("video", instance)
        return self._pseudonyms.of("video", f"{instance}\0{content}")

    def _group(self, cine: Cine, video_id: str) -> str:
        if cine.patient:
            return self._pseudonyms.of("patient", cine.patient)
        return self._pseudonyms.of("study", cine.study) if cine.study else video_id


def _content(cine: Cine, frames: np.ndarray) -> str:
    """Returns a digest of what a file shows: whom, which frames and when."""
    digest = hashlib.sha256(repr((cine.patient, cine.times_ms, frames.shape)).encode(errors="surrogateescape"))
    for frame in frames:
        digest.update(np.ascontiguousarray(frame).data)
    return digest.hexdigest()


def _image_boxes(cine: Cine, label: Label) -> tuple[tuple[Box, ...], list[str]]:
    """Returns where the images are, and what a person should look at.

    Raises:
        RejectedError: neither the file nor the user tells, and the file does not vouch that no text is burned in.
    """
    if label.region:
        if label.region.right > cine.width_px or label.region.bottom > cine.height_px:
            raise RejectedError("the region of the labels is not inside of its frames")
        boxes: tuple[Box, ...] | None = (label.region,)
    else:
        boxes = cine.regions
    if boxes is None and cine.burned_in_text != "NO":
        raise RejectedError("it has no ultrasound regions, so burned-in text could not be told from the image; give a region in the labels")
    if boxes is None:
        return (Box(0, 0, cine.width_px, cine.height_px),), [NO_REGIONS]
    return boxes, [TEXT_INSIDE] if cine.burned_in_text == "YES" else []
