"""Interface of the preprocess step."""

from kfp import dsl

from components.core import images


@dsl.component(base_image=images.PREPROCESS, packages_to_install=[], install_kfp_package=False)
def preprocess(
    videos: str,
    storage: str,
    dataset: dsl.Output[dsl.Dataset],
    dataset_report: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
    sampling: str = "window",
    frames_per_second: float = 10.0,
    max_clips_per_video: int = 4,
    test_fraction: float = 0.3,
    validation_fraction: float = 0.2,
    num_folds: int = 5,
    num_shards: int = 4,
    num_workers: int = 2,
    beam_options: str = "",
    keep_other: bool = False,
    seed: int = 0,
):
    """Turns videos into a dataset of clips.

    Decodes videos with Apache Beam, samples clips of 14 frames of the ultrasound sector, splits them by group, writes sharded TFRecords.
    Its result follows from its parameters, so a cache can know it: the list of videos is named by its content, and the splits of its groups
    are kept for life in the storage.

    Args:
        videos: Where the list of videos is that ingest has made: its output videos_uri, or a file like its output videos.
        storage: Where the project keeps videos, splits and models; groups keep the split that is written there.
        sampling: window (clips at a fixed rate, one after the other) or uniform (one clip a video, spread over all of it).
        frames_per_second: Rate at which window samples frames, so that a clip means the same at every source rate.
        max_clips_per_video: window uses the first so many clips of a video; they follow each other without overlap.
        test_fraction: Part of the videos, in whole groups, that goes to test.
        validation_fraction: Part of the remaining videos, in whole groups, that goes to validation.
        num_folds: Number of parts for a cross-validation over all videos, in whole groups; videos.jsonl says which video is in which.
        num_shards: Number of TFRecord files per split.
        num_workers: Decoding threads of the direct runner.
        beam_options: Apache Beam options, such as --runner=DaskRunner --dask_client_address=tcp://HOST:8786; empty for the direct runner.
        keep_other: Keep videos of the class other as a fourth class; ingest must be told to take them (classes).
        seed: Seed of the split.

    Returns:
        dataset: Sharded TFRecords of clips, their index, and what became of every video.
        dataset_report: One HTML file to look at: counts, contact sheets, what was left out and why, and copies of one recording.
        metrics: Counts of videos, clips and groups by split, and of videos that gave no clip.
    """
    from pathlib import Path

    from components.core import process
    from components.preprocess.preprocess import Settings, build_dataset

    with process.exit_with_message():
        settings = Settings(
            sampling=sampling,
            # Kubeflow gives 10.0 as 10, and the index of the dataset is to have the same bytes everywhere.
            frames_per_second=float(frames_per_second),
            max_clips_per_video=max_clips_per_video,
            test_fraction=float(test_fraction),
            validation_fraction=float(validation_fraction),
            num_folds=num_folds,
            num_shards=num_shards,
            keep_other=keep_other,
            seed=seed,
        )
        result = build_dataset(videos, storage, Path(dataset.path), settings, num_workers, beam_options, Path(dataset_report.path))
        dataset.metadata["fingerprint"] = result.index.fingerprint
        for name, value in result.metrics().items():
            metrics.log_metric(name, value)
