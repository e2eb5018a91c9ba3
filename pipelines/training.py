"""The training DAG: wiring only. Every parameter has the default and the help text of the step that takes it.

A cluster's cache knows a step by its parameters and by the names of its input artifacts, which are new whenever their producer has run. So
preprocess takes the list of videos as a parameter, a URI that changes with what is in the list: when ingest finds what it found before,
preprocess is taken from the cache, and train and prune with it. A dataset from the cache has the splits that it was made with. They still
hold: they were written to splits.json before the dataset appeared, and a group keeps its split for life. Who deletes groups there, to have
them split anew, must give another seed as well.
"""

import typing
from collections.abc import Callable, Sequence
from typing import Any

from kfp import dsl

from components.evaluate.component import evaluate
from components.ingest.component import ingest
from components.preprocess.component import preprocess
from components.promote.component import promote
from components.prune.component import prune
from components.train.component import train
from pipelines.resources import apply_resources

PIPELINE_NAME = "lung-ultrasound-training"
STEPS = (ingest, preprocess, train, prune, evaluate, promote)


class Outputs(typing.NamedTuple):
    """What a run of the pipeline gives."""

    dataset_report: dsl.HTML
    model: dsl.Model
    evaluation: dsl.Artifact
    report: dsl.HTML
    decision: dsl.Markdown


def default_of(component: Any, parameter: str) -> Any:
    """Returns the default of a step's parameter."""
    return component.component_spec.inputs[parameter].default


def _training(
    manifest: str,
    storage: str,
    sources: str = default_of(ingest, "sources"),
    classes: str = default_of(ingest, "classes"),
    probes: str = default_of(ingest, "probes"),
    anatomies: str = default_of(ingest, "anatomies"),
    licences: str = default_of(ingest, "licences"),
    drop_in: str = default_of(ingest, "drop_in"),
    cookies: str = default_of(ingest, "cookies"),
    recheck: bool = default_of(ingest, "recheck"),
    max_gigabytes: float = default_of(ingest, "max_gigabytes"),
    min_videos_per_class: int = default_of(ingest, "min_videos_per_class"),
    sampling: str = default_of(preprocess, "sampling"),
    frames_per_second: float = default_of(preprocess, "frames_per_second"),
    max_clips_per_video: int = default_of(preprocess, "max_clips_per_video"),
    test_fraction: float = default_of(preprocess, "test_fraction"),
    validation_fraction: float = default_of(preprocess, "validation_fraction"),
    num_folds: int = default_of(preprocess, "num_folds"),
    num_shards: int = default_of(preprocess, "num_shards"),
    keep_other: bool = default_of(preprocess, "keep_other"),
    num_workers: int = default_of(preprocess, "num_workers"),
    beam_options: str = default_of(preprocess, "beam_options"),
    epochs: int = default_of(train, "epochs"),
    patience: int = default_of(train, "patience"),
    batch_size: int = default_of(train, "batch_size"),
    learning_rate: float = default_of(train, "learning_rate"),
    architecture: str = default_of(train, "architecture"),
    backbone: str = default_of(train, "backbone"),
    weights: str = default_of(train, "weights"),
    cached_versions: int = default_of(train, "cached_versions"),
    fine_tuning_epochs: int = default_of(train, "fine_tuning_epochs"),
    label_smoothing: float = default_of(train, "label_smoothing"),
    require_gpu: bool = default_of(train, "require_gpu"),
    sparsity: float = default_of(prune, "sparsity"),
    pruning_epochs: int = default_of(prune, "pruning_epochs"),
    sparsity_pattern: str = default_of(prune, "sparsity_pattern"),
    curve_sparsities: str = default_of(prune, "curve_sparsities"),
    num_bootstrap: int = default_of(evaluate, "num_bootstrap"),
    min_macro_f1: float = default_of(promote, "min_macro_f1"),
    tolerance: float = default_of(promote, "tolerance"),
    max_p_value: float = default_of(promote, "max_p_value"),
    seed: int = default_of(train, "seed"),
) -> Outputs:
    ingested = apply_resources(
        ingest(
            manifest=manifest,
            storage=storage,
            sources=sources,
            classes=classes,
            probes=probes,
            anatomies=anatomies,
            licences=licences,
            drop_in=drop_in,
            cookies=cookies,
            recheck=recheck,
            max_gigabytes=max_gigabytes,
            min_videos_per_class=min_videos_per_class,
        )
    )
    # Storage and the outside world change without a change of the parameters, so these steps are never taken from a cache.
    ingested.set_caching_options(enable_caching=False)
    preprocessed = apply_resources(
        preprocess(
            videos=ingested.outputs["videos_uri"],
            storage=storage,
            sampling=sampling,
            frames_per_second=frames_per_second,
            max_clips_per_video=max_clips_per_video,
            test_fraction=test_fraction,
            validation_fraction=validation_fraction,
            num_folds=num_folds,
            num_shards=num_shards,
            keep_other=keep_other,
            num_workers=num_workers,
            beam_options=beam_options,
            seed=seed,
        )
    )
    dataset = preprocessed.outputs["dataset"]
    trained = apply_resources(
        train(
            dataset=dataset,
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
            storage=storage,
            require_gpu=require_gpu,
        )
    )
    pruned = apply_resources(
        prune(
            dataset=dataset,
            dense_model=trained.outputs["model"],
            sparsity=sparsity,
            pruning_epochs=pruning_epochs,
            batch_size=batch_size,
            seed=seed,
            sparsity_pattern=sparsity_pattern,
            curve_sparsities=curve_sparsities,
        )
    )
    evaluated = apply_resources(
        evaluate(
            dataset=dataset,
            dense_model=trained.outputs["model"],
            pruned_model=pruned.outputs["pruned_model"],
            storage=storage,
            num_bootstrap=num_bootstrap,
            batch_size=batch_size,
            seed=seed,
        )
    )
    evaluated.set_caching_options(enable_caching=False)
    promoted = apply_resources(
        promote(
            model=pruned.outputs["pruned_model"],
            evaluation=evaluated.outputs["evaluation"],
            report=evaluated.outputs["report"],
            storage=storage,
            min_macro_f1=min_macro_f1,
            tolerance=tolerance,
            max_p_value=max_p_value,
        )
    )
    promoted.set_caching_options(enable_caching=False)
    return Outputs(  # type: ignore[call-arg]
        dataset_report=preprocessed.outputs["dataset_report"],
        model=pruned.outputs["pruned_model"],
        evaluation=evaluated.outputs["evaluation"],
        report=evaluated.outputs["report"],
        decision=promoted.outputs["decision"],
    )


def described(function: Callable[..., Any], purpose: str, steps: Sequence[Any], **own: str) -> str:
    """Returns the docstring of a pipeline; the text of a parameter is that of the first step that takes it.

    Args:
        function: the wiring of the pipeline.
        purpose: its first sentence.
        steps: the components that it runs.
        own: texts of parameters that no step describes, or not as a whole.
    """
    descriptions = dict(own)
    for step in steps:
        for name, spec in step.component_spec.inputs.items():
            descriptions.setdefault(name, spec.description)
    names = [name for name in typing.get_type_hints(function) if name != "return"]
    return "\n".join([purpose, "", "Args:", *(f"    {name}: {descriptions[name]}" for name in names)])


_training.__doc__ = described(
    _training,
    "Turns lung-ultrasound videos into a pruned, evaluated and promoted classifier.",
    STEPS,
    seed="Seed of the splits, the first weights, the augmentation and the bootstrap.",
)
training = dsl.pipeline(name=PIPELINE_NAME)(_training)
