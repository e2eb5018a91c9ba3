"""Interface of the cross-validation."""

from kfp import dsl

from components.core import images


@dsl.component(base_image=images.TRAIN, packages_to_install=[], install_kfp_package=False)
def crossval(
    dataset: dsl.Input[dsl.Dataset],
    scores: dsl.Output[dsl.Artifact],
    table: dsl.Output[dsl.Markdown],
    metrics: dsl.Output[dsl.Metrics],
    train: dict,  # type: ignore[type-arg]
    divide_by: str = "fold",
    num_repeats: int = 1,
    num_bootstrap: int = 1000,
    without_findings: bool = False,
):
    """Trains and tests a classifier on every fold in turn.

    Each video is tested once, by a model that has not seen its group, unless one asks to see what a leak would do.

    Args:
        dataset: Clip dataset, the output of preprocess.
        train: Every option of train but its storage, by name. In each repeat the seed is one more.
        divide_by: What is set aside in turn: fold (of videos.jsonl, whole groups); source, to see what holds at another hospital; or video,
            videos dealt at random whosever they are, only to see how large a leak looks: such scores are inflated.
        num_repeats: How often everything is trained, each time with the next seed.
        num_bootstrap: Replicates of the bootstrap over groups behind the interval; 0 for no interval.
        without_findings: Also train without the findings, on the same parts with the same seeds, and tell the difference.

    Returns:
        scores: Every score and every prediction, as JSON.
        table: The scores over videos and patients beside trivial baselines, with paired differences.
        metrics: Macro-F1 over all videos with its interval, mean over the folds, and the baselines; called leaky where they are inflated.
    """
    from pathlib import Path

    from components.core import process
    from components.core.files import outputs
    from components.core.models.tensorflow_startup import load_tensorflow
    from components.core.parameters import check_values
    from components.train.options import TrainingOptions

    with process.exit_with_message():
        check_values(divide_by=divide_by, num_repeats=num_repeats, num_bootstrap=num_bootstrap)
        options = TrainingOptions.of(train)
        load_tensorflow()
        from components.crossval.crossval import cross_validate

        result = cross_validate(Path(dataset.path), options, divide_by, num_repeats, num_bootstrap, without_findings)
        outputs.write_files({scores.path: result.to_json().encode(), table.path: result.markdown().encode()})
        print(result.markdown())
        for name, value in result.metrics().items():
            metrics.log_metric(name, value)
