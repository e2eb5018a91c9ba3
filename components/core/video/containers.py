"""What a video is: a file that FFmpeg's libavformat knows as one of CONTAINERS and that holds a video stream which can be decoded.

This is the one decision; ingest stores what passes it, and everything that reads a video opens it here. Formats that only point elsewhere
(playlists, concatenations), that are single pictures or that take any text for a video are not among them, and no file opens another one.
"""

import contextlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import av
import filetype
from av.container import InputContainer
from av.video.stream import VideoStream

from components.core.errors import DataError

# By the name of libavformat's demuxer, the usual extension. ISO files, Matroska and MPEG-PS tell more in their first bytes.
CONTAINERS = {
    **{name: name for name in ("apng", "avi", "dv", "flv", "gif", "h264", "hevc", "ivf", "m4v", "mjpeg", "mxf", "nut", "rm")},
    "asf": "wmv",
    "matroska,webm": "mkv",
    "mov,mp4,m4a,3gp,3g2,mj2": "mp4",
    "mpeg": "mpg",
    "mpegts": "ts",
    "mpegvideo": "mpg",
    "ogg": "ogv",
    "yuv4mpegpipe": "y4m",
}
# Larger frames are 8K and beyond, which no ultrasound machine makes; 4096 × 2304 is the largest 4K format.
MAX_FRAME_PIXELS = 4096 * 2304
# How containers end whose header does not say how long they are: GIF's trailer; a page of Ogg (RFC 3533) with its third flag set.
_END_MARKS = {"gif": re.compile(rb"\x3b\0*\Z"), "ogg": re.compile(rb"OggS\0[\4-\7](?!.*OggS)", re.DOTALL)}
_MAX_PAGE_BYTES = 1 << 16
# Of files in a folder, those with one of these extensions are taken for videos.
EXTENSIONS = frozenset({*CONTAINERS.values(), "3gp", "asf", "divx", "f4v", "m2ts", "m2v", "mov", "mpeg", "mts", "qt", "vob", "webm"})
# -genpts: times that a file does not state are not to be made up.
_OPTIONS = {"format_whitelist": ",".join(CONTAINERS), "protocol_whitelist": "file", "fflags": "-genpts"}
_MAJOR_BRANDS = {b"qt  ": "mov", b"M4V ": "m4v", b"M4VH": "m4v", b"M4VP": "m4v"}

# FFmpeg's errors are counted (decoding), not shown.
av.logging.set_level(av.logging.ERROR)
logging.getLogger("libav").setLevel(logging.CRITICAL)


@contextlib.contextmanager
def open_container(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Opens a local video file and the stream of it that players show; one thread decodes it.

    Raises:
        DataError: it is no video, or none that can be decoded; the message says which.
    """
    try:
        # `file:`, for the part of a name before a colon would be taken for a protocol.
        container = av.open(f"file:{path}", options=_OPTIONS, metadata_errors="ignore")
    except (av.FFmpegError, OSError) as error:
        raise DataError(_refusal(path, error)) from None
    with container:
        yield container, _stream(container)


def extension_of(path: Path) -> str:
    """Returns the usual extension of a local video file, by its content.

    Raises:
        DataError: see `open_container`.
    """
    with open_container(path) as (container, _):
        name = container.format.name
    with path.open("rb") as file:
        start = file.read(64)
    if name.startswith("mov,"):
        # Without a leading `ftyp` it is QuickTime's, which had none.
        return _MAJOR_BRANDS.get(start[8:12], "mp4") if start[4:8] == b"ftyp" else "mov"
    if name.startswith("matroska") and b"webm" in start:
        return "webm"
    return CONTAINERS[name]


def has_end_mark(path: Path, format_name: str) -> bool | None:
    """Tells whether a file has the mark that ends files of its format; None when there is no such mark."""
    if format_name not in _END_MARKS:
        return None
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _MAX_PAGE_BYTES))
        return _END_MARKS[format_name].search(file.read()) is not None


def _stream(container: InputContainer) -> VideoStream:
    """Returns the stream to decode: not the cover of a piece of music."""
    streams = [stream for stream in container.streams.video if not stream.disposition & av.stream.Disposition.attached_pic]
    if not streams:
        raise DataError("not a video: it holds no moving pictures")
    best = container.streams.best("video")
    stream = best if best in streams else streams[0]
    assert isinstance(stream, VideoStream)
    if stream.codec_context is None:
        raise DataError("its codec is not known to the decoder; convert it, for example to MP4 with H.264")
    stream.codec_context.thread_count = 1
    return stream


def _refusal(path: Path, error: av.FFmpegError | OSError) -> str:
    """Says why a file could not be opened."""
    if isinstance(error, OSError):
        return f"it cannot be read ({error.strerror})"
    if not path.stat().st_size:
        return "the file is empty"
    with path.open("rb") as file:
        start = file.read(256).lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "not a video: the content is a web page"
    kind = filetype.guess(path)
    if kind is None:
        return "not a video: the content is of no known type"
    if kind.mime.startswith("video/"):
        return f"a video that cannot be opened: {kind.mime}, cut short or damaged ({error.strerror})"
    return f"not a video: the content is {kind.mime}"
