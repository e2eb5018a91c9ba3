"""Cross-validation: each part of a dataset is tested by a model that was trained on the others.

Of the parts that are not tested, the next one chooses the epoch and the rest is learnt from; nothing is ever chosen by what is tested. A
part is a fold, which preprocess dealt out over whole groups, or all videos of a source. With sources, a fold of the other sources chooses
the epoch, the next one with all classes, and groups that the tested source has, too, are left out.

Two baselines see the same videos: always the class that is most frequent among those to learn from, and a logistic regression that sees a
14 × 14 thumbnail of the mean and of the change over time (the strongest in benchmarks/shortcuts.py). What the dataset states of findings is
tested likewise, beside a ridge regression on a thumbnail (core.statistics.thumbnails).
"""

import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from components.core.errors import DataError
from components.core.files.local_files import temporary_folder
from components.core.models.dataset import Part, failures_of_shards, open_dataset, part_of_videos, read_clips
from components.core.models.examples import ClipExamples
from components.core.models.features import FeatureExamples, Features, compute_features, cut_at_learning
from components.core.models.predictions import Graded, Predictions, predict_clips
from components.core.records.shards import ClipSource, read_clip_sources
from components.core.statistics.agreement import agreement
from components.core.statistics.thumbnails import expected_by_thumbnail, thumbnail_of
from components.crossval.scores import CrossValidation, Videos, score_of
from components.train.devices import choose_strategy, use_half_precision_on_gpus
from components.train.options import TrainingOptions
from components.train.trainer import build_network, train_network

THUMBNAIL_PX = 14
THUMBNAIL = "thumbnail and change, logistic regression"
MAJORITY = "always the most frequent class"

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Division:
    """One turn: what is learnt from, what the epoch is chosen by, what is tested."""

    name: str
    train: list[ClipSource]
    held_out: list[ClipSource]
    tested: list[ClipSource]


def divide(sources: list[ClipSource], divide_by: str) -> Iterator[Division]:
    """Yields the turns of a cross-validation.

    Args:
        sources: the videos, with their folds.
        divide_by: fold or source.

    Raises:
        DataError: the videos have no folds, there are too few parts, or a class is lacking when a part is set aside.
    """
    if any(video.fold is None for video in sources):
        raise DataError("the dataset has no folds; run preprocess again.")
    folds = sorted({video.fold for video in sources if video.fold is not None})
    parts = sorted({getattr(video, divide_by) for video in sources})
    if len(folds) < 3 or len(parts) < 2:
        raise DataError(
            f"the dataset has {len(folds)} folds and {len(parts)} parts by {divide_by}; at least 3 folds and 2 parts are needed."
        )
    for number, part in enumerate(parts):
        tested = [video for video in sources if getattr(video, divide_by) == part]
        seen = {video.group for video in tested}
        rest = [video for video in sources if video.group not in seen]
        for choosing in (folds[(number + step) % len(folds)] for step in range(1, len(folds) + 1)):
            train = [video for video in rest if video.fold != choosing]
            held_out = [video for video in rest if video.fold == choosing]
            if _classes(train) == _classes(held_out) == _classes(sources):
                yield Division(f"{divide_by} {part}", train, held_out, tested)
                break
        else:
            raise DataError(
                f"with {divide_by} {part} set aside, no fold can choose the epoch such that it and the rest have videos of every class; "
                "give preprocess videos of more groups."
            )


def _classes(videos: list[ClipSource]) -> set[str]:
    return {video.class_name for video in videos}


def cross_validate(
    dataset_path: Path, options: TrainingOptions, divide_by: str = "fold", num_repeats: int = 1, num_bootstrap: int = 1000
) -> CrossValidation:
    """Cross-validates a classifier and the baselines.

    Args:
        dataset_path: output folder of preprocess.
        options: of the training.
        divide_by: fold or source.
        num_repeats: how often; each time with the next seed.
        num_bootstrap: replicates behind the intervals.

    Raises:
        UsageError: a GPU is required and there is none.
        DataError: the dataset cannot be used, or a loss is no longer a number.
    """
    strategy = choose_strategy(options.require_gpu)
    index = open_dataset(dataset_path)
    sources = sorted(read_clip_sources(dataset_path), key=lambda video: video.video_id)
    divisions = list(divide(sources, divide_by))
    rows = {video.video_id: row for row, video in enumerate(sources)}
    videos = Videos(
        ids=np.array([video.video_id for video in sources]),
        labels=np.array([index.class_names.index(video.class_name) for video in sources]),
        groups=np.array([video.group for video in sources]),
        parts=np.array([str(getattr(video, divide_by)) for video in sources]),
    )
    grades = {of.name: np.array([of.grade_of(getattr(video, of.name)) for video in sources]) for of in index.findings}
    told = {
        of.name: [Graded(grades[of.name], np.zeros((len(sources), of.num_thresholds))) for _ in range(num_repeats)] for of in index.findings
    }
    by_thumbnail = {of.name: np.zeros(len(sources)) for of in index.findings}
    probabilities = np.zeros((num_repeats, len(sources), len(index.class_names)))
    everything = part_of_videos(dataset_path, "all", sources)
    everything.check_classes()
    with temporary_folder("lus-features-") as folder, failures_of_shards(dataset_path):
        thumbnails, mean_frames = _thumbnails(dataset_path, everything, rows)
        answers = {MAJORITY: np.zeros((1, len(sources)), int), THUMBNAIL: np.zeros((1, len(sources)), int)}
        features = _shared_features(everything, len(index.class_names), options, folder)
        for repeat in range(num_repeats):
            for number, division in enumerate(divisions, start=1):
                repeated = dataclasses.replace(options, seed=options.seed + repeat)
                tested = _predict(dataset_path, division, len(index.class_names), repeated, strategy, features)
                chosen = [rows[video_id] for video_id in tested.video_ids.tolist()]
                probabilities[repeat, chosen] = tested.probabilities
                for name, graded in tested.findings.items():
                    told[name][repeat].probabilities[chosen] = graded.probabilities
                _log.info(
                    "repeat %d of %d, %s (%d of %d): %d of %d videos right",
                    repeat + 1,
                    num_repeats,
                    division.name,
                    number,
                    len(divisions),
                    tested.is_right.sum(),
                    len(chosen),
                )
        for division in divisions:
            known = [rows[video.video_id] for video in (*division.train, *division.held_out)]
            chosen = [rows[video.video_id] for video in division.tested]
            answers[MAJORITY][0, chosen] = np.bincount(videos.labels[known]).argmax()
            linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=1000, random_state=0))
            answers[THUMBNAIL][0, chosen] = linear.fit(thumbnails[known], videos.labels[known]).predict(thumbnails[chosen])
            for name, values in by_thumbnail.items():
                values[chosen] = expected_by_thumbnail(mean_frames[known], grades[name][known], mean_frames[chosen])
    title = f"{options.architecture}, {options.backbone}"
    predicted = {title: probabilities.argmax(axis=2), **answers}
    scores = {name: score_of(videos, labels, num_bootstrap, options.seed) for name, labels in predicted.items()}
    findings = {
        of.name: agreement(of, told[of.name], by_thumbnail[of.name], videos.groups, num_bootstrap, options.seed) for of in index.findings
    }
    parameters = dataclasses.asdict(options)
    return CrossValidation(
        title, divide_by, index.class_names, parameters, index.fingerprint, videos, probabilities, scores, told, findings
    )


def _shared_features(everything: Part, num_classes: int, options: TrainingOptions, folder: Path) -> Features | None:
    """Returns the maps of all clips behind the frozen backbone, which are the same in every turn; None when nothing is shared."""
    if not options.cached_versions or not options.weights:
        return None
    use_half_precision_on_gpus()
    parts = cut_at_learning(build_network(num_classes, options, everything.findings))
    return compute_features(parts[0], everything, options.cached_versions, options.seed, folder) if parts else None


def _predict(
    dataset_path: Path,
    division: Division,
    num_classes: int,
    options: TrainingOptions,
    strategy: tf.distribute.Strategy,
    features: Features | None,
) -> Predictions:
    """Trains a classifier and returns what it says about the tested videos."""
    train, held_out, tested = (
        part_of_videos(dataset_path, name, members)
        for name, members in (("train", division.train), ("validation", division.held_out), ("test", division.tested))
    )
    tf_keras.backend.clear_session()
    cached = FeatureExamples(lambda: (features, features), train, held_out) if features else None
    model = train_network(ClipExamples(dataset_path, train, held_out), num_classes, options, strategy, cached=cached).model
    return predict_clips(division.name, model, dataset_path, tested, tested.heads, options.batch_size).by_video()


def _thumbnails(dataset_path: Path, everything: Part, rows: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean and the deviation over time of 14 × 14 cells of each video, [videos, 392], and the mean thumbnail_of its clips."""
    cells: list[list[np.ndarray]] = [[] for _ in rows]
    mean_frames: list[list[np.ndarray]] = [[] for _ in rows]
    for example in read_clips(dataset_path, everything).prefetch(1):
        clip = tf.image.resize(example["clip"][..., 0:1], (THUMBNAIL_PX, THUMBNAIL_PX), method="area")
        row = rows[example["video_id"].numpy().decode()]
        cells[row].append(clip.numpy()[..., 0])
        mean_frames[row].append(thumbnail_of(example["clip"].numpy()))
    stacks = [np.concatenate(frames) for frames in cells]
    moving = np.stack([np.concatenate([stack.mean(axis=0).ravel(), stack.std(axis=0).ravel()]) for stack in stacks])
    return moving, np.stack([np.mean(frames, axis=0) for frames in mean_frames])
