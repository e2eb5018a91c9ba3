"""How near preprocess comes to the speed of the decoder, what a dataset weighs, and how fast it is read, against bare loops and notebooks.

    python benchmarks/preprocess.py --videos FOLDER [--copies 1]

Every line is a process tree of its own, measured in one run on two workers: wall-clock time, processor time of all its processes, and the
most memory that they held together (proportional set size, sampled ten times a second).

    decoding alone     every frame of every video once, by the same decoder, in a bare pool of two processes: the limit
    bare pool          what a worker does, without Beam: read, sample, normalise, encode, write, in a pool of two processes
    notebook           OpenCV, every frame resized, 14 of them kept, float32 .npy; one process, as notebooks are
    preprocess         the step, by Beam's direct runner

Measured on 4 copies of 96 real videos, two idle cores (fewer frames are looked at for colour since then, about 5 % less): processor time
of preprocess 95 s for `window` and 83 s for `uniform`, of decoding alone 52 s (1.82 and 1.59 times), of decoding to grey 59 s, of OpenCV
to grey 76 s. With OpenCV as the reader, on the same machine an hour before: 114 s and 108 s, decoding alone 70 s (1.63 and 1.55 times). So
the ratio to decoding alone grew because that fell by a quarter; preprocess itself takes 0.84 and 0.77 of what it took. In one process by
turns (read_clips and JPEG, without Beam) it is 0.69 for `window` and 0.77 for `uniform`. What is left, of 17 s for `window`: decoding 9,
warping and shrinking 1.5, colours for the screening 1, grey 1, JPEG 0.6, finding the sector 1, opening files 0.4; Beam and its processes
take 14 s of 95. Of an earlier run on 20 copies and OpenCV: wall-clock time 1.16 and 1.14 times that of the bare pool, at most 688 MB in
all processes together. A clip weighs 152 kB, 1/55 of float32 .npy; tf.data read 263 clips/s and np.load 243 from the page cache, 216 and
129 from the disk. The child that reads 30 minutes of 1080p video takes 295 MB in both modes (a test reads two hours in 512 MB).
"""

import argparse
import concurrent.futures
import dataclasses
import functools
import inspect
import itertools
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from components.core.errors import PipelineError
from components.core.parameters import CHOICES
from components.core.records.clips import CLIP_FRAMES, FRAME_SIZE_PX
from components.core.records.manifest import ManifestRow, read_manifest
from components.core.records.video_records import Status, VideoRecord, write_videos
from components.core.video.clip_reader import read_clips
from components.core.video.decoding import open_video
from components.core.video.sampling import Sampling

NUM_WORKERS = 2
FRAMES_PER_SECOND, MAX_CLIPS = 10.0, 4
SPAWN = multiprocessing.get_context("spawn")


@dataclasses.dataclass(frozen=True)
class Measured:
    """What one process tree took."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    result: Any


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, required=True, help="folder with the videos and their manifest.csv")
    parser.add_argument("--copies", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _speed(options.videos, options.copies, Path(folder))


def _speed(videos: Path, copies: int, folder: Path) -> None:
    rows = read_manifest(str(videos / "manifest.csv"))
    paths = [Path(row.uri) for row in rows] * copies
    print(f"{len(paths)} videos ({copies} × {len(rows)}), {NUM_WORKERS} workers")
    print(f"{'':28}{'videos/s':>9}{'wall s':>9}{'CPU s':>9}{'peak MB':>9}")
    limit = _report("decoding alone", len(paths), _measure(_in_pool, _decode_all, paths))
    _report("decoding to grey", len(paths), _measure(_in_pool, _decode_all_to_grey, paths))
    _report("OpenCV to grey", len(paths), _measure(_in_pool, _decode_all_with_opencv, paths))
    notebook = _report("notebook", len(paths), _measure(_notebook, paths, folder / "notebook"))
    for mode in CHOICES["sampling"]:
        sampling = Sampling(FRAMES_PER_SECOND, MAX_CLIPS, mode)
        function = functools.partial(_bare, sampling, folder / f"bare-{mode}")
        bare = _report(f"bare pool, {mode}", len(paths), _measure(_in_pool, function, paths))
        dataset = folder / f"dataset-{mode}"
        step = _report(f"preprocess, {mode}", len(paths), _measure(_preprocess, rows, copies, mode, folder, dataset))
        print(
            f"    CPU {step.cpu_s / limit.cpu_s:.2f} × decoding alone; wall {step.wall_s / bare.wall_s:.2f} × bare pool; "
            f"{notebook.wall_s / step.wall_s:.2f} × as fast as the notebook"
        )
        if copies == 1:
            _reading(dataset, folder / f"npy-{mode}")


def _measure(function: Callable[..., Any], *arguments: Any) -> Measured:
    """Runs a function in a fresh process and watches it and what it starts."""
    queue = SPAWN.Queue()
    process = SPAWN.Process(target=_run, args=(queue, function, arguments))
    process.start()
    peak_mb = 0.0
    while queue.empty() and process.is_alive():
        peak_mb = max(peak_mb, _memory_mb(process.pid or 0))
        time.sleep(0.1)
    wall_s, cpu_s, result = queue.get(timeout=10)
    process.join()
    return Measured(wall_s, cpu_s, peak_mb, result)


def _run(queue: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    start = time.perf_counter()
    result = function(*arguments)
    wall_s = time.perf_counter() - start
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    queue.put((wall_s, sum(usage.ru_utime + usage.ru_stime for usage in usages), result))


def _memory_mb(pid: int) -> float:
    """Returns the memory of a process and its descendants; pages that they share are counted once."""
    try:
        process = psutil.Process(pid)
        return sum(member.memory_full_info().pss for member in (process, *process.children(recursive=True))) / (1 << 20)
    except psutil.Error:  # one has just ended
        return 0.0


def _report(title: str, num_videos: int, measured: Measured) -> Measured:
    rate = num_videos / measured.wall_s
    print(f"{title:28}{rate:9.1f}{measured.wall_s:9.1f}{measured.cpu_s:9.1f}{measured.peak_mb:9.0f}", flush=True)
    return measured


def _in_pool(function: Callable[[Path], int], paths: list[Path]) -> int:
    with concurrent.futures.ProcessPoolExecutor(NUM_WORKERS, mp_context=SPAWN) as pool:
        return sum(pool.map(function, paths))


def _decode_all(path: Path) -> int:
    with open_video(path) as video:
        return sum(frame.index >= 0 for frame in video.frames())


def _decode_all_with_opencv(path: Path) -> int:
    """Reads all frames as the project did before it had PyAV: converted to BGR, then to grey."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    num_frames = 0
    while True:
        decoded, image = capture.read()
        if not decoded:
            return num_frames
        num_frames += len(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)) > 0


def _decode_all_to_grey(path: Path) -> int:
    with open_video(path) as video:
        return sum(frame.grey().shape[0] > 0 for frame in video.frames())


def _bare(sampling: Sampling, folder: Path, path: Path) -> int:
    """Reads one video and writes its JPEG files, one after the other, to one file."""
    folder.mkdir(exist_ok=True)
    try:
        clips = read_clips(path, None, sampling).clips
    except PipelineError:
        return 0
    with (folder / f"{os.getpid()}-{time.monotonic_ns()}").open("wb") as file:
        file.writelines(jpeg for clip in clips for jpeg in clip.jpegs())
    return len(clips)


def _notebook(paths: list[Path], folder: Path) -> int:
    folder.mkdir()
    for number, path in enumerate(paths):
        capture = cv2.VideoCapture(str(path))
        frames = []
        while True:
            decoded, frame = capture.read()
            if not decoded:
                break
            frames.append(cv2.resize(frame, (FRAME_SIZE_PX, FRAME_SIZE_PX)))
        capture.release()
        chosen = np.linspace(0, len(frames) - 1, CLIP_FRAMES).astype(int)
        np.save(folder / f"{number % 100}.npy", (np.stack([frames[index] for index in chosen]) / 255.0).astype(np.float32))
    return len(paths)


def _preprocess(rows: list[ManifestRow], copies: int, mode: str, folder: Path, dataset: Path) -> int:
    from components.preprocess import component
    from components.preprocess.preprocess import Settings, build_dataset

    parameters = inspect.signature(component.preprocess.python_func).parameters
    defaults = {field.name: parameters[field.name].default for field in dataclasses.fields(Settings)}
    settings = Settings(**{**defaults, "sampling": mode})
    write_videos(folder / "videos.jsonl", list(_records(rows, copies)))
    built = build_dataset(folder / "videos.jsonl", str(folder / f"storage-{mode}"), dataset, settings, NUM_WORKERS)
    return sum(info.num_clips for info in built.index.splits.values())


def _records(rows: list[ManifestRow], copies: int) -> Iterator[VideoRecord]:
    for copy, row in itertools.product(range(copies), rows):
        video = dataclasses.replace(row, video_id=f"{row.video_id}-{copy}", group=f"{row.group}-{copy}")
        yield VideoRecord(video, Status.STORED, storage_uri=row.uri, sha256=video.video_id, num_bytes=Path(row.uri).stat().st_size)


def _reading(dataset: Path, folder: Path) -> None:
    """Prints what a clip weighs and how fast it is read, against float32 .npy files, from the page cache and from the disk."""
    num_clips, num_bytes, *tf_data = _measure(_read_with_tf_data, dataset).result
    npy_bytes, *npy = _measure(_read_npy, folder).result
    print(f"    a clip: {num_bytes / num_clips / 1000:.0f} kB, 1/{npy_bytes / (num_bytes / num_clips):.1f} of .npy")
    for place, ours, theirs in zip(("page cache", "disk"), tf_data, npy, strict=True):
        print(f"    from the {place}: tf.data {ours:.0f} clips/s, np.load {theirs:.0f} clips/s: {ours / theirs:.1f} ×")


def _read_with_tf_data(dataset: Path) -> tuple[int, int, float, float]:
    """Returns the number of clips of the train split, their bytes, and the clips per second from the page cache and from the disk."""
    from components.core.models.dataset import read_clips as read_dataset
    from components.core.records.shards import DatasetIndex

    shards = DatasetIndex.read(dataset).splits["train"].shards
    paths = [dataset / shard.name for shard in shards]
    num_clips = sum(shard.num_clips for shard in shards)
    batches = read_dataset(dataset, "train").batch(8).prefetch(2)
    return num_clips, sum(path.stat().st_size for path in paths), *_rates(num_clips, paths, lambda: sum(1 for _ in batches))


def _read_npy(folder: Path) -> tuple[int, float, float]:
    """Returns the bytes of a clip as a float32 .npy file, and the clips per second from the page cache and from the disk."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    paths = [folder / f"{number}.npy" for number in range(50)]
    for path in paths:
        np.save(path, generator.random((CLIP_FRAMES, FRAME_SIZE_PX, FRAME_SIZE_PX, 3), np.float32))
    return paths[0].stat().st_size, *_rates(len(paths), paths, lambda: [np.load(path) for path in paths])


def _rates(num_clips: int, paths: list[Path], read: Callable[[], Any]) -> Iterator[float]:
    """Yields the clips per second of the best of three passes: with the files in the page cache, and after they were dropped from it."""
    yield num_clips / min(_seconds(read) for _ in range(3))
    passes = []
    for _ in range(3):
        for path in paths:
            with path.open("rb+") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        passes.append(_seconds(read))
    yield num_clips / min(passes)


def _seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
