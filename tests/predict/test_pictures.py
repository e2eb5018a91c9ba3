"""What the album keeps, and what it draws of it."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow


def clip(level: int) -> tuple[bytes, ...]:
    """Returns the frames of a clip as JPEG files: a spot on the left in the first half, on the right in the second."""
    frames = np.full((14, 224, 224), level // 8, np.uint8)
    frames[:7, 80:140, 20:80] = level
    frames[7:, 80:140, 150:210] = level
    return tuple(cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames)


def album_of(folder: Path) -> Any:
    from components.core.models.classifier import load_classifier
    from components.predict.model_choice import open_model
    from components.predict.pictures import Album

    with open_model(str(folder), "") as (model, local):
        return Album(load_classifier(local)[0], model)


def pixels(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGB")).astype(int)


def test_a_strip_shows_frames_and_below_them_the_evidence_for_each_finding(save_model: Callable[..., Path]) -> None:
    album = album_of(save_model(findings=True))
    album.add(3, clip(200), label=0)
    pictured = album.pictured()
    assert (list(pictured.by_position), pictured.explained, pictured.remark) == ([3], ("a_lines", "b_lines"), "")
    strip = pixels(pictured.by_position[3].strip)
    side = strip.shape[1] // 7
    assert strip.shape == (3 * side, 7 * side, 3)
    frames = strip[:side].reshape(side, 7, side, 3).swapaxes(0, 1)
    is_left = [frame[side // 2, side // 4].mean() > frame[side // 2, 3 * side // 4].mean() for frame in frames]
    assert is_left == [True, True, True, True, False, False, False], "frames 0, 2, 4, 6, 9, 11 and 13"
    assert np.abs(np.diff(strip[: side - 16], axis=-1)).max() < 12, "grey, but for what the coding of colours spreads"
    assert np.abs(np.diff(strip[side:], axis=-1)).max() > 60, "coloured"


def test_one_scale_for_all_videos_shows_which_has_more_evidence(save_model: Callable[..., Path]) -> None:
    def colour(strip: np.ndarray) -> float:
        marked = strip[strip.shape[0] // 3 :]
        return float((marked[..., 0] - marked[..., 2]).clip(0).mean())

    folder = save_model(findings=True)
    together, alone = album_of(folder), album_of(folder)
    together.add(0, clip(240), label=0)
    together.add(1, clip(60), label=0)
    alone.add(1, clip(60), label=0)
    strong, weak = (colour(pixels(picture.strip)) for picture in together.pictured().by_position.values())
    assert strong > weak
    assert colour(pixels(alone.pictured().by_position[1].strip)) > weak


def test_without_findings_the_most_probable_class_is_explained(model: Path) -> None:
    strips = []
    for label in (0, 1):
        album = album_of(model)
        album.add(0, clip(200), label)
        pictured = album.pictured()
        assert pictured.explained == ("probabilities",)
        strips.append(pixels(pictured.by_position[0].strip))
    assert strips[0].shape[0] * 7 == strips[0].shape[1] * 2
    assert not np.array_equal(*strips)


def test_a_model_without_a_map_has_frames_and_a_reason(tmp_path: Path) -> None:
    import tf_keras
    from tf_keras import layers

    from components.core.models.classifier import ClassifierMetadata, save_classifier

    shape = layers.Input((14, 224, 224, 3), dtype="uint8")
    features = layers.Rescaling(1 / 255)(layers.Flatten()(shape))
    classifier = tf_keras.Model(shape, layers.Dense(2, "softmax")(features))
    save_classifier(tmp_path, classifier, ClassifierMetadata("dense", ["covid", "normal"], "f", "r", {}, {}))
    album = album_of(tmp_path)
    album.add(0, clip(200), label=0)
    pictured = album.pictured()
    assert pictured.explained == ()
    assert "no map over time and place" in pictured.remark
    strip = pixels(pictured.by_position[0].strip)
    assert strip.shape[1] == 7 * strip.shape[0]


def test_enough_is_enough(save_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from components.predict import pictures

    monkeypatch.setattr(pictures, "MAX_VIDEOS", 2)
    album = album_of(save_model())
    assert album.pictured().by_position == {}
    for position in (1, 4, 5):
        album.add(position, clip(200), label=0)
    assert list(album.pictured().by_position) == [1, 4]
