"""Cross-validation: each part of a dataset is tested by a model that was trained on the others.

Of the parts that are not tested, the next one chooses the epoch and the rest is learnt from; nothing is ever chosen by what is tested. A
part is a fold, which preprocess dealt out over whole groups, or all videos of a source. With sources, a fold of the other sources chooses
the epoch, the next one with all classes, and groups that the tested source has, too, are left out. To show how large a leak looks, videos
can be dealt at random instead, whosever they are.

Two baselines see the same videos: always the class that is most frequent among those to learn from, and a logistic regression on a
thumbnail. What the dataset states of findings is tested likewise, beside a ridge regression on a thumbnail (core.statistics.thumbnails).
"""

import dataclasses
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from components.core.errors import DataError
from components.core.files.local_files import temporary_folder
from components.core.models.dataset import Part, failures_of_shards, open_dataset, part_of_videos, read_clips
from components.core.models.examples import ClipExamples
from components.core.models.features import FeatureExamples, Features, compute_features, cut_at_learning
from components.core.models.predictions import NO_SOURCE, Floats, Graded, Predictions, Strings, predict_clips
from components.core.models.reference import by_rule, rule_for_patients
from components.core.records.findings import FINDINGS, Finding
from components.core.records.shards import ClipSource, read_clip_sources
from components.core.statistics.thumbnails import (
    classes_by_thumbnail,
    expected_by_thumbnail,
    moving_thumbnail_of,
    small_frames_of,
    thumbnail_of,
)
from components.crossval.scores import MAJORITY, THUMBNAIL, CrossValidation
from components.train.devices import choose_strategy, use_half_precision_on_gpus
from components.train.options import TrainingOptions
from components.train.trainer import build_network, train_network

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Division:
    """One turn: what is set aside and called what, what is learnt from, what the epoch is chosen by, what is tested."""

    name: str
    part: str
    train: list[ClipSource]
    held_out: list[ClipSource]
    tested: list[ClipSource]

    def without_findings(self) -> "Division":
        """Returns the same turn with nothing stated of any finding."""
        bare: dict[str, Any] = {finding.name: "" for finding in FINDINGS}
        train, held_out, tested = (
            [dataclasses.replace(video, **bare) for video in videos] for videos in (self.train, self.held_out, self.tested)
        )
        return Division(self.name, self.part, train, held_out, tested)

    def teaches(self, finding: Finding) -> bool:
        """Returns whether what is learnt from states more than one grade of a finding."""
        return len({getattr(video, finding.name) for video in self.train} - {""}) > 1


def divide(sources: list[ClipSource], divide_by: str, seed: int = 0) -> Iterator[Division]:
    """Yields the turns of a cross-validation.

    Args:
        sources: the videos, with their folds.
        divide_by: fold, source or video.
        seed: of the dealing of videos.

    Raises:
        DataError: the videos have no folds, there are too few parts, or a class is lacking when a part is set aside.
    """
    if any(video.fold is None for video in sources):
        raise DataError("the dataset has no folds; run preprocess again.")
    if divide_by == "video":
        yield from divide(dealt_at_random(sources, seed), "fold")
        return
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
                yield Division(f"{divide_by} {part}", str(part) or NO_SOURCE, train, held_out, tested)
                break
        else:
            raise DataError(
                f"with {divide_by} {part} set aside, no fold can choose the epoch such that it and the rest have videos of every class; "
                "give preprocess videos of more groups."
            )


def dealt_at_random(sources: list[ClipSource], seed: int) -> list[ClipSource]:
    """Returns the videos as if nobody had two of them: each a group of its own, dealt over as many folds at random within its class."""
    num_folds = len({video.fold for video in sources})
    shuffled = [sources[row] for row in np.random.default_rng(seed).permutation(len(sources))]
    dealt = sorted(shuffled, key=lambda video: video.class_name)
    return [dataclasses.replace(video, group=video.video_id, fold=place % num_folds) for place, video in enumerate(dealt)]


def _classes(videos: list[ClipSource]) -> set[str]:
    return {video.class_name for video in videos}


def cross_validate(
    dataset_path: Path,
    options: TrainingOptions,
    divide_by: str = "fold",
    num_repeats: int = 1,
    num_bootstrap: int = 1000,
    without_findings: bool = False,
) -> CrossValidation:
    """Cross-validates a classifier and the baselines.

    Args:
        dataset_path: output folder of preprocess.
        options: of the training.
        divide_by: fold, source or video.
        num_repeats: how often; each time with the next seed.
        num_bootstrap: replicates behind the intervals.
        without_findings: whether the same is also trained without findings, to be compared with.

    Raises:
        UsageError: a GPU is required and there is none.
        DataError: the dataset cannot be used, states no findings to be trained without, or a loss is no longer a number.
    """
    strategy = choose_strategy(options.require_gpu)
    index = open_dataset(dataset_path)
    if without_findings and not index.findings:
        raise DataError(f"{str(dataset_path)!r} states no findings, so there is nothing to train without; leave out without_findings.")
    sources = read_clip_sources(dataset_path)
    divisions = list(divide(sorted(sources, key=lambda video: video.video_id), divide_by, options.seed))
    everything = part_of_videos(dataset_path, "all", sources)
    everything.check_classes()
    num_classes, title = len(index.class_names), f"{options.architecture}, {options.backbone}"
    turns = {title: divisions}
    if without_findings:
        turns[f"{title}, without findings"] = [division.without_findings() for division in divisions]
    with temporary_folder("lus-features-") as folder, failures_of_shards(dataset_path):
        thumbnails = _thumbnails(dataset_path, everything)
        features = _shared_features(everything, num_classes, options, folder)

        def predict(division: Division, repeat: int) -> Predictions:
            repeated = dataclasses.replace(options, seed=options.seed + repeat)
            return _predict(dataset_path, division, num_classes, repeated, strategy, features)

        told = {
            name: [_tell(name, of_name, predict, repeat, num_repeats) for repeat in range(num_repeats)] for name, of_name in turns.items()
        }
    ruled = _by_rule(divisions, told[title][0], features.looks()) if features else None
    told |= {name: [baseline] for name, baseline in _baselines(divisions, told[title][0], thumbnails, num_classes).items()}
    return CrossValidation.of(
        told,
        parts={video.video_id: division.part for division in divisions for video in division.tested},
        by_thumbnail={finding.name: _expected_by_thumbnail(divisions, told[title][0], finding, thumbnails) for finding in index.findings},
        by_rule=ruled,
        untaught={finding.name: tuple(of.part for of in divisions if not of.teaches(finding)) for finding in index.findings},
        divide_by=divide_by,
        class_names=index.class_names,
        parameters=dataclasses.asdict(options),
        dataset_fingerprint=index.fingerprint,
        num_bootstrap=num_bootstrap,
        seed=options.seed,
    )


def _tell(
    name: str, divisions: Sequence[Division], predict: Callable[[Division, int], Predictions], repeat: int, num_repeats: int
) -> Predictions:
    """Returns what is said of every video in its turn, sorted by video id."""
    said = []
    for number, division in enumerate(divisions, start=1):
        said.append(predict(division, repeat))
        _log.info(
            "%s: repeat %d of %d, %s (%d of %d): %d of %d videos right",
            name,
            repeat + 1,
            num_repeats,
            division.name,
            number,
            len(divisions),
            said[-1].is_right.sum(),
            len(said[-1].labels),
        )
    return _joined(said)


def _joined(parts: Sequence[Predictions]) -> Predictions:
    """Returns predictions on different videos as one table, sorted by video id."""

    order = np.argsort(np.concatenate([part.video_ids for part in parts]))

    def rows(values: Iterable[np.ndarray]) -> np.ndarray:
        return np.concatenate(list(values))[order]

    graded = {name: [part.findings[name] for part in parts] for name in parts[0].findings}
    return Predictions(
        labels=rows(part.labels for part in parts),
        probabilities=rows(part.probabilities for part in parts),
        video_ids=rows(part.video_ids for part in parts),
        groups=rows(part.groups for part in parts),
        sources=rows(part.sources for part in parts),
        findings={name: Graded(rows(of.grades for of in told), rows(of.probabilities for of in told)) for name, told in graded.items()},
    )


def _in_turns(divisions: Sequence[Division], video_ids: Strings, answer: Callable[[list[int], list[int]], Floats]) -> Floats:
    """Returns what a function of the rows to learn from and the rows that are asked about says of all rows, [n, columns]."""
    rows = {video_id: row for row, video_id in enumerate(video_ids.tolist())}
    asked = [[rows[video.video_id] for video in division.tested] for division in divisions]
    known = [[rows[video.video_id] for video in (*division.train, *division.held_out)] for division in divisions]
    answers = np.concatenate([answer(*turn) for turn in zip(known, asked, strict=True)])
    return answers[np.argsort(np.concatenate(asked))]


def _baselines(divisions: Sequence[Division], told: Predictions, thumbnails: "_Thumbnails", num_classes: int) -> dict[str, Predictions]:
    moving = np.stack([thumbnails.moving[video_id] for video_id in told.video_ids])

    def most_frequent(known: list[int], asked: list[int]) -> Floats:
        return np.tile(np.eye(num_classes)[np.bincount(told.labels[known]).argmax()], (len(asked), 1))

    def by_thumbnail(known: list[int], asked: list[int]) -> Floats:
        return classes_by_thumbnail(moving[known], told.labels[known], moving[asked], num_classes)

    answers = {MAJORITY: most_frequent, THUMBNAIL: by_thumbnail}
    return {
        name: dataclasses.replace(told, probabilities=_in_turns(divisions, told.video_ids, answer), findings={})
        for name, answer in answers.items()
    }


def _by_rule(divisions: Sequence[Division], told: Predictions, looks: dict[str, np.ndarray]) -> Predictions:
    """Returns the same videos, each with what the rule for patients says of its patient, by all of the patient's videos."""
    videos = dataclasses.replace(told, looks=np.stack([looks[video_id] for video_id in told.video_ids]))

    def only(rows: list[int]) -> Predictions:
        return videos.where(np.isin(np.arange(len(videos.labels)), rows))

    def probabilities(known: list[int], asked: list[int]) -> Floats:
        answers = by_rule(only(asked), *rule_for_patients(only(known).by_group())).probabilities
        return answers[np.argsort(np.argsort(asked))]

    return dataclasses.replace(told, probabilities=_in_turns(divisions, told.video_ids, probabilities), findings={})


def _expected_by_thumbnail(divisions: Sequence[Division], told: Predictions, finding: Finding, thumbnails: "_Thumbnails") -> Floats:
    grades, still = told.findings[finding.name].grades, np.stack([thumbnails.still[video_id] for video_id in told.video_ids])
    return _in_turns(divisions, told.video_ids, lambda known, asked: expected_by_thumbnail(still[known], grades[known], still[asked]))


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


@dataclasses.dataclass(frozen=True)
class _Thumbnails:
    """What the baselines see, by the ids of the videos: moving_thumbnail_of, and the mean thumbnail_of the clips."""

    moving: dict[str, Floats]
    still: dict[str, Floats]


def _thumbnails(dataset_path: Path, everything: Part) -> _Thumbnails:
    small_frames: dict[str, list[Floats]] = defaultdict(list)
    still: dict[str, list[Floats]] = defaultdict(list)
    for example in read_clips(dataset_path, everything).prefetch(1).as_numpy_iterator():
        video_id = example["video_id"].decode()
        small_frames[video_id].append(small_frames_of(example["clip"]))
        still[video_id].append(thumbnail_of(example["clip"]))
    return _Thumbnails(
        {video_id: moving_thumbnail_of(frames) for video_id, frames in small_frames.items()},
        {video_id: np.mean(of_clips, axis=0) for video_id, of_clips in still.items()},
    )
