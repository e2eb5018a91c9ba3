"""What predict is asked for: video files, folders of them, and manifests → one task a video."""

import dataclasses
import logging
import shlex
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from components.core import storage
from components.core.errors import UsageError
from components.core.records.manifest import CATALOG, ManifestRow, read_manifest
from components.core.records.video_records import Status, read_videos
from components.core.video.containers import EXTENSIONS

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class VideoTask:
    """A video to predict.

    Attributes:
        position: number in the order in which videos were asked for, from 0.
        video_id: the manifest's id, else the URI.
        uri: where the video is; local, gs:// or s3://.
        crop: the box of the frame to use (x, y, width, height in pixels), or None to look for the sector.
        obstacle: why the video cannot be had, or an empty string.
        patient: whose it is, where a manifest says so, or an empty string.
        zone: where on the chest, likewise.
    """

    position: int
    video_id: str
    uri: str
    crop: tuple[int, int, int, int] | None = None
    obstacle: str = ""
    patient: str = ""
    zone: str = ""


def split_videos(text: str) -> list[str]:
    """Returns the URIs of a text with spaces between them, quoted as in a shell.

    Raises:
        UsageError: a quotation mark is not closed.
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"videos {text!r} cannot be split into URIs ({error}); quote them as in a shell.") from None


def list_videos(uris: list[str]) -> list[VideoTask]:
    """Returns the videos of files, folders and manifests; a file or a row that is named twice counts once.

    Two rows may share a file and differ in their crops, so it is not the file alone that tells rows apart.

    Raises:
        UsageError: something is not there or not usable, or there is no video at all.
        DataError: a manifest of ingest is damaged.
        StorageError: the storage cannot be read.
    """
    tasks: dict[tuple[str, str], VideoTask] = {}
    for uri in uris:
        for row_id, task in _listed(uri):
            tasks.setdefault((row_id, task.uri), task)
    if not tasks:
        raise UsageError("there is no video to predict; give videos, folders of videos or manifests.")
    return [dataclasses.replace(task, position=position) for position, task in enumerate(tasks.values())]


def _listed(uri: str) -> Iterator[tuple[str, VideoTask]]:
    """Yields the videos, each with its id in the manifest that lists it, or an empty string."""
    uri = storage.spelled(uri)
    path = storage.path_of(uri)
    suffix = path.suffix.lower()
    if uri == CATALOG or suffix == ".csv":
        for row in read_manifest(uri):
            yield row.video_id, _task_of(row, storage.spelled(row.uri), _obstacle(row.uri))
        return
    if not storage.exists(uri):
        raise UsageError(f"{uri!r} does not exist; give videos, folders of videos or manifests.")
    if storage.patiently("look up", uri, path.is_dir):
        paths = storage.patiently("list", uri, lambda: sorted(map(str, path.rglob("*"))))
        by_extension = {member: PurePosixPath(member).suffix.lower().removeprefix(".") for member in paths}
        members = [member for member, extension in by_extension.items() if extension in EXTENSIONS]
        if not members:
            raise UsageError(f"the folder {uri!r} holds no video ({', '.join(sorted(EXTENSIONS))}).")
        if others := {extension for extension in by_extension.values() if extension} - EXTENSIONS:
            _log.info("files of %s with the extension %s are not looked at; name a video by itself", uri, ", ".join(sorted(others)))
        for member in members:
            yield "", VideoTask(0, member, storage.absolute_uri(member))
    elif suffix == ".jsonl" or path.name == "videos":
        with storage.local_copy(uri) as local:
            records = read_videos(Path(local))
        for record in records:
            obstacle = "" if record.status is Status.STORED else f"{record.status.value} at ingest: {record.reason}"
            yield record.row.video_id, _task_of(record.row, record.storage_uri or record.row.uri, obstacle)
    else:
        yield "", VideoTask(0, uri, storage.absolute_uri(uri))


def _task_of(row: ManifestRow, uri: str, obstacle: str) -> VideoTask:
    return VideoTask(0, row.video_id, uri, row.crop, obstacle, patient=row.patient_id or row.group, zone=row.zone)


def _obstacle(uri: str) -> str:
    """Returns why a video of a manifest cannot be read where it is, or an empty string."""
    if storage.scheme_of(uri) in ("http", "https"):
        return "it is on the web; run ingest first and give its videos.jsonl"
    return ""
