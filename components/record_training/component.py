"""Interface of the step that remembers what was trained on."""

from kfp import dsl

from components.core import images


@dsl.component(base_image=images.INGEST, packages_to_install=[], install_kfp_package=False)
def record_training(
    evaluation: dsl.Input[dsl.Artifact],
    storage: str,
):
    """Remembers which videos a training has been given.

    It does so whether the model was promoted or not.

    Args:
        evaluation: The evaluation.json of the training; it tells which videos preprocess was given.
        storage: Where the project keeps videos, splits and models; last_training.json is written there.
    """
    from pathlib import Path

    from components.core import process
    from components.record_training.record_training import record

    with process.exit_with_message():
        print(record(Path(evaluation.path), storage))
