"""The picture of a training and the page around it."""

import base64
import re
from pathlib import Path

import cv2
import numpy as np

from components.train.curves import curves_html, draw_curves

HISTORY = {"loss": [1.1, 0.8, 0.6], "macro_f1": [0.3, 0.5, 0.7], "val_loss": [1.2, 0.9, 1.0], "val_macro_f1": [0.2, 0.6, 0.5]}


def test_the_page_holds_the_picture_and_the_results(tmp_path: Path) -> None:
    draw_curves(tmp_path / "curves.png", HISTORY, best_epoch=1)
    page = curves_html(tmp_path / "curves.png", {"best_epoch": 2, "validation_macro_f1": 0.6, "num_parameters": 158687})
    embedded = re.search(r"base64,([^\"]+)", page)
    assert embedded is not None
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(embedded[1]), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[1] > 1000
    assert picture.std() > 10
    assert "<th>validation macro f1</th><td>0.600</td>" in page
    assert "<td>158,687</td>" in page


def test_one_epoch_is_enough(tmp_path: Path) -> None:
    draw_curves(tmp_path / "curves.png", {name: values[:1] for name, values in HISTORY.items()}, best_epoch=0)
    assert (tmp_path / "curves.png").stat().st_size > 10_000
