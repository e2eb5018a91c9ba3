"""The forms that videos come in: container × codec × oddity, made by the ffmpeg program, whose own frames are the expected ones."""

# ruff: noqa: E501

import dataclasses
import re
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from components.core.records.manifest import read_manifest
from components.core.video.containers import extension_of
from components.core.video.decoding import VideoFacts, open_video

SOURCE = "testsrc2=size=128x96:rate=10:duration=1.6"
FIELDS = "testsrc2=size=128x96:rate=50:duration=0.64,tinterlace=interleave_top"
X264 = "-c:v libx264 -pix_fmt yuv420p -g 8 -bf 2"
OVER_BLACK = "format=gbrap,premultiply=inplace=1,format=gbrp"


@dataclasses.dataclass(frozen=True)
class Form:
    """How a video is made, and what is known of it without looking.

    Attributes:
        file: name of the file.
        encoding: arguments of ffmpeg for it.
        source: a graph of filters that draws the pictures.
        again: arguments with which that file is written once more; before and behind its name.
        shown: filters between what ffmpeg decodes and what is shown.
        extension: what ingest calls it; None means the file's own suffix.
        num_interlaced: how many of the frames hold two fields.
    """

    file: str
    encoding: str
    source: str = SOURCE
    again: tuple[str, str] | None = None
    shown: str = ""
    extension: str | None = None
    num_interlaced: int = 0


FORMS = {
    "MPEG-4 in MP4": Form("v.mp4", "-c:v mpeg4 -q:v 3"),
    "MPEG-4 with B-frames": Form("v.mp4", "-c:v mpeg4 -q:v 3 -bf 2"),
    "H.264 with B-frames": Form("v.mp4", X264),
    "H.264 of full range": Form("v.mp4", "-c:v libx264 -pix_fmt yuvj420p"),
    "H.264 4:4:4": Form("v.mp4", "-c:v libx264 -pix_fmt yuv444p"),
    "H.264 of 10 bits": Form("v.mp4", "-c:v libx264 -pix_fmt yuv420p10le"),
    "H.264 RGB": Form("v.mp4", "-c:v libx264rgb -qp 0"),
    "H.264 grey": Form("v.mp4", "-c:v libx264 -pix_fmt gray"),
    "H.264 with BT.709 colours": Form("v.mp4", f"{X264} -colorspace bt709 -color_primaries bt709 -color_trc bt709", shown="extractplanes=y,lut=y='(val-16)*255/219'"),
    "HEVC": Form("v.mp4", "-c:v libx265 -x265-params log-level=none"),
    "HEVC of 12 bits": Form("v.mkv", "-c:v libx265 -pix_fmt yuv420p12le -x265-params log-level=none"),
    "VP9 in MP4": Form("v.mp4", "-c:v libvpx-vp9 -deadline realtime"),
    "AV1": Form("v.mp4", "-c:v libaom-av1 -cpu-used 8 -usage realtime"),
    "Motion JPEG in MP4": Form("v.mp4", "-c:v mjpeg -q:v 3"),
    "fragmented MP4": Form("v.mp4", f"{X264} -movflags frag_keyframe+empty_moov"),
    "DASH brands": Form("v.mp4", f"{X264} -movflags dash+frag_keyframe+empty_moov -brand dash"),
    "brand avc1": Form("v.mp4", f"{X264} -brand avc1"),
    "brand M4V": Form("v.m4v", f"{X264} -f ipod", extension="m4v"),
    "3GP": Form("v.3gp", "-c:v h263 -q:v 3", source="testsrc2=size=176x144:rate=10:duration=1.6", extension="mp4"),
    "turned by 90°": Form("v.mp4", X264, again=("-display_rotation 90", "-c copy")),
    "turned by 180°": Form("v.mp4", X264, again=("-display_rotation 180", "-c copy")),
    "turned by 270°": Form("v.mp4", X264, again=("-display_rotation 270", "-c copy")),
    "wide pixels": Form("v.mp4", f"{X264} -aspect 16:9", shown="scale=171:96:flags=bicubic"),
    "narrow pixels": Form("v.mp4", f"{X264} -aspect 1:1", shown="scale=128:128:flags=bicubic"),
    "wide pixels, turned by 90°": Form("v.mp4", f"{X264} -aspect 16:9", again=("-display_rotation 90", "-c copy"), shown="scale=96:171"),
    "edit list: begins within a group of pictures": Form("v.mp4", X264, again=("-ss 0.45", "-c copy")),
    "edit list: begins late": Form("v.mp4", X264, again=("-itsoffset 3", "-c copy")),
    "rate that varies": Form("v.mp4", f"{X264} -fps_mode vfr", source=f"{SOURCE},select='not(between(n\\,3\\,7))'"),
    "rate that varies, in Matroska": Form("v.mkv", f"{X264} -fps_mode vfr", source=f"{SOURCE},select='mod(n*n\\,3)'"),
    "with sound": Form("v.mp4", f"{X264} -c:a aac", source=f"{SOURCE}[out0];sine=duration=1.6[out1]"),
    "QuickTime, Motion JPEG": Form("v.mov", "-c:v mjpeg -q:v 3"),
    "QuickTime Animation": Form("v.mov", "-c:v qtrle -pix_fmt rgb24"),
    "QuickTime Animation with transparency": Form("v.mov", "-c:v qtrle -pix_fmt argb", source=f"{SOURCE},format=argb,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='2*X'", shown=OVER_BLACK),
    "PNG in QuickTime": Form("v.mov", "-c:v png -pix_fmt rgb24"),
    "ProRes": Form("v.mov", "-c:v prores_ks -pix_fmt yuv422p10le"),
    "ProRes 4444 with transparency": Form("v.mov", "-c:v prores_ks -profile:v 4444 -pix_fmt yuva444p10le", source=f"{SOURCE},format=yuva444p10le,geq=lum='lum(X,Y)':cb='cb(X,Y)':cr='cr(X,Y)':a='4*X'", shown=OVER_BLACK),
    "uncompressed UYVY": Form("v.mov", "-c:v rawvideo -pix_fmt uyvy422"),
    "uncompressed v210": Form("v.mov", "-c:v v210 -pix_fmt yuv422p10le"),
    "H.264 in QuickTime": Form("v.mov", X264),
    "Motion JPEG in AVI": Form("v.avi", "-c:v mjpeg -q:v 3"),
    "Xvid in AVI with B-frames": Form("v.avi", "-c:v mpeg4 -q:v 3 -bf 2 -vtag XVID"),
    "H.264 in AVI": Form("v.avi", X264),
    "MS MPEG-4": Form("v.avi", "-c:v msmpeg4v2 -q:v 3"),
    "Cinepak": Form("v.avi", "-c:v cinepak"),
    "HuffYUV": Form("v.avi", "-c:v huffyuv -pix_fmt yuv422p"),
    "uncompressed BGR": Form("v.avi", "-c:v rawvideo -pix_fmt bgr24"),
    "uncompressed with a palette": Form("v.avi", "-c:v rawvideo -pix_fmt pal8", source=f"{SOURCE},split[a][b];[a]palettegen[p];[b][p]paletteuse"),
    "FFV1 grey": Form("v.avi", "-c:v ffv1 -pix_fmt gray"),
    "FFV1 grey of 16 bits": Form("v.mkv", "-c:v ffv1 -pix_fmt gray16le"),
    "FFV1 RGB": Form("v.mkv", "-c:v ffv1 -pix_fmt bgr0"),
    "VP8": Form("v.webm", "-c:v libvpx -deadline realtime"),
    "VP9 in WebM": Form("v.webm", "-c:v libvpx-vp9 -deadline realtime"),
    "Theora": Form("v.ogv", "-c:v libtheora -q:v 8"),
    "GIF": Form("v.gif", ""),
    "GIF with transparency": Form("v.gif", "", source=f"{SOURCE},format=rgba,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='if(gt(X,64),255,0)',split[a][b];[a]palettegen[p];[b][p]paletteuse", shown=OVER_BLACK),
    "animated PNG": Form("v.apng", "-f apng -pix_fmt rgb24"),
    "MPEG-1 in a program stream": Form("v.mpg", "-c:v mpeg1video -q:v 3 -r 25", source="testsrc2=size=128x96:rate=25:duration=0.8"),
    "MPEG-2 in a program stream": Form("v.mpg", "-c:v mpeg2video -q:v 3 -bf 2", source="testsrc2=size=128x96:rate=25:duration=0.8"),
    "MPEG-2 in a transport stream": Form("v.ts", "-c:v mpeg2video -q:v 3", source="testsrc2=size=128x96:rate=25:duration=0.8"),
    "H.264 in a transport stream": Form("v.ts", X264),
    "HEVC in a transport stream": Form("v.ts", "-c:v libx265 -x265-params log-level=none"),
    "Flash": Form("v.flv", "-c:v flv -q:v 3"),
    "H.264 in FLV": Form("v.flv", X264),
    "Windows Media 1": Form("v.wmv", "-c:v wmv1 -q:v 3"),
    "Windows Media 2": Form("v.wmv", "-c:v wmv2 -q:v 3"),
    "MXF": Form("v.mxf", "-c:v mpeg2video -q:v 3 -r 25", source="testsrc2=size=128x96:rate=25:duration=0.8"),
    "DV of 625 lines": Form("v.dv", "-target pal-dv -an", source="testsrc2=size=720x576:rate=25:duration=0.4", shown="scale=768:576:flags=bicubic", num_interlaced=10),
    "DV of 525 lines in AVI": Form("v.avi", "-c:v dvvideo -pix_fmt yuv411p -aspect 4:3 -r 30000/1001", source="testsrc2=size=720x480:rate=30000/1001:duration=0.4", shown="scale=720:540:flags=bicubic", num_interlaced=12),
    "interlaced MPEG-2": Form("v.mpg", "-c:v mpeg2video -q:v 3 -flags +ildct+ilme", source=FIELDS, num_interlaced=16),
    "interlaced H.264": Form("v.mp4", f"{X264} -flags +ildct+ilme -x264-params interlaced=1", source=FIELDS, num_interlaced=16),
    "interlaced MPEG-4": Form("v.avi", "-c:v mpeg4 -q:v 3 -flags +ildct+ilme", source=FIELDS, num_interlaced=16),
    "raw H.264": Form("v.h264", X264),
    "raw HEVC": Form("v.hevc", "-c:v libx265 -x265-params log-level=none"),
    "VP9 in IVF": Form("v.ivf", "-c:v libvpx-vp9 -deadline realtime"),
    "YUV4MPEG": Form("v.y4m", "-pix_fmt yuv420p"),
    "NUT": Form("v.nut", "-c:v ffv1"),
    "odd size": Form("v.avi", "-c:v ffv1 -pix_fmt yuv444p", source="testsrc2=size=131x97:rate=10:duration=1.6"),
}  # fmt: skip


def ffmpeg(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-y", *map(str, arguments)], capture_output=True, check=True)


def made(form: Form, folder: Path) -> Path:
    path = folder / form.file
    ffmpeg("-f", "lavfi", "-i", form.source, *form.encoding.split(), "-bitexact", path)
    if form.again:
        before, behind = form.again
        first = path.rename(path.with_stem("first"))
        ffmpeg(*before.split(), "-i", first, *behind.split(), "-bitexact", path)
    return path


def frames_of_ffmpeg(path: Path, shown: str = "") -> tuple[np.ndarray, list[float]]:
    """Returns the frames [n, height, width] uint8 grey and their times in seconds from the first one."""
    filters = ",".join(filter(None, ["showinfo", shown, "format=gray"]))
    result = ffmpeg("-i", path, "-map", "0:V:0", "-fps_mode", "passthrough", "-vf", filters, "-f", "rawvideo", "-")
    log = result.stderr.decode()
    stamps = [float(stamp) if stamp != "NOPTS" else np.nan for stamp in re.findall(r" n: *\d+ pts: *\S+ pts_time:(\S+)", log)]
    width, height = map(int, re.findall(r"Video: rawvideo.*?, (\d+)x(\d+)", log)[-1])
    return np.frombuffer(result.stdout, np.uint8).reshape(-1, height, width), [stamp - stamps[0] for stamp in stamps]


def frames_of_project(path: Path) -> tuple[list[np.ndarray], list[float], VideoFacts]:
    with open_video(path) as video:
        frames = list(video.frames())
        return [frame.grey() for frame in frames], [frame.time_s for frame in frames], video.facts


@pytest.mark.parametrize("name", FORMS)
def test_every_frame_is_that_of_ffmpeg_at_its_time(name: str, tmp_path: Path) -> None:
    form = FORMS[name]
    path = made(form, tmp_path)
    expected, expected_times_s = frames_of_ffmpeg(path, form.shown)
    images, times_s, facts = frames_of_project(path)
    assert len(images) == len(expected) >= 8
    assert [image.shape for image in images] == [image.shape for image in expected]
    differences = [np.abs(image.astype(int) - other).mean() for image, other in zip(images, expected, strict=True)]
    assert max(differences) <= 1
    assert times_s == pytest.approx(expected_times_s, abs=1e-3, nan_ok=True)
    assert (facts.num_frames, facts.num_interlaced, facts.num_damaged) == (len(expected), form.num_interlaced, 0)
    assert extension_of(path) == (form.extension or path.suffix[1:])


@pytest.mark.real_data
def test_every_frame_of_the_real_videos_is_that_of_ffmpeg(real_manifest: Path) -> None:
    rows = read_manifest(str(real_manifest))
    different = {row.video_id: difference for row in rows if (difference := largest_difference(Path(row.uri))) > 1}
    assert rows
    assert different == {}


def largest_difference(path: Path) -> float:
    """Returns the largest mean difference of a frame from that of ffmpeg in grey levels; infinity where one of them has more frames."""
    command = [
        get_ffmpeg_exe(),
        "-v",
        "quiet",
        "-i",
        path,
        "-map",
        "0:V:0",
        "-fps_mode",
        "passthrough",
        "-pix_fmt",
        "gray",
        "-f",
        "rawvideo",
        "-",
    ]
    largest = 0.0
    with open_video(path) as video, subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        for frame in video.frames():
            image = frame.grey()
            expected = np.frombuffer(other.stdout.read(image.size), np.uint8)
            if expected.size != image.size:
                return np.inf
            largest = max(largest, cv2.absdiff(image, expected.reshape(image.shape)).mean())
        return np.inf if other.stdout.read() else largest
