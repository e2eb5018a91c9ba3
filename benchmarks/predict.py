"""How long predict takes for a video, and with what: reading it, finding and resampling the sector, the JPEG, the model.

    python benchmarks/predict.py VIDEO|FOLDER|MANIFEST… --model champion|VERSION|URI [--storage …] [--limit 0]

One process, one video after another, as `lus predict` does it without Beam, but without the child process that reads the videos (measured
apart: `guarded`). The model is asked once before, so that its compilation does not count. Videos that give no clip are left out and
counted. On a machine that others use too, compare the shares, not the seconds.
"""

import argparse
import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from components.core.errors import DataError
from components.core.models.tensorflow_startup import load_tensorflow
from components.core.video.clip_reader import read_clips
from components.core.video.guarded_reader import GuardedReader
from components.core.video.sampling import sample_clips
from components.predict.inputs import list_videos
from components.predict.model_choice import open_model


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+")
    parser.add_argument("--model", default="champion")
    parser.add_argument("--storage", default="")
    parser.add_argument("--limit", type=int, default=0, help="take so many videos only; 0 takes all")
    arguments = parser.parse_args()
    tasks = [task for task in list_videos(arguments.videos) if not task.obstacle]
    load_tensorflow()
    with open_model(arguments.model, arguments.storage) as (model, folder):
        from components.core.models.classifier import load_classifier
        from components.predict.prediction import classify

        started_s = time.perf_counter()
        classifier, _ = load_classifier(folder)
        load_s = time.perf_counter() - started_s
        seconds: dict[str, list[float]] = defaultdict(list)
        counts: dict[str, int] = defaultdict(int)
        with GuardedReader() as reader:
            for task in tasks[: arguments.limit or None]:
                try:
                    stages, num_clips = _measure(Path(task.uri), task.crop, model, classifier, reader, classify, warm=bool(counts))
                except DataError:
                    counts["without"] += 1
                    continue
                counts["videos"] += 1
                counts["clips"] += num_clips
                for name, value in stages.items():
                    seconds[name].append(value)
    _print(seconds, counts, load_s)


def _measure(
    path: Path, crop: Any, model: Any, classifier: Any, reader: GuardedReader, classify: Any, warm: bool
) -> tuple[dict[str, float], int]:
    """Returns the seconds of each stage for one video, and its number of clips."""
    moments = [time.perf_counter()]

    def done() -> None:
        moments.append(time.perf_counter())

    sample_clips(path, model.sampling)
    done()
    video = read_clips(path, crop, model.sampling)
    done()
    jpegs = [clip.jpegs() for clip in video.clips]
    done()
    if not warm:
        classify(classifier, jpegs, model)
        reader(read_clips, path, crop, model.sampling)
        moments[-1] = time.perf_counter()
    classify(classifier, jpegs, model)
    done()
    reader(read_clips, path, crop, model.sampling)
    done()
    sampling_s, reading_s, jpeg_s, model_s, guarded_s = np.diff(moments).tolist()
    stages = {
        "decode and sample": sampling_s,
        "find and resample the sector": max(0.0, reading_s - sampling_s),
        "JPEG": jpeg_s,
        "model": model_s,
    }
    return {**stages, "in all": sum(stages.values()), "guarded reading": guarded_s}, len(video.clips)


def _print(seconds: dict[str, list[float]], counts: dict[str, int], load_s: float) -> None:
    print(f"{counts['videos']} videos with {counts['clips']} clips, {counts['without']} without; model loaded in {load_s:.1f} s")
    print(f"{'ms per video':<30}{'median':>9}{'mean':>9}{'95 %':>9}{'largest':>9}{'share':>8}")
    total_s = sum(seconds["in all"])
    for name, values in seconds.items():
        high = float(np.quantile(values, 0.95))
        figures = [1000 * value for value in (statistics.median(values), statistics.fmean(values), high, max(values))]
        print(f"{name:<30}" + "".join(f"{figure:9.0f}" for figure in figures) + f"{sum(values) / total_s:8.0%}")


if __name__ == "__main__":
    main()
