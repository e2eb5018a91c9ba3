"""Interface of the cross-validation."""

from kfp import dsl

from components.core import images


@dsl.component(base_image=images.TRAIN, packages_to_install=[], install_kfp_package=False)
def crossval(
    dataset: dsl.Input[dsl.Dataset],
    scores: dsl.Output[dsl.Artifact],
    table: dsl.Output[dsl.Markdown],
    metrics: dsl.Output[dsl.Metrics],
    divide_by: str = "fold",
    num_repeats: int = 1,
    num_bootstrap: int = 1000,
    epochs: int = 40,
    patience: int = 12,
    batch_size: int = 8,
    learning_rate: float = 0.001,
    seed: int = 0,
    architecture: str = "convlstm2d",
    backbone: str = "efficientnet_lite0",
    weights: str = "imagenet",
    cached_versions: int = 4,
    fine_tuning_epochs: int = 0,
    label_smoothing: float = 0.0,
):
    """Trains and tests a classifier on every fold in turn, so that each video is tested once by a model that has not seen its group.

    Args:
        dataset: Clip dataset, the output of preprocess.
        divide_by: What is set aside in turn: fold (of videos.jsonl, whole groups), or source, to see what holds at another hospital.
        num_repeats: How often everything is trained, each time with the next seed.
        num_bootstrap: Replicates of the bootstrap over groups behind the interval; 0 for no interval.
        epochs: Largest number of passes over the train clips.
        patience: Training stops after so many epochs without a better macro-F1 on the fold that the epoch is chosen by.
        batch_size: Clips in a training step.
        learning_rate: Step size of the Adam optimizer in the first step; it falls to zero along a half cosine.
        seed: Seed of the first weights, the order of the clips and their augmentation, in the first repeat.
        architecture: The recurrent layer, as in train.
        backbone: The CNN, as in train.
        weights: Weights of a backbone of Keras, as in train.
        cached_versions: Augmented versions of a clip whose features are kept while the backbone is frozen, as in train.
        fine_tuning_epochs: Largest number of further passes with the upper blocks of the backbone, as in train.
        label_smoothing: Part of the probability that is spread over all classes in the wanted answers.

    Returns:
        scores: Every score and every prediction, as JSON.
        table: The scores beside trivial baselines.
        metrics: Macro-F1 over all videos with its interval, mean over the folds, and the baselines.
    """
    from pathlib import Path

    from components.core import errors, local_files
    from components.core.parameters import check_values
    from components.core.tensorflow_startup import load_tensorflow
    from components.train.options import TrainingOptions

    with errors.exit_with_message():
        check_values(divide_by=divide_by, num_repeats=num_repeats, num_bootstrap=num_bootstrap)
        options = TrainingOptions(
            epochs=epochs,
            patience=patience,
            batch_size=batch_size,
            learning_rate=learning_rate,
            seed=seed,
            architecture=architecture,
            backbone=backbone,
            weights=weights,
            cached_versions=cached_versions,
            fine_tuning_epochs=fine_tuning_epochs,
            label_smoothing=label_smoothing,
        )
        load_tensorflow()
        from components.crossval.crossval import cross_validate

        result = cross_validate(Path(dataset.path), options, divide_by, num_repeats, num_bootstrap)
        local_files.write_files({scores.path: result.to_json().encode(), table.path: result.markdown().encode()})
        print(result.markdown())
        for name, value in result.metrics().items():
            metrics.log_metric(name, value)
