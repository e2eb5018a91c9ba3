"""The sentences that a reader of an evaluation must not miss."""

from collections.abc import Iterator

from components.evaluate.evaluation import CHAMPION, PRUNED, Baseline, EvaluatedModel, TestSet

PHANTOM_SOURCE = "phantom"
SUSPICIOUS_MACRO_F1 = 0.95


def notes_on(
    test_set: TestSet, baseline: Baseline, models: dict[str, EvaluatedModel], num_bootstrap: int, dataset_fingerprint: str
) -> Iterator[str]:
    """Yields what qualifies the scores: toy data, scores too good to be true, undefined scores."""
    if set(test_set.sources) == {PHANTOM_SOURCE}:
        yield "All test videos are phantoms drawn by a program: toy data that shows the pipeline at work and nothing about patients."
    else:
        yield from _suspicions(models)
    for name, tally in test_set.classes.items():
        if not tally.videos:
            yield f"No test video is of class {name}: its scores are undefined, and means are over the other classes."
    if models[PRUNED].video_scores.macro_f1 <= baseline.macro_f1:
        yield f"The pruned model is not better than always answering {baseline.class_name}."
    if num_bootstrap and models[PRUNED].interval is None:
        yield "The test split has too few groups for an interval: most bootstrap replicates lack a class."
    champion = models.get(CHAMPION)
    if champion and champion.metadata.dataset_fingerprint != dataset_fingerprint:
        yield (
            "The champion was trained on another version of the dataset; groups keep their split for life, "
            "so these test videos are new to it as long as the splits in storage were kept."
        )


def _suspicions(models: dict[str, EvaluatedModel]) -> Iterator[str]:
    for model in models.values():
        if model.video_scores.macro_f1 > SUSPICIOUS_MACRO_F1:
            yield (
                f"The {model.name} model's macro-F1 of {model.video_scores.macro_f1:.2f} is too good to be true on real lung ultrasound: "
                "look for a leak first, such as one patient, recording or device on both sides of the split."
            )
