"""How long predict takes for a video, and with what: reading it, finding and resampling the sector, the JPEG, the model.

    python benchmarks/predict.py VIDEO|FOLDER|MANIFEST… --model champion|VERSION|URI [--storage …]

One process, one video after another, as `lus predict` does it without Beam, but without the child process that reads the videos (measured
apart: `guarded`). The model is asked once before, so that its compilation does not count. Videos that give no clip are left out and
counted. On a machine that others use too, compare the shares, not the seconds.
"""

import argparse
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd

from components.core.errors import DataError
from components.core.models.tensorflow_startup import load_tensorflow
from components.core.video.clip_reader import read_clips
from components.core.video.guarded_reader import GuardedReader
from components.core.video.sampling import sample_clips
from components.predict.inputs import VideoTask, list_videos
from components.predict.model_choice import open_model

SAMPLING, READING, JPEG, MODEL, GUARDED = "decode and sample", "find and resample the sector", "JPEG", "model", "guarded reading"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+")
    parser.add_argument("--model", default="champion")
    parser.add_argument("--storage", default="")
    arguments = parser.parse_args()
    tasks = [task for task in list_videos(arguments.videos) if not task.obstacle]
    load_tensorflow()
    with open_model(arguments.model, arguments.storage) as (model, folder), GuardedReader() as reader:
        from components.core.models.classifier import load_classifier

        started_s = time.perf_counter()
        classifier, _ = load_classifier(folder)
        load_s = time.perf_counter() - started_s
        rows = []
        for task in tasks:
            try:
                if not rows:
                    _measure(task, model, classifier, reader)
                rows.append(_measure(task, model, classifier, reader))
            except DataError:
                continue
    print(f"{len(rows)} videos, {len(tasks) - len(rows)} without clips; model loaded in {load_s:.1f} s")
    _print(pd.DataFrame(rows))


def _measure(task: VideoTask, model: Any, classifier: Any, reader: GuardedReader) -> dict[str, float]:
    """Returns the seconds of each stage for one video."""
    from components.predict.prediction import classify

    seconds: dict[str, float] = defaultdict(float)

    def timed(stage: str, function: Any, *arguments: Any) -> Any:
        started_s = time.perf_counter()
        result = function(*arguments)
        seconds[stage] += time.perf_counter() - started_s
        return result

    path = Path(task.uri)
    timed(SAMPLING, sample_clips, path, model.sampling)
    video = timed(READING, read_clips, path, task.crop, model.sampling)
    seconds[READING] -= seconds[SAMPLING]
    jpegs = [timed(JPEG, clip.jpegs) for clip in video.clips]
    timed(MODEL, classify, classifier, jpegs, model)
    timed(GUARDED, reader, read_clips, path, task.crop, model.sampling)
    return seconds


def _print(seconds: pd.DataFrame) -> None:
    stages = seconds[[SAMPLING, READING, JPEG, MODEL]]
    table = pd.concat([stages, stages.sum(axis=1).rename("in all"), seconds[GUARDED]], axis=1)
    figures = 1000 * table.describe(percentiles=[0.5, 0.95]).T[["50%", "mean", "95%", "max"]]
    print(f"milliseconds per video\n{figures.assign(share=table.sum() / stages.sum().sum()).round(2).to_string()}")


if __name__ == "__main__":
    main()
