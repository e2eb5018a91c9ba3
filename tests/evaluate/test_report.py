import dataclasses
import re
from collections.abc import Callable
from html.parser import HTMLParser

import numpy as np
import pytest

from components.evaluate.evaluation import Evaluation
from components.evaluate.report import SECTIONS, render_report, video_rows

MakeEvaluation = Callable[..., Evaluation]
VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """What the tests look at; feeding it a page with tags that do not nest fails."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.headings: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.links: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self._open.append(tag)
        self._note(tag, dict(attrs))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("h1", "h2"):
            self.headings.append(data)

    def _note(self, tag: str, attrs: dict[str, str | None]) -> None:
        self.ids += [str(attrs["id"])] if "id" in attrs else []
        self.links += [str(value) for name, value in attrs.items() if name in ("src", "href", "xlink:href")]
        if attrs.get("role") == "img" or tag in ("svg", "img"):
            self.images.append(attrs)


def test_every_section_is_there(make_evaluation: MakeEvaluation) -> None:
    page = Page(render_report(make_evaluation()))
    assert page.headings == ["Lung-ultrasound classifier: test report", *SECTIONS.values()]
    assert {f"#{anchor}" for anchor in SECTIONS} <= set(page.links)


def test_the_page_needs_no_network_and_no_script(make_evaluation: MakeEvaluation) -> None:
    text = render_report(make_evaluation())
    page = Page(text)
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert "<script" not in text
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)


def test_pictures_have_alternative_texts_and_ids_are_unique(make_evaluation: MakeEvaluation) -> None:
    evaluation = make_evaluation()
    page = Page(render_report(evaluation))
    num_films = sum(map(len, (evaluation.illustrations.mistakes, evaluation.illustrations.sure)))
    plots = 2 * 3 + 2 + 2  # two curves a model; reliability and risk; training of two models
    assert len(page.images) == plots + 30 + num_films + len(evaluation.illustrations.samples), "a bar a video"
    assert all(image.get("aria-label") or image.get("alt") for image in page.images)
    assert len(page.ids) == len(set(page.ids))


def test_the_headline_gives_score_interval_and_baseline(make_evaluation: MakeEvaluation) -> None:
    evaluation = make_evaluation()
    text = " ".join(re.sub("<[^>]+>", "", render_report(evaluation)).split())
    pruned = evaluation.models["pruned"]
    assert pruned.interval is not None
    assert f"a macro-F1 of {pruned.video_scores.macro_f1:.2f} (95 % interval {pruned.interval.low:.2f}–{pruned.interval.high:.2f})" in text
    assert "Always answering “normal” reaches 0.21." in text
    assert "not for diagnosis" in text.lower()


def test_origins_are_told(make_evaluation: MakeEvaluation) -> None:
    evaluation = make_evaluation()
    text = render_report(evaluation)
    for part in (
        evaluation.dataset_fingerprint,
        evaluation.code_revision,
        evaluation.models["champion"].version,
        "597 kB",
        "182 kB",
        "80 %",
    ):
        assert part in text


def test_the_worst_mistakes_come_first(make_evaluation: MakeEvaluation) -> None:
    rows = [row["pruned"] for row in video_rows(make_evaluation())]
    margins = [row.margin for row in rows]
    assert margins == sorted(margins)
    assert all((row.margin > 0) == row.is_right for row in rows)
    worst = rows[0]
    assert worst.probability == max(worst.probabilities.values())
    assert worst.predicted != worst.true


def test_undefined_scores_are_said(make_evaluation: MakeEvaluation) -> None:
    text = render_report(make_evaluation(counts=(0, 12, 18)))
    assert text.count("<td>undefined</td>") >= 4
    assert "AUC undefined" in text


def test_names_from_the_manifest_are_escaped(make_evaluation: MakeEvaluation) -> None:
    evaluation = make_evaluation()
    pruned = evaluation.models["pruned"]
    ids = np.array([f"<script>{number}</script>" for number in range(30)])
    models = {**evaluation.models, "pruned": dataclasses.replace(pruned, videos=dataclasses.replace(pruned.videos, video_ids=ids))}
    text = render_report(dataclasses.replace(evaluation, models=models, notes=("<b>note</b>",)))
    assert "<script>" not in text
    assert "&lt;script&gt;0&lt;/script&gt;" in text
    assert "&lt;b&gt;note&lt;/b&gt;" in text


@pytest.mark.parametrize("with_champion", [True, False])
def test_equal_evaluations_give_equal_pages(make_evaluation: MakeEvaluation, with_champion: bool) -> None:
    assert render_report(make_evaluation(with_champion=with_champion)) == render_report(make_evaluation(with_champion=with_champion))
