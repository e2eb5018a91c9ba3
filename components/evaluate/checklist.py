"""The items of two reporting guidelines, each filled from the evaluation, left to a human, or not applicable.

    CLAIM 2024    Tejani et al., Radiology: Artificial Intelligence 2024;6(4):e240300 (44 items)
    TRIPOD+AI     Collins et al., BMJ 2024;385:e078378 (27 items with their letters)

Numbers are theirs, the words are ours and shortened: fill in the originals. `filled` means that this page holds what the item asks about,
not that a reviewer will be content with it.
"""

import dataclasses
import enum
from collections.abc import Mapping

from components.evaluate.baselines import METADATA
from components.evaluate.evaluation import DENSE, PRUNED, Evaluation

CLAIM, TRIPOD_AI = "CLAIM 2024", "TRIPOD+AI"


class ItemStatus(enum.StrEnum):
    """Who has an item in hand."""

    FILLED = "filled"
    HUMAN = "needs a human"
    NOT_APPLICABLE = "not applicable"


FILLED, HUMAN, NOT_APPLICABLE = ItemStatus.FILLED, ItemStatus.HUMAN, ItemStatus.NOT_APPLICABLE


@dataclasses.dataclass(frozen=True)
class Item:
    """An item of a guideline.

    Attributes:
        guideline: CLAIM or TRIPOD_AI.
        number: of the item, with its letter.
        topic: what it is about.
        status: who has it in hand.
        answer: what can be said, or what a human must add.
    """

    guideline: str
    number: str
    topic: str
    status: ItemStatus
    answer: str


def checklist(evaluation: Evaluation) -> list[Item]:
    """Returns all items of both guidelines in their order."""
    return [*_claim(evaluation), *_tripod_ai(evaluation)]


def _claim(evaluation: Evaluation) -> list[Item]:
    says = _sentences(evaluation)
    rows = (
        ("1", "Title names the technology", HUMAN, "A deep-learning video classifier; write the title of your study."),
        ("2", "Structured abstract", HUMAN, "Write it; the headline of this page gives the main result."),
        ("3", "Background and role of the model", HUMAN, "The model card says what it is not for; add the clinical question."),
        ("4", "Aims and hypotheses", HUMAN, "State them before looking at this page."),
        ("5", "Prospective or retrospective", FILLED, "Retrospective: videos that others have published."),
        ("6", "Goal of the study", FILLED, "Making a classifier and measuring it on held-out groups."),
        ("7", "Sources of the data", FILLED, says["sources"]),
        ("8", "Inclusion and exclusion", FILLED, says["flow"]),
        ("9", "Preprocessing", FILLED, says["preprocessing"]),
        ("10", "Selection of parts of the data", FILLED, says["selection"]),
        (
            "11",
            "De-identification",
            HUMAN,
            "Done by the publishers of the videos, if at all; frames keep the sector only. Look for burnt-in text.",
        ),
        ("12", "Missing data", FILLED, says["missing"]),
        ("13", "Acquisition of the images", HUMAN, "Devices and settings differ by source and are mostly unknown."),
        ("14", "How the reference standard was obtained", HUMAN, "Labels are those of the publishers; find out how each source made them."),
        ("15", "Why this reference standard", HUMAN, "No other label is published with the videos; judge whether it is good enough."),
        ("16", "Who annotated", HUMAN, "The publishers; their qualification is mostly unknown."),
        ("17", "Annotation of the test data", HUMAN, "As for the train data: there was no second reading."),
        ("18", "Variability of annotators", HUMAN, "Not measured."),
        ("19", "Assignment to the splits", FILLED, says["split"]),
        ("20", "Level at which splits are disjoint", FILLED, says["leaks"]),
        ("21", "Intended sample size", HUMAN, "All usable videos were taken; no sample size was planned."),
        ("22", "The model in detail", FILLED, says["model"]),
        ("23", "Software", FILLED, f"This project at revision {evaluation.code_revision[:12]}; versions are pinned in docker/locks."),
        ("24", "Initial weights", FILLED, says["initial"]),
        ("25", "Training", FILLED, says["training"]),
        ("26", "Choice of the final model", FILLED, "The epoch with the best macro-F1 on the validation clips."),
        ("27", "Ensembles", NOT_APPLICABLE, "One network answers."),
        ("28", "Metrics", FILLED, "Per clip, video and patient: see Scores, Scores by class, and Certainty."),
        ("29", "Uncertainty", FILLED, says["intervals"]),
        ("30", "Robustness", FILLED, "See Parts of the test videos, and What can be told without the lung."),
        ("31", "Explainability", FILLED, "HiResCAM; see What the model looks at. It was not validated by readers."),
        ("32", "Evaluation on internal data", FILLED, says["test"]),
        ("33", "Testing on external data", HUMAN, "Not done: test videos come from the same collections."),
        ("34", "Registration of a clinical trial", NOT_APPLICABLE, "No trial."),
        ("35", "Numbers included and excluded", FILLED, says["flow"]),
        ("36", "Demographic and clinical characteristics", *_demography(evaluation)),
        ("37", "Performance and its uncertainty", FILLED, says["result"]),
        ("38", "Diagnostic performance and its precision", FILLED, "See Scores by class and Thresholds chosen on the validation videos."),
        ("39", "Analysis of failures", FILLED, "The most confident mistakes are shown; their causes need a reader's eye."),
        ("40", "Limitations", FILLED, "See Read this first and the model card."),
        ("41", "Meaning for practice", FILLED, "None yet: research and education only, not for diagnosis."),
        (
            "42",
            "Protocol and technical details",
            HUMAN,
            "The project's repository holds the technical details; no protocol was registered.",
        ),
        ("43", "Availability of software, model and data", FILLED, says["availability"]),
        ("44", "Funding", HUMAN, "State it."),
    )
    return [Item(CLAIM, *row) for row in rows]


def _tripod_ai(evaluation: Evaluation) -> list[Item]:
    says = _sentences(evaluation)
    rows = (
        ("1", "Title", HUMAN, "Name population, outcome, and that a model is developed and evaluated."),
        ("2", "Abstract", HUMAN, "Write it after the guideline for abstracts."),
        ("3a", "Healthcare context", HUMAN, "Add it, with existing models."),
        ("3b", "Target population and use", FILLED, "Research and education; no use on patients is intended."),
        ("3c", "Known inequalities", HUMAN, "Add them."),
        ("4", "Objectives", FILLED, "Development and evaluation of a classifier."),
        ("5a", "Sources of the data", FILLED, says["sources"]),
        ("5b", "Dates of the data", HUMAN, "The publishers mostly do not tell."),
        ("6a", "Setting", HUMAN, "Differs by source and is mostly unknown."),
        ("6b", "Eligibility", FILLED, says["flow"]),
        ("6c", "Treatments", NOT_APPLICABLE, "A diagnosis at the time of the recording; treatments are unknown."),
        ("7", "Preparation of the data", FILLED, says["preprocessing"]),
        ("8a", "Outcome", FILLED, f"One of {', '.join(evaluation.class_names)}, as the publisher labels the video."),
        ("8b", "Who assessed the outcome", HUMAN, "The publishers; find out."),
        ("8c", "Blinding of the assessment", HUMAN, "Unknown."),
        ("9a", "Choice of predictors", FILLED, "The video alone."),
        ("9b", "Definition of predictors", FILLED, "Grey values of 14 frames of 224 × 224 pixels."),
        ("9c", "Who assessed the predictors", NOT_APPLICABLE, "No human reads the video."),
        ("10", "Sample size", HUMAN, "All usable videos were taken; justify that."),
        ("11", "Missing data", FILLED, says["missing"]),
        ("12a", "Use of the data", FILLED, says["split"]),
        ("12b", "Handling of predictors", FILLED, says["preprocessing"]),
        ("12c", "Type of model and how it was built", FILLED, says["model"]),
        ("12d", "Heterogeneity between clusters", FILLED, "By source: see Parts of the test videos."),
        ("12e", "Performance measures", FILLED, "Discrimination, calibration and thresholds; clinical utility was not measured."),
        ("12f", "Updating", NOT_APPLICABLE, "The model was not updated after its evaluation."),
        ("12g", "How predictions were calculated", FILLED, "A video has the mean probability of its clips, a patient that of its videos."),
        (
            "13",
            "Class imbalance",
            FILLED,
            "Clips are weighted so that every class counts alike; probabilities were not recalibrated for that.",
        ),
        ("14", "Fairness", *_demography(evaluation)),
        ("15", "Output of the model", FILLED, says["thresholds"]),
        (
            "16",
            "Differences between development and evaluation",
            FILLED,
            "The same collections, split by group: see From listed videos to splits.",
        ),
        ("17", "Ethical approval", HUMAN, "State it, or why none is needed."),
        ("18a", "Funding", HUMAN, "State it."),
        ("18b", "Conflicts of interest", HUMAN, "State them."),
        ("18c", "Protocol", HUMAN, "None was registered."),
        ("18d", "Registration", HUMAN, "Not registered."),
        ("18e", "Sharing of the data", FILLED, says["licences"]),
        ("18f", "Sharing of the code", FILLED, says["availability"]),
        ("19", "Involvement of patients and public", HUMAN, "None that this page knows of."),
        ("20a", "Flow of participants", FILLED, says["flow"]),
        ("20b", "Characteristics of participants", *_demography(evaluation)),
        ("20c", "Comparison of development and evaluation data", FILLED, "See From listed videos to splits."),
        ("21", "Numbers in each analysis", FILLED, says["test"]),
        ("22", "Specification of the model", FILLED, says["availability"]),
        ("23a", "Performance with intervals", FILLED, says["result"]),
        ("23b", "Heterogeneity of performance", FILLED, "See Parts of the test videos; most parts are too small to judge."),
        ("24", "Results of updating", NOT_APPLICABLE, "The model was not updated after its evaluation."),
        ("25", "Interpretation", HUMAN, "Read the result beside the baselines; fairness needs data that is not there."),
        ("26", "Limitations", FILLED, "See Read this first and the model card."),
        (
            "27a",
            "Poor or missing input",
            FILLED,
            "A video that cannot be decoded gets no answer; an uncertain one can be left to a human: see Certainty.",
        ),
        ("27b", "Interaction with users", HUMAN, "No interface for users was studied."),
        ("27c", "Next steps", HUMAN, "External data first."),
    )
    return [Item(TRIPOD_AI, *row) for row in rows]


def _sentences(evaluation: Evaluation) -> dict[str, str]:
    """Returns what both guidelines ask about, by topic."""
    flow, pruned, test = evaluation.flow, evaluation.models[PRUNED], evaluation.test_set.total
    scores, interval = pruned.video_scores, pruned.interval
    bounds = f" ({interval.low:.2f}–{interval.high:.2f})" if interval else ""
    parameters, is_uniform = pruned.metadata.parameters, pruned.metadata.dataset_parameters.get("sampling") == "uniform"
    metadata_is_stated = any(baseline.name == METADATA and not baseline.reason for baseline in evaluation.baselines)
    checks = "; ".join(
        f"{leak.subject}: {leak.num_offences or 'none'} on two sides" if leak.was_checked else f"{leak.subject}: not stated, so not checked"
        for leak in flow.leaks
    )
    return {
        "sources": f"Test videos from {', '.join(evaluation.test_set.sources)}; a convenience sample.",
        "flow": f"{flow.listed} videos listed, {flow.stored} stored, {flow.usable} usable; reasons are counted.",
        "selection": f"{'One clip' if is_uniform else 'The first clips'} of each video; in a frame, the ultrasound sector only.",
        "preprocessing": f"Frames {'spread evenly over the video' if is_uniform else 'at a fixed rate in seconds'}; "
        "the sector is found, resampled along its scan lines, and made grey.",
        "missing": "A video that cannot be fetched or decoded is left out, counted and named; "
        + ("properties of the files that are not stated are left out." if metadata_is_stated else "nothing is imputed."),
        "split": "By group (the patient, where known), stratified by class; a group keeps its split for life. Tuning used validation only.",
        "leaks": f"The group. {checks[:1].upper()}{checks[1:]}.",
        "model": f"A CNN on each frame and a recurrent layer over 14 frames, pruned; parameters: {_listed(parameters)}.",
        "initial": "See the parameters of the dense model: " + _listed(evaluation.models[DENSE].metadata.parameters) + ".",
        "training": "Adam, class weights, augmentation of train clips, early stopping; curves are on this page.",
        "intervals": f"95 % bootstrap intervals from {evaluation.num_bootstrap} draws of whole groups."
        if evaluation.num_bootstrap
        else "No intervals were asked for.",
        "test": f"{test.videos} test videos of {test.groups} groups, {test.clips} clips.",
        "result": f"Macro-F1 per video {scores.macro_f1:.2f}{bounds}, beside {evaluation.baseline.macro_f1:.2f} of the majority class.",
        "thresholds": "Probabilities of the classes; thresholds were chosen on validation videos by Youden's index.",
        "licences": "Licences as stated: " + _listed(flow.licences) + ".",
        "availability": "Code under Apache 2.0; model and report are versions in the project's storage; videos stay with their sources.",
    }


def _demography(evaluation: Evaluation) -> tuple[ItemStatus, str]:
    """Returns who has the items on sex and age in hand, and what can be said."""
    stated = sorted({part.dimension for part in evaluation.slices} & {"sex", "age"})
    if stated:
        return FILLED, f"By {' and '.join(stated)} as far as stated: see Parts of the test videos."
    return HUMAN, "The dataset states neither sex nor age."


def _listed(fields: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in fields.items()) or "none stated"
