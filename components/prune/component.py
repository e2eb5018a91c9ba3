"""Interface of the prune step."""

from kfp import dsl

from components.core import images


@dsl.component(base_image=images.TRAIN, packages_to_install=[], install_kfp_package=False)
def prune(
    dataset: dsl.Input[dsl.Dataset],
    dense_model: dsl.Input[dsl.Model],
    pruned_model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    sparsity: float = 0.8,
    pruning_epochs: int = 12,
    batch_size: int = 8,
    learning_rate: float = 0.0005,
    seed: int = 0,
):
    """Sets the smallest weights of a classifier to zero, step by step, while it is trained further.

    Args:
        dataset: Clip dataset that the dense model was trained on, the output of preprocess.
        dense_model: Classifier to prune, the output of train.
        sparsity: Part of every kernel that training changes which becomes zero: 0.8 leaves every fifth weight, 0 only trains further.
        pruning_epochs: Passes over the train clips; the sparsity is reached after two thirds of them.
        batch_size: Clips in a training step.
        learning_rate: Step size of the Adam optimizer.
        seed: Seed of the order of the clips and of their augmentation.

    Returns:
        pruned_model: The pruned classifier (model.keras), its metadata, the log of the epochs and the table of its kernels.
        metrics: Zeros in the kernels, macro-F1 on the validation clips and size on disk, plain and gzipped, before and after.
    """
    from pathlib import Path

    from components.core import errors
    from components.core.tensorflow_startup import load_tensorflow
    from components.prune.options import PruningOptions

    with errors.exit_with_message():
        options = PruningOptions(
            sparsity=sparsity, pruning_epochs=pruning_epochs, batch_size=batch_size, learning_rate=learning_rate, seed=seed
        )
        load_tensorflow()
        from components.prune.pruning import prune_classifier

        results = prune_classifier(Path(dataset.path), Path(dense_model.path), Path(pruned_model.path), options)
        for name, value in results.items():
            metrics.log_metric(name, value)
