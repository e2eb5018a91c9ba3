"""Interface of the train step."""

from kfp import dsl

from components.core import images


@dsl.component(base_image=images.TRAIN, packages_to_install=[], install_kfp_package=False)
def train(
    dataset: dsl.Input[dsl.Dataset],
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    curves: dsl.Output[dsl.HTML],
    epochs: int = 30,
    patience: int = 12,
    batch_size: int = 8,
    learning_rate: float = 0.001,
    seed: int = 0,
    architecture: str = "convlstm2d",
    backbone: str = "efficientnet_lite0",
    weights: str = "imagenet",
    cached_versions: int = 4,
    fine_tuning_epochs: int = 0,
    label_smoothing: float = 0.05,
    storage: str = "",
    require_gpu: bool = False,
    num_trials: int = 0,
):
    """Trains a CNN with a recurrent layer on the clips.

    Fits the train split, and keeps the epoch of the second half with the best macro-F1 on the validation split.

    Args:
        dataset: Clip dataset, the output of preprocess.
        epochs: Largest number of passes over the train clips.
        patience: In the second half, training stops after so many epochs without a better macro-F1 on the validation clips.
        batch_size: Clips in a training step.
        learning_rate: Step size of the Adam optimizer in the first step; it falls to zero along a half cosine.
        seed: Seed of the first weights, the order of the clips and their augmentation.
        architecture: The recurrent layer: convlstm2d (over the CNN's maps), cnn_lstm or cnn_gru (over the means of the maps).
        backbone: The CNN: efficientnet_lite0 (knows ImageNet, needs no download); small (learns from scratch); or a network of Keras, such
            as mobilenet_v2.
        weights: Weights of a backbone of Keras: imagenet (downloaded), the URI of a weights file, or empty for random ones.
        cached_versions: Augmented versions of a clip whose features are kept while the backbone is frozen; 0 computes anew in every epoch.
        fine_tuning_epochs: Largest number of further passes, in which the upper blocks of a pretrained backbone learn, too, at a low rate.
        label_smoothing: Part of the probability that is spread over all classes in the wanted answers.
        storage: Where checkpoints are kept until the training has ended, so that a retry goes on where it stopped; empty for none.
        require_gpu: Fail when there is no GPU, instead of training on the CPU.
        num_trials: Trainings with other learning rates and label smoothing that are tried first, to take the best; 0 for none.

    Returns:
        model: The classifier (model.keras), its metadata, the log of the epochs and the picture of the training curves.
        metrics: Best epoch, its macro-F1 and loss on the validation clips, number of parameters, part of the time spent waiting for data.
        curves: Loss and macro-F1 of train and validation clips in every epoch.
    """
    from pathlib import Path

    from components.core import process
    from components.core.models.tensorflow_startup import load_tensorflow
    from components.train.options import TrainingOptions

    with process.exit_with_message():
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
            require_gpu=require_gpu,
            num_trials=num_trials,
        )
        load_tensorflow()
        from components.train.trainer import train_classifier

        results = train_classifier(Path(dataset.path), Path(model.path), Path(curves.path), options, storage)
        for name, value in results.items():
            metrics.log_metric(name, value)
