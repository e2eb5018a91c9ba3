"""The zones of a chest as a clinician expects them: the patient's right on the left of the page, from top to bottom.

Zones are free text of a manifest, such as L1, R2, 2L, `right anterior` or `lateral, left`.
"""

import dataclasses
import re
from collections import defaultdict
from collections.abc import Iterable

RIGHT, LEFT = "right", "left"
_SIDES = {"r": RIGHT, "right": RIGHT, "l": LEFT, "left": LEFT}
# What comes before other words, and what after them; words that are not here are in the order of the alphabet.
_HEIGHTS = {"apical": -2, "upper": -1, "superior": -1, "lower": 1, "inferior": 1, "basal": 2}

Place = tuple[tuple[int, int, str], ...]


@dataclasses.dataclass(frozen=True)
class Chest:
    """Zones by where they are.

    Attributes:
        rows: the zones of the patient's right and left side that lie at one height, the highest first; a side may have none there.
        others: zones whose side is not said.
    """

    rows: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    others: tuple[str, ...]

    @classmethod
    def of(cls, zones: Iterable[str]) -> "Chest":
        """Puts zones in order."""
        found: dict[Place, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for zone in sorted(set(zones)):
            side, place = _side_and_place(zone)
            found[place][side].append(zone)
        heights = [found[place] for place in sorted(found)]
        rows = tuple((tuple(sides[RIGHT]), tuple(sides[LEFT])) for sides in heights if sides[RIGHT] or sides[LEFT])
        return cls(rows, tuple(zone for sides in heights for zone in sides[""]))


def _side_and_place(zone: str) -> tuple[str, Place]:
    """Returns the side that a zone names, or an empty string, and what orders it among the zones of a side."""
    words = re.findall(r"[^\W\d_]+|\d+", zone.casefold())
    side = next((word for word in words if word in _SIDES), "")
    words = [word for word in words if word != side]
    return _SIDES.get(side, ""), tuple((int(word), 0, "") if word.isdecimal() else (0, _HEIGHTS.get(word, 0), word) for word in words)
