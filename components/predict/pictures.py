"""Pictures for the page: frames of a video's first clip, and what raised the model's answers in them."""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.core.errors import DataError
from components.core.films import relative_heat, strip, thumbnail
from components.core.models.dataset import CLIP_SHAPE, decode_frames
from components.core.models.explanation import Explainer, over_frames
from components.core.models.heads import CLASSES
from components.core.records.findings import FINDINGS
from components.predict.model_choice import ChosenModel
from components.predict.page import MAX_VIDEOS, Picture, Pictured

# What is as strong as this part of all cells is drawn at its brightest, so that a single spot does not let all others look dark.
BRIGHTEST = 0.99
# Frames of a clip that a strip shows: the first, the last, and as many between as can still be read on paper.
SHOWN_FRAMES = np.linspace(0, CLIP_SHAPE[0] - 1, 7).round().astype(int)


@dataclasses.dataclass(frozen=True)
class _Seen:
    frames: npt.NDArray[np.uint8]
    attributions: dict[str, npt.NDArray[np.float32]]


class Album:
    """Keeps the first clips of the first videos, to draw them at the end with one scale for all."""

    def __init__(self, classifier: Any, model: ChosenModel) -> None:
        """Chooses what is explained: the findings that are there or not, else the classes; nothing where the model has no map."""
        yes_or_no = [finding.name for finding in FINDINGS if finding.num_thresholds == 1 and finding.name in model.metadata.heads]
        self._explained = yes_or_no or [CLASSES]
        self._remark = ""
        self._seen: dict[int, _Seen] = {}
        try:
            self._explainer = Explainer(classifier)
        except DataError as error:
            self._explained, self._remark = [], str(error)

    def add(self, position: int, jpegs: tuple[bytes, ...], label: int) -> None:
        """Takes a video with its first clip as JPEG files and the label of its most probable class, unless there are enough."""
        if len(self._seen) == MAX_VIDEOS:
            return
        clip = decode_frames(tf.constant(list(jpegs))).numpy()
        attributions = {}
        if self._explained:
            answers = {name: [label] if name == CLASSES else None for name in self._explained}
            found = self._explainer.attributions(clip[np.newaxis], answers)
            attributions = {name: over_frames(found[name], self._explainer.windows)[0] for name in self._explained}
        self._seen[position] = _Seen(clip[..., 0], attributions)

    def pictured(self) -> Pictured:
        """Draws the videos, with one scale for each answer."""
        most = {name: self._brightest(name) for name in self._explained if self._seen}
        pictures = {position: _draw(seen, most) for position, seen in self._seen.items()}
        return Pictured(pictures, tuple(self._explained), len(SHOWN_FRAMES), self._remark)

    def _brightest(self, name: str) -> float:
        """Returns what is drawn at its brightest of an answer; where nearly all cells are empty, the strongest one."""
        cells = np.stack([seen.attributions[name] for seen in self._seen.values()])
        return float(np.quantile(cells, BRIGHTEST) or cells.max())


def _draw(seen: _Seen, most: dict[str, float]) -> Picture:
    heats = [relative_heat(seen.attributions[name][SHOWN_FRAMES], most[name]) for name in most]
    return Picture(thumbnail(seen.frames[CLIP_SHAPE[0] // 2]), strip(seen.frames[SHOWN_FRAMES], heats))
