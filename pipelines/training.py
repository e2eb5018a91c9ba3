"""The training DAG: wiring only. Every parameter has the default and the help text of the step that takes it.

A cluster's cache knows a step by its parameters and by the names of its input artifacts, which are new whenever their producer has run. So
preprocess takes the list of videos as a parameter, a URI that changes with what is in the list: when ingest finds what it found before,
preprocess is taken from the cache, and train and prune with it. A dataset from the cache has the splits that it was made with. They still
hold: they were written to splits.json before the dataset appeared, and a group keeps its split for life. Who deletes groups there, to have
them split anew, must give another seed as well.
"""

import typing
from typing import Any

from kfp import dsl

from components.evaluate.component import evaluate
from components.ingest.component import ingest
from components.preprocess.component import preprocess
from components.promote.component import promote
from components.prune.component import prune
from components.train.component import train
from pipelines.wiring import Given, add_step, pipeline_of

PIPELINE_NAME = "lung-ultrasound-training"
STEPS = (ingest, preprocess, train, prune, evaluate, promote)
# What is taken from another step, though it has the form of a parameter.
WIRED = ("videos",)
SEED = "Seed of the splits, the first weights, the augmentation and the bootstrap."


class Outputs(typing.NamedTuple):
    """What a run of the pipeline gives."""

    dataset_report: dsl.HTML
    model: dsl.Model
    evaluation: dsl.Artifact
    report: dsl.HTML
    decision: dsl.Markdown


class Learning(typing.NamedTuple):
    """The tasks whose outputs a pipeline may want."""

    preprocess: dsl.PipelineTask
    prune: dsl.PipelineTask
    evaluate: dsl.PipelineTask
    promote: dsl.PipelineTask


def add_learning(given: Given, videos_uri: Any) -> Learning:
    """Adds the steps from the list of videos to the decision about the champion."""
    preprocessed = add_step(preprocess, given, videos=videos_uri)
    dataset = preprocessed.outputs["dataset"]
    dense = add_step(train, given, dataset=dataset).outputs["model"]
    pruned = add_step(prune, given, dataset=dataset, dense_model=dense)
    models = {"dense_model": dense, "pruned_model": pruned.outputs["pruned_model"]}
    # These two look at the champion, which changes without a change of their parameters.
    evaluated = add_step(evaluate, given, cached=False, dataset=dataset, **models)
    results = {name: evaluated.outputs[name] for name in ("evaluation", "report")}
    promoted = add_step(promote, given, cached=False, model=models["pruned_model"], **results)
    return Learning(preprocessed, pruned, evaluated, promoted)


def _training(given: Given) -> Outputs:
    # The outside world changes without a change of the parameters.
    ingested = add_step(ingest, given, cached=False)
    tasks = add_learning(given, ingested.outputs["videos_uri"])
    return Outputs(
        dataset_report=tasks.preprocess.outputs["dataset_report"],
        model=tasks.prune.outputs["pruned_model"],
        evaluation=tasks.evaluate.outputs["evaluation"],
        report=tasks.evaluate.outputs["report"],
        decision=tasks.promote.outputs["decision"],
    )


training = pipeline_of(
    PIPELINE_NAME,
    "Turns lung-ultrasound videos into a pruned, evaluated and promoted classifier.",
    _training,
    STEPS,
    wired=WIRED,
    seed=SEED,
)
