"""Interface of the compare step."""

from kfp import dsl

from components.core import images


@dsl.component(base_image=images.TRAIN, packages_to_install=[], install_kfp_package=False)
def compare(
    dataset: dsl.Input[dsl.Dataset],
    convlstm2d: dsl.Input[dsl.Model],
    cnn_lstm: dsl.Input[dsl.Model],
    cnn_gru: dsl.Input[dsl.Model],
    table: dsl.Output[dsl.Markdown],
    metrics: dsl.Output[dsl.Metrics],
    num_bootstrap: int = 1000,
    batch_size: int = 8,
    seed: int = 0,
):
    """Compares the architectures on the validation videos.

    Args:
        dataset: Clip dataset that the models were trained on, the output of preprocess.
        convlstm2d: Model with a convolutional LSTM, the output of train.
        cnn_lstm: Model with an LSTM over the frames, the output of train.
        cnn_gru: Model with a GRU over the frames, the output of train.
        num_bootstrap: Bootstrap replicates, of whole groups, behind the 95 % interval of macro-F1; 0 for none.
        batch_size: Clips that a model sees at a time.
        seed: Seed of the bootstrap.

    Returns:
        table: The architectures, best first: macro-F1 per video with its interval, size, latency and what they were trained with.
        metrics: Macro-F1 per video of every architecture.
    """
    from pathlib import Path

    from components.core import process
    from components.core.files import outputs
    from components.core.models.tensorflow_startup import load_tensorflow
    from components.core.parameters import check_values

    with process.exit_with_message():
        check_values(num_bootstrap=num_bootstrap, batch_size=batch_size, seed=seed)
        load_tensorflow()
        from components.compare.compare import compare_models

        paths = {"convlstm2d": convlstm2d.path, "cnn_lstm": cnn_lstm.path, "cnn_gru": cnn_gru.path}
        models = {architecture: Path(path) for architecture, path in paths.items()}
        comparison = compare_models(Path(dataset.path), models, num_bootstrap, batch_size, seed)
        outputs.write_files({table.path: comparison.to_markdown().encode()})
        for name, value in comparison.metrics().items():
            metrics.log_metric(name, value)
        print(comparison.to_markdown())
