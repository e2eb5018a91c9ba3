"""How a classifier is fitted to a clip dataset: what train and prune have in common.

Clips are weighted such that every class counts alike, in the training loss and in the validation loss. The best epoch is the one with the
highest macro-F1 on the validation clips; because few clips give few distinct values, the lower validation loss decides between equals.

Every random draw (order of the clips, augmentation, dropout) depends on the seed and on the number of the step alone, so a training that
goes on from a checkpoint (core.models.checkpoints) ends as if it had not been interrupted.
"""

import contextlib
import dataclasses
import logging
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
import tf_keras
from tqdm import tqdm

from components.core.errors import DataError, Interrupted
from components.core.files import disk_faults
from components.core.models import heads
from components.core.models.checkpoints import Checkpoints, Progress
from components.core.models.dataset import failures_of_shards
from components.core.models.epochs import MACRO_F1, BestEpoch, History
from components.core.models.examples import ClipExamples
from components.core.models.features import FeatureExamples

_log = logging.getLogger(__name__)


def make_reproducible(seed: int) -> None:
    """Seeds every random generator and makes TensorFlow use deterministic kernels only; holds for the whole process."""
    tf_keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    # Dropout draws from generators that can be set to a state, which Keras' default ones cannot.
    tf_keras.backend.experimental.enable_tf_random_generator()


def compile_classifier(model: tf_keras.Model, optimizer: Any, label_smoothing: float = 0.0) -> None:
    """Gives a classifier the losses, whose sum counts, and the metric that this project trains and selects by."""
    losses = {name: tf_keras.losses.BinaryCrossentropy() for name in heads.by_head(model.output)}
    losses[heads.CLASSES] = tf_keras.losses.CategoricalCrossentropy(label_smoothing=label_smoothing)
    metrics: dict[str, list[Any]] = {name: [] for name in losses}
    metrics[heads.CLASSES] = [tf_keras.metrics.F1Score(average="macro", name=MACRO_F1)]
    model.compile(optimizer, loss=heads.like_the_model(losses), metrics=heads.like_the_model(metrics), weighted_metrics=[])


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How long and how fast a classifier is trained.

    Attributes:
        epochs: largest number of passes over the training examples.
        batch_size: examples in a training step.
        learning_rate: step size of Adam in the first step.
        seed: of the order of the examples, of their augmentation and of the dropout.
        cosine: whether the step size falls to zero along a half cosine; else it stays.
        label_smoothing: part of the probability that is spread over all classes in the wanted answers.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    seed: int
    cosine: bool = False
    label_smoothing: float = 0.0


def steps_per_epoch(num_examples: int, batch_size: int) -> int:
    """Returns the number of training batches in an epoch."""
    return math.ceil(num_examples / batch_size)


def fit_classifier(
    model: tf_keras.Model,
    examples: ClipExamples | FeatureExamples,
    best: BestEpoch,
    schedule: Schedule,
    callbacks: Sequence[tf_keras.callbacks.Callback] = (),
    checkpoints: Checkpoints | None = None,
    phase: str = "training",
) -> History:
    """Fits a classifier; afterwards the model has the weights of the best epoch.

    Args:
        model: inputs of the examples → probabilities; it is compiled here, for the distribution strategy that it was built under.
        examples: what to learn from and to choose by.
        best: decides which epoch is the best.
        schedule: how long and how fast.
        callbacks: Keras callbacks that run before `best` in each epoch.
        checkpoints: where to save the state after every epoch and when the process is asked to end, and to go on from; None saves nothing.
        phase: name of this training among those of a run, for the checkpoints.

    Returns:
        Per epoch: loss, macro_f1, val_loss, val_macro_f1, of a model with findings also the losses of its heads; and wait_share, the part
        of the training time that was spent waiting for data.

    Raises:
        DataError: the dataset cannot be used, the loss is no longer a number, or the memory is too small for the batch.
        Interrupted: the process was asked to end; the state was saved if there are checkpoints.
    """
    steps = steps_per_epoch(examples.num_training, schedule.batch_size)
    with model.distribute_strategy.scope():
        rate = tf_keras.optimizers.schedules.CosineDecay(schedule.learning_rate, schedule.epochs * steps) if schedule.cosine else None
        compile_classifier(model, tf_keras.optimizers.Adam(rate or schedule.learning_rate, clipnorm=1.0), schedule.label_smoothing)
        model.optimizer.build(model.trainable_variables)
    progress = Progress(phase)
    if checkpoints and checkpoints.exists():
        nothing = tf.zeros((1, *model.input_shape[1:]), model.inputs[0].dtype)
        targets = tf.nest.map_structure(lambda output: tf.zeros((1, output.shape[-1])), model.output)
        model.test_on_batch(nothing, targets)  # makes the variables of the metrics
        progress = checkpoints.restore(phase, model, best) or progress
    if progress.finished:
        return progress.history
    if progress.epoch or progress.step:
        _log.info("going on in epoch %d of %d, after %d steps of it", progress.epoch + 1, schedule.epochs, progress.step)
    keras_callbacks = tf_keras.callbacks.CallbackList([*callbacks, best], model=model, epochs=schedule.epochs, steps=steps, verbose=0)
    loop = _Loop(model, examples, schedule, steps, keras_callbacks, checkpoints, best)
    with failures_of_training(schedule, getattr(examples, "dataset_path", None)):
        model.stop_training = False
        keras_callbacks.on_train_begin()
        while progress.epoch < schedule.epochs and not model.stop_training:
            progress = loop.run_epoch(progress)
        keras_callbacks.on_train_end()
    if checkpoints:
        progress = dataclasses.replace(progress, finished=True)
        checkpoints.save(progress, model, best)
    return progress.history


@dataclasses.dataclass
class _Loop:
    """Runs epochs step by step, so that one can stop after any step and go on from there."""

    model: tf_keras.Model
    examples: ClipExamples | FeatureExamples
    schedule: Schedule
    steps: int
    callbacks: tf_keras.callbacks.CallbackList
    checkpoints: Checkpoints | None
    best: BestEpoch

    def __post_init__(self) -> None:
        self._strategy = self.model.distribute_strategy
        self._validation = self.examples.validation(self.schedule.batch_size)
        self._batches: Iterator[Any] | None = None
        self._dropouts = [layer for layer in self.model._flatten_layers() if isinstance(layer, tf_keras.layers.Dropout)]

        @tf.function
        def step(batch: Any) -> Any:
            return self._strategy.run(self.model.train_step, (batch,))

        self._step = step

    def run_epoch(self, progress: Progress) -> Progress:
        """Runs one epoch, or what is left of it, and returns the progress after it."""
        epoch, first_step = progress.epoch, progress.step
        if self._batches is None:
            dataset = self.examples.training(self.schedule.batch_size, self.schedule.seed, epoch * self.steps + first_step)
            self._batches = iter(self._strategy.experimental_distribute_dataset(dataset))
        if not first_step:
            self.model.reset_metrics()
        self.callbacks.on_epoch_begin(epoch)
        started_s, waited_s = time.perf_counter(), 0.0
        # disable=None: no bar where nobody watches
        for step in tqdm(range(first_step, self.steps), desc=f"epoch {epoch + 1}", unit="step", leave=False, disable=None):
            self.callbacks.on_train_batch_begin(step)
            self._seed_dropout(epoch * self.steps + step)
            asked_s = time.perf_counter()
            batch = next(self._batches)
            waited_s += time.perf_counter() - asked_s
            self._step(batch)
            logs = _results(self.model)
            self._check_loss(logs["loss"], epoch)
            self.callbacks.on_train_batch_end(step, logs)
            if self.checkpoints and self.checkpoints.end_is_asked:
                self._stop(dataclasses.replace(progress, step=step + 1))
        logs = _results(self.model)
        wait_share = waited_s / (time.perf_counter() - started_s)
        self.model.evaluate(self._validation, verbose=0)
        logs |= {f"val_{name}": value for name, value in _results(self.model).items()} | {"wait_share": wait_share}
        self.callbacks.on_epoch_end(epoch, logs)
        self._tell(epoch, logs, time.perf_counter() - started_s)
        history = {name: [*progress.history.get(name, []), value] for name, value in logs.items()}
        progress = dataclasses.replace(progress, epoch=epoch + 1, step=0, history=history, finished=self.model.stop_training)
        if self.checkpoints:
            self.checkpoints.save(progress, self.model, self.best)
            if self.checkpoints.end_is_asked:
                self._stop(progress)
        return progress

    def _tell(self, epoch: int, logs: dict[str, float], took_s: float) -> None:
        """Logs one line."""
        measured = (logs[name] for name in ("loss", MACRO_F1, "val_loss", f"val_{MACRO_F1}"))
        _log.info(
            "epoch %*d/%d: loss %.3f, macro-F1 %.3f; validation loss %.3f, macro-F1 %.3f; %.1f s, %.0f %% of it waiting for data%s",
            len(str(self.schedule.epochs)),
            epoch + 1,
            self.schedule.epochs,
            *measured,
            took_s,
            100 * logs["wait_share"],
            ", best so far" if self.best.epoch == epoch else "",
        )

    def _seed_dropout(self, step: int) -> None:
        """Makes what dropout draws in a step depend on the seed and the number of the step alone."""
        for number, layer in enumerate(self._dropouts):
            generator = layer._random_generator._generator  # Keras shows it nowhere else
            if generator is not None:
                generator.reset_from_seed(hash((self.schedule.seed, step, number)) % 2**31)

    def _check_loss(self, loss: float, epoch: int) -> None:
        if math.isfinite(loss):
            return
        best = f"; the best epoch before was {self.best.epoch + 1}" if self.best.logs else ""
        kept = f", and the state after epoch {epoch} is kept in {self.checkpoints.uri!r}" if self.checkpoints and epoch else ""
        raise DataError(
            f"the loss became {loss} in epoch {epoch + 1}{best}{kept}; "
            f"give a learning_rate lower than {self.schedule.learning_rate:g} or look for damaged clips."
        )

    def _stop(self, progress: Progress) -> None:
        assert self.checkpoints
        self.checkpoints.save(progress, self.model, self.best)
        raise Interrupted(
            f"training was asked to end in epoch {progress.epoch + 1} after {progress.step} of {self.steps} steps; "
            f"start it again with the same parameters and it goes on from {self.checkpoints.uri!r}."
        )


@contextlib.contextmanager
def failures_of_training(schedule: Schedule, dataset_path: Path | None) -> Iterator[None]:
    """Turns what TensorFlow raises in the block about shards and memory into a DataError."""
    with failures_of_shards(dataset_path) if dataset_path else contextlib.nullcontext():
        try:
            yield
        except (tf.errors.ResourceExhaustedError, MemoryError) as error:
            if disk_faults.sentence_about(error):
                raise  # TensorFlow says the same of a full disk
            advice = f"try --batch-size {schedule.batch_size // 2}" if schedule.batch_size > 1 else "use a device with more memory"
            raise DataError(f"the memory is too small for batches of {schedule.batch_size} clips; {advice}.") from None


def _results(model: tf_keras.Model) -> dict[str, float]:
    """Returns what the metrics of a model say; that of the classes has the same name whether or not there are other heads."""
    results = {metric.name: float(metric.result()) for metric in model.metrics}
    return {MACRO_F1 if name.endswith(MACRO_F1) else name: value for name, value in results.items()}


def score_on_validation(model: tf_keras.Model, dataset_path: Path, batch_size: int) -> dict[str, float]:
    """Returns `loss` and `macro_f1` of a classifier on the validation clips, as fit_classifier does; the model is compiled here.

    Raises:
        DataError: the dataset cannot be used.
    """
    compile_classifier(model, tf_keras.optimizers.Adam())
    with failures_of_shards(dataset_path):
        model.evaluate(ClipExamples.of(dataset_path).validation(batch_size), verbose=0)
    return _results(model)
