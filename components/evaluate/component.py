"""Interface of the evaluate step."""

from kfp import dsl

from components.core import images


@dsl.component(base_image=images.TRAIN, packages_to_install=[], install_kfp_package=False)
def evaluate(
    dataset: dsl.Input[dsl.Dataset],
    dense_model: dsl.Input[dsl.Model],
    pruned_model: dsl.Input[dsl.Model],
    storage: str,
    metrics: dsl.Output[dsl.Metrics],
    classification_metrics: dsl.Output[dsl.ClassificationMetrics],
    report: dsl.Output[dsl.HTML],
    evaluation: dsl.Output[dsl.Artifact],
    num_bootstrap: int = 1000,
    batch_size: int = 8,
    seed: int = 0,
):
    """Evaluates the models on the same test videos.

    They are the dense model, the pruned model and the current champion.

    Args:
        dataset: The clip dataset of preprocess; its test split is used.
        dense_model: The model of train.
        pruned_model: The model of prune.
        storage: Where the project keeps videos, splits and models; the champion there is evaluated too when it knows the same classes.
        num_bootstrap: Bootstrap replicates, of whole groups, behind the 95 % intervals; 0 for none.
        batch_size: Clips that a model sees at a time.
        seed: Seed of the bootstrap.

    Returns:
        metrics: Macro-F1 per video and per clip of every model, with interval, beside the majority-class baseline.
        classification_metrics: Of the pruned model, per video: confusion matrix, and the ROC curve of covid against the rest.
        report: One HTML file: scores with intervals, trivial baselines, slices, mistakes, attribution, data flow, model card.
        evaluation: All numbers as JSON, for promote and for people.
    """
    from pathlib import Path

    from components.core import process
    from components.core.files import outputs
    from components.core.models import tensorflow_startup
    from components.core.parameters import check_values

    with process.exit_with_message():
        check_values(num_bootstrap=num_bootstrap, batch_size=batch_size, seed=seed)
        tensorflow_startup.load_tensorflow()
        from components.evaluate.evaluate import evaluate_models
        from components.evaluate.report import render_report

        result = evaluate_models(
            Path(dataset.path), Path(dense_model.path), Path(pruned_model.path), storage, num_bootstrap, batch_size, seed
        )
        outputs.write_files({evaluation.path: result.to_json().encode(), report.path: render_report(result).encode()})
        for name, value in result.metrics().items():
            metrics.log_metric(name, value)
        classification_metrics.log_confusion_matrix(result.class_names, result.confusion_of_pruned())
        if roc := result.roc_of_pruned():
            classification_metrics.log_roc_curve(*roc)
        print(result.summary())
