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

# A page with more of them takes a browser long to open.
MAX_VIDEOS = 100
# What is as strong as this part of all cells is drawn at its brightest, so that a single spot does not let all others look dark.
BRIGHTEST = 0.99
# Frames of a clip that a strip shows: the first, the last, and as many between as can still be read on paper.
SHOWN_FRAMES = np.linspace(0, CLIP_SHAPE[0] - 1, 7).round().astype(int)


@dataclasses.dataclass(frozen=True)
class Picture:
    """A video to look at, as data URIs.

    Attributes:
        thumbnail: the middle frame of its first clip.
        strip: frames of that clip, and below each the same with what raised an answer, a row for each head that is explained.
    """

    thumbnail: str
    strip: str


@dataclasses.dataclass(frozen=True)
class _Seen:
    frames: npt.NDArray[np.uint8]
    attributions: dict[str, npt.NDArray[np.float32]]


class Album:
    """Keeps the first clips of the first videos, to draw them at the end with one scale for all.

    Attributes:
        explained: the heads whose evidence is shown: those of findings that are there or not, else that of the classes.
        remark: why no evidence is shown, or an empty string.
    """

    def __init__(self, classifier: Any, model: ChosenModel) -> None:
        yes_or_no = [finding.name for finding in FINDINGS if finding.num_thresholds == 1 and finding.name in model.metadata.heads]
        self.explained = yes_or_no or [CLASSES]
        self.remark = ""
        self._seen: dict[int, _Seen] = {}
        try:
            self._explainer = Explainer(classifier)
        except DataError as error:
            self.explained, self.remark = [], str(error)

    def add(self, position: int, jpegs: tuple[bytes, ...], label: int) -> None:
        """Takes a video with its first clip as JPEG files and the label of its most probable class, unless there are enough."""
        if len(self._seen) == MAX_VIDEOS:
            return
        clip = decode_frames(tf.constant(list(jpegs))).numpy()
        attributions = {}
        if self.explained:
            answers = {name: [label] if name == CLASSES else None for name in self.explained}
            found = self._explainer.attributions(clip[np.newaxis], answers)
            attributions = {name: over_frames(found[name], self._explainer.windows)[0] for name in self.explained}
        self._seen[position] = _Seen(clip[..., 0], attributions)

    def pictures(self) -> dict[int, Picture]:
        """Returns the pictures of the videos by their positions, with one scale for each answer."""
        if not self._seen:
            return {}
        most = {
            name: float(np.quantile(np.stack([seen.attributions[name] for seen in self._seen.values()]), BRIGHTEST))
            for name in self.explained
        }
        return {position: _draw(seen, most) for position, seen in self._seen.items()}


def _draw(seen: _Seen, most: dict[str, float]) -> Picture:
    heats = [relative_heat(seen.attributions[name][SHOWN_FRAMES], most[name]) for name in most]
    return Picture(thumbnail(seen.frames[CLIP_SHAPE[0] // 2]), strip(seen.frames[SHOWN_FRAMES], heats))
