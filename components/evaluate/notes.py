"""The sentences that a reader of an evaluation must not miss."""

from collections.abc import Iterator, Mapping, Sequence

from components.core.statistics.comparisons import PatientScore
from components.evaluate.baselines import MAJORITY, Baseline
from components.evaluate.data_flow import DataFlow
from components.evaluate.evaluation import CHAMPION, PRUNED, RULE, EvaluatedModel, TestSet

PHANTOM_SOURCE = "phantom"
SUSPICIOUS = 0.95  # macro-F1 over videos, AUC over patients
FEW_GROUPS = 5
MANY_STRANGE = 0.2  # with a limit from few validation videos, more than one in twenty is no news


def notes_on(
    test_set: TestSet,
    baselines: Sequence[Baseline],
    flow: DataFlow,
    models: dict[str, EvaluatedModel],
    patients: Mapping[str, Mapping[str, PatientScore]],
    num_strange: int | None,
    num_bootstrap: int,
    dataset_fingerprint: str,
) -> Iterator[str]:
    """Yields what qualifies the scores: leaks, toy data, scores too good to be true, undefined scores, baselines that do as well."""
    for leak in flow.leaks:
        if leak.num_offences:
            yield f"LEAK: {leak.num_offences} {leak.subject} are in more than one split, such as {leak.examples[0]}; trust no score."
    if set(test_set.sources) == {PHANTOM_SOURCE}:
        yield "All test videos are phantoms drawn by a program: toy data that shows the pipeline at work and nothing about patients."
    else:
        yield from _suspicions(models, patients)
    for name, tally in test_set.classes.items():
        if not tally.videos:
            yield f"No test video is of class {name}: its scores are undefined, and means are over the other classes."
    few = [f"{tally.groups} of {name}" for name, tally in test_set.classes.items() if 0 < tally.groups < FEW_GROUPS]
    if few:
        yield f"The test split has few groups ({', '.join(few)}): the intervals look surer than they are."
    yield from _as_good(baselines, models[PRUNED].video_scores.macro_f1)
    for name, of in patients[PRUNED].items():
        if of.difference.value is not None and of.difference.value <= 0:
            yield (
                f"A thumbnail tells {name} per patient as well as the pruned model or better "
                f"(AUC {of.thumbnail.value:.2f} against {of.auc.value:.2f})."
            )
    if num_strange and num_strange > MANY_STRANGE * test_set.total.videos:
        yield (
            f"{num_strange} of {test_set.total.videos} test videos are unlike the train videos to the pruned model, where one in twenty is "
            "usual: these splits differ in more than chance, and scores may not hold for either."
        )
    if num_bootstrap and models[PRUNED].interval is None:
        yield "The test split has too few groups for an interval: most bootstrap replicates lack a class."
    champion = models.get(CHAMPION)
    if champion and champion.metadata.dataset_fingerprint != dataset_fingerprint:
        yield (
            "The champion was trained on another version of the dataset; groups keep their split for life, "
            "so these test videos are new to it as long as the splits in storage were kept."
        )


def _as_good(baselines: Sequence[Baseline], macro_f1: float) -> Iterator[str]:
    for baseline in baselines:
        if baseline.scores and baseline.scores.macro_f1 >= macro_f1:
            what = "always gives the most frequent class" if baseline.name == MAJORITY else f"sees only {baseline.sees}"
            yield f"A classifier that {what} does as well as the pruned model or better ({baseline.scores.macro_f1:.2f})."


def _suspicions(models: dict[str, EvaluatedModel], patients: Mapping[str, Mapping[str, PatientScore]]) -> Iterator[str]:
    for model in models.values():
        if model.video_scores.macro_f1 > SUSPICIOUS:
            yield (
                f"The {model.name} model's macro-F1 of {model.video_scores.macro_f1:.2f} is too good to be true on real lung ultrasound: "
                "look for a leak first, such as one patient, recording or device on both sides of the split."
            )
    for by, of_classes in patients.items():
        for name, of in of_classes.items():
            if (of.auc.value or 0) > SUSPICIOUS:
                teller = "rule for patients" if by == RULE else f"{by} model"
                yield (
                    f"That the {teller} tells {name} per patient with an AUC of {of.auc.value:.2f} is too good to be true on real lung "
                    "ultrasound: look first whether the class comes from sources or devices of its own."
                )
