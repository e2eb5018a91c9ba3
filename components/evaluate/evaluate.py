"""Evaluate: the pruned model, the dense model and the current champion on the same test videos."""

import dataclasses
import functools
import logging
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.core import storage
from components.core.models.classifier import ClassifierMetadata, check_belongs, code_revision, file_sizes, load_classifier, read_metadata
from components.core.models.dataset import failures_of_shards, open_dataset, read_clips
from components.core.models.exports import KERAS, TFLITE_INT8, exports_of, load_export
from components.core.models.predictions import Floats, Predictions, predict_clips
from components.core.models.reference import by_rule, read_reference, with_looks
from components.core.records.shards import DatasetIndex
from components.core.registry.champion import Champion, read_champion
from components.core.registry.versions import Comparison, model_sha256, version_uri
from components.core.statistics.bootstrap import Interval
from components.core.statistics.comparisons import patient_scores
from components.core.statistics.thumbnails import classes_by_thumbnail, moving_thumbnail_of, small_frames_of, thumbnail_of
from components.evaluate.baselines import border_features, fit_baselines
from components.evaluate.chests import severities_of_chests
from components.evaluate.data_flow import data_flow
from components.evaluate.evaluation import CHAMPION, DENSE, INT8, PRUNED, RULE, EvaluatedModel, Evaluation, Majority, TestSet
from components.evaluate.explanation import illustrate
from components.evaluate.findings import forecast_findings, score_findings
from components.evaluate.illustrations import choose_videos
from components.evaluate.metrics import score
from components.evaluate.notes import notes_on
from components.evaluate.operating_points import abstention, operating_points
from components.evaluate.significance import bootstrap_difference, chance_p_value
from components.evaluate.slices import slice_scores
from components.evaluate.training_log import read_history
from components.evaluate.video_facts import VideoFacts, read_video_facts, usable

_log = logging.getLogger(__name__)


def evaluate_models(
    dataset_path: Path, dense_path: Path, pruned_path: Path, storage_uri: str, num_bootstrap: int, batch_size: int, seed: int
) -> Evaluation:
    """Evaluates the models on the test split.

    Args:
        dataset_path: output folder of preprocess.
        dense_path: model artifact of train.
        pruned_path: model artifact of prune.
        storage_uri: where the project keeps its models; its champion is evaluated too when it knows the same classes.
        num_bootstrap: bootstrap replicates behind the intervals; 0 for no intervals.
        batch_size: clips that a model sees at a time.
        seed: of the bootstrap.

    Raises:
        DataError: the test split is empty, a model does not fit the dataset or gives NaN, or the champion pointer is broken.
        StorageError: the storage cannot be read.
    """
    index = open_dataset(dataset_path)
    storage_uri = storage.absolute_uri(storage_uri)
    champion = read_champion(storage_uri)
    for name, path in ((PRUNED, pruned_path), (DENSE, dense_path)):
        check_belongs(name, read_metadata(path), index)
    evaluate = functools.partial(_evaluate, dataset_path=dataset_path, num_bootstrap=num_bootstrap, batch_size=batch_size, seed=seed)
    models = {PRUNED: evaluate(PRUNED, pruned_path), DENSE: evaluate(DENSE, dense_path)}
    if TFLITE_INT8 in exports_of(pruned_path):
        models[INT8] = evaluate(INT8, pruned_path, export=TFLITE_INT8)
    remark = ""
    if champion:
        with storage.local_folder(version_uri(storage_uri, champion.version)) as path:
            remark = _difference_in_classes(champion, read_metadata(path), index)
            if not remark:
                models[CHAMPION] = evaluate(CHAMPION, path, version=champion.version)
    videos = models[PRUNED].videos
    facts = read_video_facts(dataset_path)
    chosen = choose_videos(videos, facts, index.class_names)
    pixels = _read_pixels(dataset_path, index, wanted=(*chosen.explained, *chosen.samples))
    illustrations, attention = illustrate(load_classifier(pruned_path)[0], chosen, pixels.first_clips, videos, facts, index.class_names)
    by_thumbnail = _by_thumbnail(videos, facts, pixels, index.class_names)
    test_set = TestSet.of(models[PRUNED].clips, index.class_names)
    baselines = fit_baselines(facts, pixels.borders, index.class_names, num_bootstrap, seed)
    baseline = Majority.of(baselines)
    flow = data_flow(facts, index.class_names)
    patients = {
        name: patient_scores([model.videos], by_thumbnail, index.class_names, num_bootstrap, seed) for name, model in models.items()
    }
    reference = read_reference(pruned_path)
    if reference:
        ruled = by_rule(videos, reference.coefficients, reference.intercepts)
        patients[RULE] = patient_scores([ruled], by_thumbnail, index.class_names, num_bootstrap, seed)
    num_strange = reference.num_strange(videos) if reference else None
    notes = notes_on(test_set, baselines, flow, models, patients, num_strange, num_bootstrap, index.fingerprint)
    return Evaluation(
        class_names=index.class_names,
        dataset_fingerprint=index.fingerprint,
        listed_videos=index.videos,
        code_revision=code_revision(),
        num_bootstrap=num_bootstrap,
        seed=seed,
        test_set=test_set,
        baseline=baseline,
        baselines=baselines,
        slices=slice_scores(videos, facts, index.class_names, num_bootstrap, seed),
        flow=flow,
        attention=attention,
        illustrations=illustrations,
        models=models,
        findings={name: score_findings(model.videos, facts, pixels.thumbnails, num_bootstrap, seed) for name, model in models.items()},
        forecasts={name: forecast_findings(model.videos, num_bootstrap, seed) for name, model in models.items()},
        patients=patients,
        num_strange=num_strange,
        chests=severities_of_chests(videos, facts, num_bootstrap, seed),
        comparison=_comparison(models, baseline, champion, remark, num_bootstrap, seed),
        notes=(*notes, *filter(None, [remark])),
    )


def _difference_in_classes(champion: Champion, metadata: ClassifierMetadata, index: DatasetIndex) -> str:
    """Returns why a champion cannot be compared, or an empty string."""
    if metadata.class_names == index.class_names:
        return ""
    return (
        f"The champion {champion.version} knows the classes {', '.join(metadata.class_names)} instead of "
        f"{', '.join(index.class_names)}, so it could not be compared."
    )


def _evaluate(
    name: str, model_path: Path, dataset_path: Path, num_bootstrap: int, batch_size: int, seed: int, version: str = "", export: str = KERAS
) -> EvaluatedModel:
    path, metadata = exports_of(model_path)[export], read_metadata(model_path)
    model, class_names = load_export(path), metadata.class_names
    if export == KERAS:
        model = with_looks(model)
    clips = predict_clips(name, model, dataset_path, "test", metadata.heads, batch_size)
    validation = predict_clips(name, model, dataset_path, "validation", metadata.heads, batch_size).by_video()
    videos = clips.by_video()
    evaluated = EvaluatedModel(
        name=name,
        version=version,
        metadata=metadata,
        model_sha256=model_sha256(model_path),
        sizes=file_sizes(path),
        clip_scores=score(clips, class_names, num_bootstrap, seed),
        video_scores=score(videos, class_names, num_bootstrap, seed),
        group_scores=score(videos.by_group(), class_names, num_bootstrap, seed),
        operating_points=operating_points(validation, videos, class_names, num_bootstrap, seed),
        abstention=abstention(validation, videos, class_names, num_bootstrap, seed),
        history=read_history(model_path),
        clips=clips,
        videos=videos,
    )
    _log.info("%s: macro-F1 %.3f over %d videos", name, evaluated.video_scores.macro_f1, evaluated.video_scores.num)
    return evaluated


@dataclasses.dataclass(frozen=True)
class _Pixels:
    """What of the videos' pixels is looked at beside the models, by the ids of the videos.

    Attributes:
        borders: border_features, averaged over the clips.
        thumbnails: thumbnail_of, likewise.
        moving_thumbnails: moving_thumbnail_of.
        first_clips: of the wanted ones, [14, 224, 224, 3] uint8 RGB.
    """

    borders: dict[str, Floats]
    thumbnails: dict[str, Floats]
    moving_thumbnails: dict[str, Floats]
    first_clips: dict[str, npt.NDArray[np.uint8]]


def _read_pixels(dataset_path: Path, index: DatasetIndex, wanted: Collection[str]) -> _Pixels:
    """Reads all clips of a dataset once.

    Args:
        dataset_path: output folder of preprocess.
        index: of the dataset.
        wanted: ids of the videos whose first clip is wanted.

    Raises:
        DataError: a shard is missing or damaged.
    """
    borders: dict[str, list[Floats]] = defaultdict(list)
    thumbnails: dict[str, list[Floats]] = defaultdict(list)
    small_frames: dict[str, list[Floats]] = defaultdict(list)
    first_clips: dict[str, npt.NDArray[np.uint8]] = {}
    for split in (name for name, info in index.splits.items() if info.num_clips):
        with failures_of_shards(dataset_path):
            for example in read_clips(dataset_path, split).prefetch(4).as_numpy_iterator():
                video_id, clip = example["video_id"].decode(), example["clip"]
                borders[video_id].append(border_features(clip))
                thumbnails[video_id].append(thumbnail_of(clip))
                small_frames[video_id].append(small_frames_of(clip))
                if video_id in wanted:
                    first_clips.setdefault(video_id, clip)
    moving_thumbnails = {video_id: moving_thumbnail_of(frames) for video_id, frames in small_frames.items()}
    return _Pixels(_means(borders), _means(thumbnails), moving_thumbnails, first_clips)


def _means(of_clips: dict[str, list[Floats]]) -> dict[str, Floats]:
    return {key: np.mean(values, axis=0) for key, values in of_clips.items()}


def _by_thumbnail(videos: Predictions, facts: list[VideoFacts], pixels: _Pixels, class_names: list[str]) -> Predictions:
    """Returns what a regression on thumbnails of the train videos says of the test videos."""
    train = [video for video in usable(facts, "train") if video.class_name in class_names]
    known, asked = (
        np.stack([pixels.moving_thumbnails[video_id] for video_id in ids])
        for ids in ([video.video_id for video in train], videos.video_ids.tolist())
    )
    labels = np.array([class_names.index(video.class_name) for video in train])
    return dataclasses.replace(videos, probabilities=classes_by_thumbnail(known, labels, asked, len(class_names)), findings={})


def _comparison(
    models: dict[str, EvaluatedModel], baseline: Majority, champion: Champion | None, remark: str, num_bootstrap: int, seed: int
) -> Comparison:
    challenger, compared = models[PRUNED], models.get(CHAMPION)
    difference = bootstrap_difference(challenger.videos, compared.videos, num_bootstrap, seed) if compared else None
    return Comparison(
        challenger_sha256=challenger.model_sha256,
        challenger_macro_f1=challenger.video_scores.macro_f1,
        challenger_interval=_ends(challenger.interval),
        chance_p_value=chance_p_value(challenger.videos, seed),
        majority_macro_f1=baseline.macro_f1,
        champion_version=champion.version if champion else None,
        champion_macro_f1=compared.video_scores.macro_f1 if compared else None,
        difference_interval=_ends(difference),
        remark=remark,
        challenger_brier=challenger.video_scores.brier,
        champion_brier=compared.video_scores.brier if compared else None,
    )


def _ends(interval: Interval | None) -> tuple[float, float] | None:
    return (interval.low, interval.high) if interval else None
