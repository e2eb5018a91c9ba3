"""What a schedule runs: ingest, and the whole training DAG only when there is something new; at the end, people are told.

The training DAG has an ingest of its own, which finds every video stored already. Only a cluster runs this pipeline: local runners do not
take conditions and exit handlers as a cluster does.
"""

import inspect
from typing import Any

from kfp import dsl

from components.decide_training.component import decide_training
from components.ingest.component import ingest
from components.notify.component import notify
from components.record_training.component import record_training
from pipelines.resources import apply_resources
from pipelines.training import default_of, training

PIPELINE_NAME = "lung-ultrasound-retraining"
_OWN = {"max_age_days": int, "force": bool}


def retraining_of(training: Any) -> Any:
    """Returns the pipeline; it has the parameters of the training pipeline, and those of the decision.

    Args:
        training: the training pipeline, traced as its steps are to be placed.
    """
    taken = inspect.signature(training.pipeline_func).parameters
    own = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=kind, default=default_of(decide_training, name))
        for name, kind in _OWN.items()
    ]

    def retraining(*channels: Any) -> None:
        values = dict(zip([*taken, *_OWN], channels, strict=True))
        with dsl.ExitHandler(apply_resources(notify(storage=values["storage"])), name="retraining"):
            ingested = apply_resources(ingest(**{name: values[name] for name in ingest.component_spec.inputs}))
            ingested.set_caching_options(enable_caching=False)
            decided = apply_resources(
                decide_training(videos=ingested.outputs["videos"], storage=values["storage"], **{name: values[name] for name in _OWN})
            )
            decided.set_caching_options(enable_caching=False)
            with dsl.If(decided.outputs["Output"] == True, name="something-new"):  # noqa: E712 (kfp records the comparison)
                trained = training(**{name: values[name] for name in taken})
                recorded = apply_resources(
                    record_training(videos=ingested.outputs["videos"], evaluation=trained.outputs["evaluation"], storage=values["storage"])
                )
                recorded.set_caching_options(enable_caching=False)

    retraining.__signature__ = inspect.Signature([*taken.values(), *own])  # type: ignore[attr-defined]
    retraining.__doc__ = _description(training)
    return dsl.pipeline(name=PIPELINE_NAME)(retraining)


def _description(training: Any) -> str:
    inputs = {**training.component_spec.inputs, **{name: decide_training.component_spec.inputs[name] for name in _OWN}}
    lines = [f"    {name}: {spec.description}" for name, spec in inputs.items()]
    return "Collects videos, and trains, evaluates and promotes a classifier when there is something new.\n\nArgs:\n" + "\n".join(lines)


retraining = retraining_of(training)
