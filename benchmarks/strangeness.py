"""How often a video is called strange to a model: videos of new patients, of another data set, and test videos that were spoilt.

    python benchmarks/strangeness.py --model outputs/train/model --dataset outputs/preprocess/dataset --other other/dataset

The model must have learnt from the dataset; `--other` is a clip dataset of other places. Each line is the part of videos beyond the limit.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np

from components.core.models import heads
from components.core.models.classifier import load_classifier
from components.core.models.dataset import read_clips
from components.core.models.predictions import predict_clips
from components.core.models.reference import Reference, read_reference, with_looks
from components.core.records.clips import FRAME_SIZE_PX

Frame: TypeAlias = np.ndarray
MAX_SPOILT = 30
SEED = 0


def spoilers() -> dict[str, Callable[[Frame], Any]]:
    """Returns what may be wrong with a video, each a function of a frame [224, 224] uint8."""
    rng = np.random.default_rng(SEED)
    half = FRAME_SIZE_PX // 2
    columns = np.arange(FRAME_SIZE_PX)
    return {
        "a fifth of the brightness": lambda frame: frame * 0.2,
        "half the brightness": lambda frame: frame * 0.5,
        "twice the brightness": lambda frame: frame * 2.0,
        "blur, 3 px": lambda frame: cv2.GaussianBlur(frame, (0, 0), 3),
        "blur, 8 px": lambda frame: cv2.GaussianBlur(frame, (0, 0), 8),
        "noise, 20 grey levels": lambda frame: frame + rng.normal(0, 20, frame.shape),
        "noise, 60 grey levels": lambda frame: frame + rng.normal(0, 60, frame.shape),
        "inverted": lambda frame: 255 - frame,
        "upside down": lambda frame: frame[::-1],
        "sideways": lambda frame: frame.T,
        "half covered": lambda frame: np.where(columns < half, 0, frame),
        "with text": lambda frame: cv2.putText(frame.copy(), "RIGHT LUNG 12:33", (5, 100), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 255, 2),
        "black": lambda frame: frame * 0,
        "noise alone": lambda frame: rng.integers(0, 256, frame.shape),
    }


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--other", type=Path)
    arguments = parser.parse_args()
    model, metadata = load_classifier(arguments.model)
    reference = read_reference(arguments.model)
    assert reference, "the model has no reference"
    looking = with_looks(model)

    def share(dataset: Path, split: str) -> tuple[int, float]:
        looks = predict_clips("given", looking, dataset, split, metadata.heads, 8).by_video().looks
        return len(looks), float((reference.strangeness(looks) > 1).mean())

    print("| videos | number | strange |\n|---|---|---|")
    for split in ("train", "validation", "test"):
        print("| {} | {} | {:.0%} |".format(split, *share(arguments.dataset, split)))
    if arguments.other:
        print("| another data set | {} | {:.0%} |".format(*share(arguments.other, "train")))
    clips = first_clips(arguments.dataset)
    for name, spoil in {"first clips of the test videos": lambda frame: frame, **spoilers()}.items():
        print(f"| {name} | {len(clips)} | {spoilt_share(looking, reference, clips, spoil):.0%} |", flush=True)


def first_clips(dataset: Path) -> list[np.ndarray]:
    """Returns the first clip of test videos, [14, 224, 224, 3] each."""
    clips: dict[bytes, np.ndarray] = {}
    for example in read_clips(dataset, "test").as_numpy_iterator():
        clips.setdefault(example["video_id"], example["clip"])
    return list(clips.values())[:MAX_SPOILT]


def spoilt_share(looking: Any, reference: Reference, clips: list[np.ndarray], spoil: Callable[[Frame], Any]) -> float:
    """Returns the part of clips that are strange when each of their frames is spoilt."""
    looks = []
    for clip in clips:
        frames = np.stack([np.clip(spoil(frame), 0, 255).astype(np.uint8) for frame in clip[..., 0]])
        looks.append(looking.predict_on_batch(np.repeat(frames[np.newaxis, ..., np.newaxis], 3, axis=-1))[heads.LOOK][0])
    return float((reference.strangeness(np.stack(looks)) > 1).mean())


if __name__ == "__main__":
    main()
