"""Interface of the step that decides whether a scheduled run has anything to train."""

from kfp import dsl

from components.core import images


@dsl.component(base_image=images.INGEST, packages_to_install=[], install_kfp_package=False)
def decide_training(
    videos: dsl.Input[dsl.Dataset],
    storage: str,
    decision: dsl.Output[dsl.Markdown],
    max_age_days: int = 90,
    force: bool = False,
) -> bool:
    """Decides whether there is a reason to train.

    There is one when the videos or their labels changed, there is no champion, or the last training is too long ago.

    Args:
        videos: The videos.jsonl of ingest.
        storage: Where the project keeps videos, splits and models; last_training.json there tells what was trained on last.
        max_age_days: Train again after so many days, even if nothing changed; 0 for never.
        force: Train in any case.

    Returns:
        decision: Whether to train, and why.
        Output: Whether to train.
    """
    from pathlib import Path

    from components.core import process
    from components.core.files import outputs
    from components.decide_training.decide_training import decide

    with process.exit_with_message():
        result = decide(Path(videos.path), storage, max_age_days, force)
        outputs.write_files({decision.path: result.to_markdown().encode()})
        print(result.to_markdown())
        return result.needed
