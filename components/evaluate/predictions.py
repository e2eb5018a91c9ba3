"""What a model says about clips, videos or patients: numpy only."""

import dataclasses
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Integers: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Strings: TypeAlias = npt.NDArray[np.str_]


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says about n clips, n videos or n patients.

    Attributes:
        labels: [n], the true labels.
        probabilities: [n, classes], rows that sum to 1.
        video_ids: [n]; of a patient, the first of its videos.
        groups: [n]
        sources: [n]
    """

    labels: Integers
    probabilities: Floats
    video_ids: Strings
    groups: Strings
    sources: Strings

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

    def where(self, chosen: Bools) -> "Predictions":
        """Returns the chosen rows."""
        fields = (field.name for field in dataclasses.fields(self))
        return Predictions(**{name: getattr(self, name)[chosen] for name in fields})

    def _means(self, keys: Strings) -> "Predictions":
        _, first, inverse, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        sums = np.zeros((len(first), self.probabilities.shape[1]))
        np.add.at(sums, inverse, self.probabilities)
        return Predictions(self.labels[first], sums / counts[:, None], self.video_ids[first], self.groups[first], self.sources[first])
