"""Findings: what experts saw in a video, beside its class.

    a_lines     horizontal repetitions of the pleura, as in aerated lung: yes or no
    b_lines     vertical streaks from the pleura downwards, as in an interstitial syndrome: yes or no
    severity    the lung ultrasound score of a zone, 0 (A-lines) to 3 (consolidation): Soldati et al., "Proposal for International
                Standardization of the Use of Lung Ultrasound for Patients With COVID-19", J Ultrasound Med 39, 2020

A manifest may state each for a video; what is not stated takes no part in anything.
"""

import dataclasses

NOT_STATED = -1


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something to be seen.

    Attributes:
        name: of the column in a manifest.
        title: as a heading calls it.
        grades: what may be stated of it, the least first.
    """

    name: str
    title: str
    grades: tuple[str, ...]

    @property
    def num_thresholds(self) -> int:
        """Returns how many grades have one below them: a head gives the probability of at least each of these."""
        return len(self.grades) - 1

    @property
    def measure(self) -> str:
        """Returns what the sum of these probabilities is called: of two grades, the probability of the second."""
        return "probability" if self.num_thresholds == 1 else "expected"

    def grade_of(self, stated: str) -> int:
        """Returns the number of a grade, from 0, or NOT_STATED for an empty text."""
        return self.grades.index(stated) if stated else NOT_STATED


FINDINGS = (
    Finding("a_lines", "A-lines", ("no", "yes")),
    Finding("b_lines", "B-lines", ("no", "yes")),
    Finding("severity", "severity", ("0", "1", "2", "3")),
)
SEVERITY = FINDINGS[-1]
