"""Interface of the predict step."""

from kfp import dsl

from components.core import images


@dsl.component(base_image=images.PREDICT, packages_to_install=[], install_kfp_package=False)
def predict(
    videos: str,
    predictions: dsl.Output[dsl.Artifact],
    strips: dsl.Output[dsl.Artifact],
    patients: dsl.Output[dsl.Artifact],
    page: dsl.Output[dsl.HTML],
    model: str = "champion",
    storage: str = "",
    draw_strips: bool = False,
    draw_pictures: bool = False,
    beam_options: str = "",
):
    """Says what a classifier makes of videos.

    For research and education only, not for diagnosis.

    Args:
        videos: Videos, folders of videos, manifests (CSV) and videos.jsonl of ingest, with spaces between them and quoted as in a shell.
        model: The classifier: champion, a version in the storage, or where a model artifact is.
        storage: Where the project keeps its models; not needed when model says where a model artifact is.
        draw_strips: Whether to draw a strip of the clips of each video, with what the model says of them.
        draw_pictures: Whether the page shows frames of the videos, and what raised the model's answers in them, which takes longer.
        beam_options: Apache Beam options, such as --runner=DaskRunner, to predict many videos as a Beam pipeline; empty for none.

    Returns:
        predictions: JSON Lines, one a video: class probabilities, also of each clip, whether the model abstains, or why there is none.
        strips: A folder with the strips, or an empty one.
        patients: JSON Lines, one a patient of whom a manifest states the videos: classes, zones and the sum of severities.
        page: All of it as one HTML file to read and to print: zones of the chest side by side, tables, pictures of the first videos.
    """
    from pathlib import Path

    from components.core import process
    from components.core.models import tensorflow_startup
    from components.predict.inputs import list_videos, split_videos

    with process.exit_with_message():
        tasks = list_videos(split_videos(videos))
        tensorflow_startup.load_tensorflow()
        from components.predict.prediction import predict_videos

        outputs = Path(predictions.path), Path(strips.path), Path(patients.path), Path(page.path)
        predict_videos(tasks, model, storage, *outputs, draw_strips, draw_pictures, beam_options)
