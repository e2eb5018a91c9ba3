"""The items of two reporting guidelines, each filled from the evaluation, left to a human, or not applicable.

    CLAIM 2024    Tejani et al., Radiology: Artificial Intelligence 2024;6(4):e240300 (44 items)
    TRIPOD+AI     Collins et al., BMJ 2024;385:e078378 (27 items with their letters)

Numbers are theirs, the words are ours and shortened: fill in the originals. `filled` means that this page holds what the item asks about,
not that a reviewer will be content with it. templates/checklist.csv lists the items; a name in braces stands for a sentence about the
evaluation at hand.
"""

import csv
import dataclasses
import enum
from collections.abc import Mapping
from pathlib import Path

from components.evaluate.baselines import METADATA
from components.evaluate.evaluation import DENSE, PRUNED, Evaluation

CLAIM, TRIPOD_AI = "CLAIM 2024", "TRIPOD+AI"
TABLE = Path(__file__).with_name("templates") / "checklist.csv"


class ItemStatus(enum.StrEnum):
    """Who has an item in hand."""

    FILLED = "filled"
    HUMAN = "needs a human"
    NOT_APPLICABLE = "not applicable"


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
    says = _sentences(evaluation)
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = [{column: text.format_map(says) for column, text in row.items()} for row in csv.DictReader(file)]
    return [Item(row["guideline"], row["number"], row["topic"], ItemStatus(row["status"]), row["answer"]) for row in rows]


def _sentences(evaluation: Evaluation) -> dict[str, str]:
    """Returns what stands for the names in the table."""
    flow, pruned, test = evaluation.flow, evaluation.models[PRUNED], evaluation.test_set.total
    scores, interval = pruned.video_scores, pruned.interval
    bounds = f" ({interval.low:.2f}–{interval.high:.2f})" if interval else ""
    parameters, is_uniform = pruned.metadata.parameters, pruned.metadata.dataset_parameters.get("sampling") == "uniform"
    metadata_is_stated = any(baseline.name == METADATA and not baseline.reason for baseline in evaluation.baselines)
    checks = "; ".join(
        f"{leak.subject}: {leak.num_offences or 'none'} on two sides" if leak.was_checked else f"{leak.subject}: not stated, so not checked"
        for leak in flow.leaks
    )
    demography = " and ".join(sorted({part.dimension for part in evaluation.slices} & {"sex", "age"}))
    return {
        "revision": evaluation.code_revision[:12],
        "class_names": ", ".join(evaluation.class_names),
        "demography_status": ItemStatus.FILLED if demography else ItemStatus.HUMAN,
        "demography": f"By {demography} as far as stated: see Parts of the test videos."
        if demography
        else "The dataset states neither sex nor age.",
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
        "intervals": f"95 % bootstrap intervals from {evaluation.num_bootstrap} draws of whole groups."
        if evaluation.num_bootstrap
        else "No intervals were asked for.",
        "test": f"{test.videos} test videos of {test.groups} groups, {test.clips} clips.",
        "result": f"Macro-F1 per video {scores.macro_f1:.2f}{bounds}, beside {evaluation.baseline.macro_f1:.2f} of the majority class.",
        "licences": "Licences as stated: " + _listed(flow.licences) + ".",
        "availability": "Code under Apache 2.0; model and report are versions in the project's storage; videos stay with their sources.",
    }


def _listed(fields: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in fields.items()) or "none stated"
