"""What a schedule runs: ingest, and the rest of the training DAG only when there is something new; at the end, people are told.

Only a cluster runs this pipeline: local runners do not take conditions and exit handlers as a cluster does.
"""

from kfp import dsl

from components.decide_training.component import decide_training
from components.ingest.component import ingest
from components.notify.component import notify
from components.record_training.component import record_training
from pipelines.training import SEED, STEPS, WIRED, add_learning
from pipelines.wiring import Given, add_step, pipeline_of

PIPELINE_NAME = "lung-ultrasound-retraining"


def _retraining(given: Given) -> None:
    with dsl.ExitHandler(add_step(notify, given), name="retraining"):
        ingested = add_step(ingest, given, cached=False)
        decided = add_step(decide_training, given, cached=False, videos=ingested.outputs["videos"])
        with dsl.If(decided.outputs["Output"] == True, name="something-new"):  # noqa: E712 (kfp records the comparison)
            tasks = add_learning(given, ingested.outputs["videos_uri"])
            recorded = add_step(record_training, given, cached=False, evaluation=tasks.evaluate.outputs["evaluation"])
            # What was not brought to its end is not trained on.
            recorded.after(tasks.promote)


retraining = pipeline_of(
    PIPELINE_NAME,
    "Collects videos, and trains, evaluates and promotes a classifier when there is something new.",
    _retraining,
    (*STEPS, decide_training, record_training),
    wired=WIRED,
    seed=SEED,
)
