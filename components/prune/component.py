"""Interface of the prune step."""

from kfp import dsl

from components.core import images


@dsl.component(base_image=images.TRAIN, packages_to_install=[], install_kfp_package=False)
def prune(
    dataset: dsl.Input[dsl.Dataset],
    dense_model: dsl.Input[dsl.Model],
    pruned_model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.HTML],
    sparsity: float = 0.8,
    pruning_epochs: int = 12,
    batch_size: int = 8,
    learning_rate: float = 0.0005,
    seed: int = 0,
    sparsity_pattern: str = "unstructured",
    curve_sparsities: str = "",
):
    """Makes most weights of a classifier zero, and exports it.

    Sets the smallest weights to zero, step by step, while it is trained further.

    Args:
        dataset: Clip dataset that the dense model was trained on, the output of preprocess.
        dense_model: Classifier to prune, the output of train.
        sparsity: Part of the kernels that becomes zero: 0.8 leaves every fifth weight, 0 only trains further. Depthwise convolutions,
            frozen layers and networks of Keras that are applied to each frame stay as they are.
        pruning_epochs: Passes over the train clips; the sparsity is reached after two thirds of them.
        batch_size: Clips in a training step.
        learning_rate: Step size of the Adam optimizer.
        seed: Seed of the order of the clips and of their augmentation.
        sparsity_pattern: Where zeros may be: unstructured (anywhere), or 2by4 (two of four weights of each kernel row; needs sparsity 0.5).
        curve_sparsities: Other sparsities to draw a curve with, like 0.5,0.9; each, and 0 besides, takes as long as the pruning itself.

    Returns:
        pruned_model: The pruned classifier (model.keras), its exports (SavedModel and TFLite in four widths), metadata, log and kernels.
        metrics: Zeros in the kernels, macro-F1 on the validation clips and size on disk, plain and gzipped, before and after.
        summary: Accuracy, size and latency of every exported file beside the dense model, the zeros of every kernel, and the curve.
    """
    from pathlib import Path

    from components.core import process
    from components.core.models.tensorflow_startup import load_tensorflow
    from components.prune.options import PruningOptions

    with process.exit_with_message():
        options = PruningOptions(
            sparsity=sparsity,
            pruning_epochs=pruning_epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            seed=seed,
            sparsity_pattern=sparsity_pattern,
            curve_sparsities=curve_sparsities,
        )
        load_tensorflow()
        from components.prune.pruning import prune_classifier

        results = prune_classifier(Path(dataset.path), Path(dense_model.path), Path(pruned_model.path), Path(summary.path), options)
        for name, value in results.items():
            metrics.log_metric(name, value)
