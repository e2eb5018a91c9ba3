"""What a model says about clips, videos or patients.

TensorFlow is imported when clips are read, not before.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from components.core.errors import DataError
from components.core.models import heads
from components.core.records.findings import FINDINGS, NOT_STATED

if TYPE_CHECKING:
    from components.core.models.dataset import Part

Integers: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Strings: TypeAlias = npt.NDArray[np.str_]

NO_SOURCE = "(not stated)"


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a model says about one row of Predictions.

    Attributes:
        video_id: its id.
        group: its group.
        source: its source.
        true: the name of its class.
        predicted: the name of the most probable class.
        probabilities: by class name.
    """

    video_id: str
    group: str
    source: str
    true: str
    predicted: str
    probabilities: dict[str, float]

    @property
    def is_right(self) -> bool:
        """Whether the most probable class is the true one."""
        return self.predicted == self.true

    @property
    def probability(self) -> float:
        """The probability of the most probable class."""
        return self.probabilities[self.predicted]

    @property
    def margin(self) -> float:
        """The probability of the truth minus that of the likeliest other class; below zero is a mistake."""
        return self.probabilities[self.true] - max(value for name, value in self.probabilities.items() if name != self.true)


@dataclasses.dataclass(frozen=True, eq=False)
class Graded:
    """What a model says about a finding (core.records.findings) in n clips or videos.

    Attributes:
        grades: [n], the numbers of the grades that experts state, or NOT_STATED.
        probabilities: [n, grades − 1], of at least each grade but the first.
    """

    grades: Integers
    probabilities: Floats

    @property
    def expected(self) -> Floats:
        """The mean of the grade that the model expects, [n]: of two grades, the probability of the second."""
        return self.probabilities.sum(axis=1)

    @property
    def is_stated(self) -> Bools:
        """Whether there is anything to compare with, [n]."""
        return self.grades != NOT_STATED


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says about n clips, n videos or n patients.

    Attributes:
        labels: [n], the true labels.
        probabilities: [n, classes], rows that sum to 1.
        video_ids: [n]; of a patient, the first of its videos.
        groups: [n]
        sources: [n]
        findings: what the model tells beside the class, by the name of the finding.
        looks: [n, d], what they look like to the model (core.models.reference), where that was asked for.
    """

    labels: Integers
    probabilities: Floats
    video_ids: Strings
    groups: Strings
    sources: Strings
    findings: dict[str, Graded] = dataclasses.field(default_factory=dict, kw_only=True)
    looks: Floats | None = dataclasses.field(default=None, kw_only=True)

    @property
    def predicted(self) -> Integers:
        """The most probable labels, [n]."""
        return self.probabilities.argmax(axis=1)

    @property
    def is_right(self) -> Bools:
        """Whether the most probable label is the true one, [n]."""
        return self.predicted == self.labels

    @property
    def confidence(self) -> Floats:
        """The probability of the most probable label, [n]."""
        return self.probabilities.max(axis=1)

    @property
    def num_groups(self) -> int:
        """Number of different groups."""
        return len(np.unique(self.groups))

    def by_video(self) -> "Predictions":
        """Returns one row per video, sorted by video id: the mean probability of its clips."""
        return self._means(self.video_ids)

    def by_group(self) -> "Predictions":
        """Returns one row per group and class, sorted: the mean probability of the rows, give it one a video.

        Some groups hold videos of several classes, such as a series over the course of a disease: each class is a row of its own.
        """
        return self._means(np.char.add(np.char.add(self.groups, "\n"), self.labels.astype(str)))

    def answers(self, class_names: list[str]) -> list[Answer]:
        """Returns the rows in words, given the names of the labels."""
        predicted = self.predicted
        return [
            Answer(
                video_id=str(self.video_ids[row]),
                group=str(self.groups[row]),
                source=str(self.sources[row]),
                true=class_names[label],
                predicted=class_names[predicted[row]],
                probabilities=dict(zip(class_names, self.probabilities[row].tolist(), strict=True)),
            )
            for row, label in enumerate(self.labels)
        ]

    def where(self, chosen: Bools) -> "Predictions":
        """Returns the chosen rows."""
        return self._at(chosen, lambda values: values[chosen])

    def _means(self, keys: Strings) -> "Predictions":
        _, first, inverse, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)

        def mean(values: Floats) -> Floats:
            sums = np.zeros((len(first), values.shape[1]))
            np.add.at(sums, inverse, values)
            return sums / counts[:, None]

        return self._at(first, mean)

    def _at(self, rows: Bools | Integers, answer: Callable[[Floats], Floats]) -> "Predictions":
        """Returns what is known of some rows, and what the model says of them."""
        findings = {name: Graded(of.grades[rows], answer(of.probabilities)) for name, of in self.findings.items()}
        known = self.video_ids[rows], self.groups[rows], self.sources[rows]
        looks = None if self.looks is None else answer(self.looks)
        return Predictions(self.labels[rows], answer(self.probabilities), *known, findings=findings, looks=looks)


def predict_clips(name: str, model: Any, dataset_path: Path, part: "str | Part", sizes: Mapping[str, int], batch_size: int) -> Predictions:
    """Returns a model's predictions on the clips of one split, or of another part of the dataset.

    Args:
        name: what to call the model in an error.
        model: takes [batch, 14, 224, 224, 3] uint8 RGB and gives what core.models.heads describes, and perhaps the looks.
        dataset_path: output folder of preprocess.
        part: train, validation or test; or a Part.
        sizes: how many numbers each head of the model must give.
        batch_size: clips at a time.

    Raises:
        DataError: the split is empty or a shard is damaged, or the model gives something else than these finite numbers a clip.
    """
    from components.core.models.dataset import failures_of_shards, part_of_split, read_clips

    chosen = part_of_split(dataset_path, part) if isinstance(part, str) else part

    columns: dict[str, list[Any]] = defaultdict(list)
    with failures_of_shards(dataset_path):
        for batch in read_clips(dataset_path, chosen).batch(batch_size).prefetch(1).as_numpy_iterator():
            answer = model.predict_on_batch(batch.pop("clip"))
            if isinstance(answer, dict) and heads.LOOK in answer:
                batch["looks"] = answer.pop(heads.LOOK)
            try:
                answers = heads.side_by_side(answer, sizes)
            except ValueError as error:
                raise DataError(f"the {name} model {error}; train the model again.") from None
            for key, values in {**batch, "answers": answers}.items():
                columns[key].append(values)
    rows = {key: np.concatenate(parts) for key, parts in columns.items()}
    if num_bad := int(np.sum(~np.isfinite(rows["answers"]).all(axis=1))):
        raise DataError(
            f"the {name} model gives no finite probabilities for {num_bad} of {len(rows['label'])} {chosen.name} clips; "
            "train again with a lower learning rate."
        )
    by_head = heads.apart(rows["answers"], sizes)
    sources = np.char.decode(rows["source"].astype(bytes), "utf-8")
    return Predictions(
        labels=rows["label"].astype(np.int64),
        probabilities=by_head[heads.CLASSES],
        video_ids=np.char.decode(rows["video_id"].astype(bytes), "utf-8"),
        groups=np.char.decode(rows["group"].astype(bytes), "utf-8"),
        sources=np.where(sources == "", NO_SOURCE, sources),
        findings={
            finding.name: Graded(rows["findings"][:, number].astype(np.int64), by_head[finding.name])
            for number, finding in enumerate(FINDINGS)
            if finding.name in by_head
        },
        looks=rows["looks"].astype(np.float64) if "looks" in rows else None,
    )
