"""Decoding of video files with PyAV (FFmpeg's libraries): every frame that FFmpeg gives, once, at its own time, as players show it.

A file is read on from its start, once: seeking was measured 3–5 times slower and lands on wrong frames in mpeg and mov files, and the
header's frame count is wrong in one file of six. Frames that nobody asked for are decoded, not converted. Interlaced frames are taken
whole: in 42 real videos, shown on 480 lines and filmed in 60 fields a second as a frame grabber does, and shrunk to the size of a clip's
frame, the brightness of the rows without its trend, which shows A-lines, correlates by 0.998 with that of the picture, and so does that of
the columns, which shows B-lines; FFmpeg's deinterlacers give 0.999.

A damaged part is left out as FFmpeg leaves it out, and counted; where FFmpeg only says that something is wrong, that counts, too (it says
nothing of any of 387 real videos). A frame of another size than the first one is scaled to it. Edit lists, rotation and the shape of the
pixels are followed, so sizes and boxes in pixels mean the picture as it is shown.
"""

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
from av.container import InputContainer
from av.format import Flags as FormatFlags
from av.video.stream import VideoStream

from components.core.errors import DataError
from components.core.video import pixels
from components.core.video.containers import MAX_FRAME_PIXELS, has_end_mark, open_container
from components.core.video.pixels import Image

cv2.setNumThreads(1)

FALLBACK_FPS = 25.0
MIN_FRAME_SIDE_PX = 16
# Pixels of other shapes are an error of the file: the most extreme one in use is 2.02 (DV, 4:3 as 2.35:1).
MAX_PIXEL_ASPECT = 4
# Containers that state how long they are, but not how many frames they hold.
STATING_DURATION = ("matroska,webm", "flv", "asf")
# What they state is rounded, and may leave the last frame out.
MAX_UNSTATED_FRAMES = 2


@dataclasses.dataclass
class VideoFacts:
    """What was seen of a video when it was read; what is counted grows while it is read.

    Attributes:
        frames_per_second: the nominal rate, FALLBACK_FPS when the file states none.
        codec: FFmpeg's name of it.
        pixel_aspect: width of a stored pixel by its height.
        width_px: of its first frame, as it is shown.
        height_px: of its first frame, as it is shown.
        num_frames: frames that were read; all of them only if the video was read to its end.
        duration_s: how long these frames are shown.
        num_interlaced: frames that hold two fields.
        num_damaged: parts that could not be decoded, frames that the decoder calls damaged, and one if the file states another number of
            frames, or another end; otherwise one if FFmpeg says that something is wrong.
    """

    frames_per_second: float
    codec: str
    pixel_aspect: float
    width_px: int = 0
    height_px: int = 0
    num_frames: int = 0
    duration_s: float = 0.0
    num_interlaced: int = 0
    num_damaged: int = 0


class Frame:
    """A frame of a video.

    Attributes:
        index: its number from 0.
        time_s: its time in seconds from the first frame.
    """

    def __init__(self, index: int, time_s: float, picture: av.VideoFrame, aspect: Fraction, size: tuple[int, int]) -> None:
        self.index = index
        self.time_s = time_s
        self._picture = picture
        self._aspect = aspect
        self._size = size

    def grey(self) -> Image:
        """Returns its pixels, [height, width] uint8."""
        return self._shown(pixels.grey(self._picture))

    def colours(self) -> Image:
        """Returns its pixels, [height, width, 3] uint8 BGR."""
        return self._shown(pixels.colours(self._picture))

    def _shown(self, image: Image) -> Image:
        image = pixels.upright(image, self._picture.rotation, self._aspect)
        if (image.shape[1], image.shape[0]) != self._size:
            image = cv2.resize(image, self._size, interpolation=cv2.INTER_CUBIC)
        return image


class Video:
    """A video file that is open for one pass over its frames; `open_video` makes it.

    Attributes:
        facts: what has been seen up to now.
    """

    def __init__(self, path: Path, container: InputContainer, stream: VideoStream, num_messages: int) -> None:
        self._path = path
        self._num_messages = num_messages
        self._container = container
        self._stream = stream
        self._aspect = _pixel_aspect(stream)
        # Of a raw stream there is no average, for its pictures have no times.
        has_times = not FormatFlags(container.format.flags) & FormatFlags.no_timestamps
        stated = float((has_times and stream.average_rate) or stream.guessed_rate or 0)
        self.facts = VideoFacts(stated if 0 < stated < 1000 else FALLBACK_FPS, stream.codec_context.name, float(self._aspect))

    def frames(self) -> Iterator[Frame]:
        """Yields the frames of the video in order; times grow strictly, whatever the file says.

        Raises:
            DataError: frames are too large or too small.
        """
        facts, interval_s = self.facts, 1 / self.facts.frames_per_second
        stamps = _Stamps()
        time_s = -interval_s
        start_s: float | None = None
        for picture in self._pictures():
            next_s = time_s + interval_s
            stamp_s = stamps.of(picture)
            if stamp_s is not None:
                start_s = stamp_s - next_s if start_s is None else start_s
                next_s = stamp_s - start_s if stamp_s - start_s > time_s else next_s
            time_s = next_s
            if not facts.num_frames:
                facts.width_px, facts.height_px = self._shown_size(picture)
            _check_size((picture.width, picture.height))
            facts.num_frames += 1
            facts.duration_s = time_s + interval_s
            facts.num_interlaced += picture.interlaced_frame
            facts.num_damaged += picture.is_corrupt
            yield Frame(facts.num_frames - 1, time_s, picture, self._aspect, (facts.width_px, facts.height_px))

    def _pictures(self) -> Iterator[av.VideoFrame]:
        """Yields what can be decoded, and counts what cannot."""
        num_packets = 0
        for packet in self._packets():
            num_packets += packet is not None and packet.size > 0
            try:
                yield from self._stream.codec_context.decode(packet)
            except av.EOFError:  # what the decoder held back is out
                pass
            except av.FFmpegError:
                self.facts.num_damaged += 1
        self.facts.num_damaged += not self._is_whole(num_packets)
        if not self.facts.num_damaged and _num_messages() > self._num_messages:
            self.facts.num_damaged = 1

    def _packets(self) -> "Iterator[av.Packet[VideoStream] | None]":
        """Yields the parts of the file, at last one that makes the decoder give what it still holds."""
        try:
            yield from self._container.demux(self._stream)
        except av.FFmpegError:
            self.facts.num_damaged += 1
            yield None

    def _is_whole(self, num_packets: int) -> bool:
        """Tells whether as much was found as the file states, as far as its container does."""
        name = self._container.format.name
        if (is_ended := has_end_mark(self._path, name)) is not None:
            return is_ended
        if self._stream.frames:
            return num_packets == self._stream.frames
        # The duration of the container is that of its longest stream; in other containers it is estimated.
        if name not in STATING_DURATION or self._container.duration is None or len(self._container.streams) > 1:
            return True
        return abs(self.facts.duration_s - self._container.duration / av.time_base) * self.facts.frames_per_second < MAX_UNSTATED_FRAMES

    def _shown_size(self, picture: av.VideoFrame) -> tuple[int, int]:
        width, height = pixels.stretched((picture.width, picture.height), self._aspect)
        return (height, width) if picture.rotation % 180 else (width, height)


@contextlib.contextmanager
def open_video(path: Path) -> Iterator[Video]:
    """Opens a local video file.

    Raises:
        DataError: the file is not a video that the decoder can open, or its frames are too large or too small.
    """
    num_messages = _num_messages()
    with open_container(path) as (container, stream):
        if stream.codec_context.width:
            _check_size((stream.codec_context.width, stream.codec_context.height))
        yield Video(path, container, stream, num_messages)


def count_packets(path: Path) -> int:
    """Returns how many pictures a video file holds by its packets, without decoding: mostly the number of its frames.

    Raises:
        DataError: the file is not a video that the decoder can open.
    """
    num_packets = 0
    with open_container(path) as (container, stream), contextlib.suppress(av.FFmpegError):
        for packet in container.demux(stream):
            num_packets += bool(packet.size) and not packet.is_discard
    return num_packets


class _Stamps:
    """The times that a file states for its frames: when they are shown, or, once these are less in order, when they were decoded.

    libavcodec's rule (`guess_correct_pts`), for AVI and MPEG-PS state the one or the other.
    """

    def __init__(self) -> None:
        self._last = {"pts": -math.inf, "dts": -math.inf}
        self._num_faults = {"pts": 0, "dts": 0}

    def of(self, picture: av.VideoFrame) -> float | None:
        """Returns the time of the next frame in seconds, None where the file states none."""
        stated = {"pts": picture.pts, "dts": picture.dts}
        for kind, stamp in stated.items():
            if stamp is not None:
                self._num_faults[kind] += stamp <= self._last[kind]
            other = stated["dts" if kind == "pts" else "pts"]
            self._last[kind] = stamp if stamp is not None else other if other is not None else self._last[kind]
        shown_first = self._num_faults["pts"] <= self._num_faults["dts"] or picture.dts is None
        stamp = picture.pts if shown_first and picture.pts is not None else picture.dts
        return None if stamp is None or (unit := picture.time_base) is None else stamp * unit.numerator / unit.denominator


def _num_messages() -> int:
    """Returns how many errors FFmpeg has told in this process."""
    return av.logging.get_last_error()[0]


def _pixel_aspect(stream: VideoStream) -> Fraction:
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return aspect if Fraction(1, MAX_PIXEL_ASPECT) <= aspect <= MAX_PIXEL_ASPECT else Fraction(1)


def _check_size(size: tuple[int, int]) -> None:
    text = f"{size[0]} × {size[1]} px"
    if size[0] * size[1] > MAX_FRAME_PIXELS:
        raise DataError(f"its frames of {text} are too large, the limit is {MAX_FRAME_PIXELS:,} pixels")
    if min(size) < MIN_FRAME_SIDE_PX:
        raise DataError(f"its frames of {text} are too small, the least is {MIN_FRAME_SIDE_PX} px a side")
