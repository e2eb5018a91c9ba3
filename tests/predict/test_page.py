"""The page of predict, as a reader's browser gets it."""

import re
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup, Tag

from components.core.models.classifier import ClassifierMetadata
from components.predict.inputs import VideoTask
from components.predict.model_choice import ChosenModel
from components.predict.page import Picture, Pictured, page_html
from components.predict.patients import Line, patient_lines
from components.predict.track_record import Score, TrackRecord

PICTURE = Picture("data:image/webp;base64,UklG", "data:image/webp;base64,UklH")


def chosen(findings: bool = True, record: TrackRecord = TrackRecord()) -> ChosenModel:  # noqa: B008
    names = ["a_lines", "b_lines", "severity"] if findings else []
    metadata = ClassifierMetadata("pruned", ["covid", "normal"], "d" * 64, "c" * 40, {}, {}, {"sampling": "window"}, names)
    return ChosenModel("/model", "20261127T000000Z-0123abcd", "a" * 64, metadata, record, None)


def line(video_id: str, patient: str = "", zone: str = "", a_lines: float | None = 0.25, **fields: Any) -> Line:
    """Returns the line of a video with two clips; without findings if that of A-lines is None."""
    said: Line = {"probabilities": {"covid": 0.7, "normal": 0.3}}
    if a_lines is not None:
        said["findings"] = {"a_lines": {"probability": a_lines}, "b_lines": {"probability": 0.5}, "severity": {"expected": 1.25}}
    clips = [{"start_s": 0.0, "end_s": 1.3, **said}, {"start_s": 1.4, "end_s": 2.7, **said}]
    said |= {"patient_scores": None, "strangeness": None}
    facts = {"reason": "", "sector": "convex", "num_damaged": 0, "abstained": False, "most_probable": "covid", "clips": clips}
    return {"video_id": video_id, "patient": patient or None, "zone": zone or None, **said, **facts, **fields}


def lost(video_id: str, patient: str = "", zone: str = "") -> Line:
    nothing = {"probabilities": None, "findings": None, "most_probable": None, "abstained": None, "sector": None, "clips": []}
    return line(video_id, patient, zone, reason="it has 8 frames", **nothing)


def page(lines: list[Line], pictured: Pictured = Pictured(), model: ChosenModel | None = None) -> BeautifulSoup:  # noqa: B008
    tasks = [VideoTask(n, line["video_id"], "/v", patient=line["patient"] or "", zone=line["zone"] or "") for n, line in enumerate(lines)]
    return BeautifulSoup(page_html(model or chosen(), lines, patient_lines(tasks, lines), pictured), "html.parser")


def text(found: Any) -> str:
    return re.sub(r"\s+", " ", found.get_text(" ")).strip()


def sides(soup: Tag) -> list[list[str]]:
    return [[text(zone) for zone in lung.select(".zone, p.none")] for lung in soup.select(".lung")]


SIX = [line(zone, "p", zone) for zone in ("L1", "L2", "L3", "R1", "R2", "R3")]


def test_the_patients_right_is_on_the_left_of_the_page() -> None:
    soup = page(SIX)
    assert [text(lung.h3) for lung in soup.select(".lung")] == ["Patient’s right", "Patient’s left"]
    card = "A-lines 25 % B-lines 50 % Severity 1.2 of 3"
    assert sides(soup) == [[f"{zone} {card}" for zone in zones] for zones in (["R1", "R2", "R3"], ["L1", "L2", "L3"])]


def test_what_the_videos_of_a_patient_say_together_stands_on_top() -> None:
    facts = text(page([*SIX, lost("x", "p", "R3")]).select_one(".facts"))
    assert facts == "7.5 of 18 sum of severities over 6 zones 6 of 7 videos with a prediction covid 70 % covid 70 %, normal 30 %"


def test_a_patient_of_whom_the_model_is_not_sure_is_marked() -> None:
    facts = text(page(SIX, model=chosen(record=TrackRecord(abstain_below=0.8))).select_one(".facts"))
    assert "covid 70 % below 80 %, where the model abstains" in facts


def test_zones_that_were_not_filmed_or_have_no_prediction_are_told() -> None:
    soup = page([line("a", "p", "R1", 0.2), line("b", "p", "R1", 0.4), lost("c", "p", "R1"), lost("d", "p", "L2")])
    (right, left) = sides(soup)
    assert right == ["R1 mean of 2 videos A-lines 30 % B-lines 50 % Severity 1.2 of 3 1 of 3 videos without a prediction", "not filmed"]
    assert left == ["not filmed", "L2 no prediction"]


def test_a_zone_without_a_side_is_beneath_the_chest() -> None:
    soup = page([line("a", "p", "R1"), line("b", "p", "subcostal")])
    assert sides(soup)[0][0].startswith("R1")
    heading = soup.find("h3", string="Other zones")
    assert heading
    assert text(heading.find_next(class_="zone")).startswith("subcostal")


def test_every_video_is_in_a_table_with_its_remarks() -> None:
    lines = [
        line("whole", "p"),
        line("unsure", "p", abstained=True),
        line("odd", "p", num_damaged=2, sector="unknown"),
        lost("short", "p"),
        line("stray"),
    ]
    tables = page(lines).select(".videos")
    rows = [[text(cell) for cell in row.select("th, td")] for table in tables for row in table.select("tr:has(td)")]
    assert rows[0] == ["whole", "", "2: 0.0–1.3 s, 1.4–2.7 s", "25 %", "50 %", "1.2", "covid 70 %", ""]
    assert {row[0]: row[-1] for row in rows[1:]} == {
        "unsure": "the model abstains",
        "odd": "2 damaged parts left out; no sector found: the whole frame was used",
        "short": "no prediction: it has 8 frames",
        "stray": "",
    }
    assert [len(table.select("tr:has(td)")) for table in tables] == [4, 1]


def test_a_video_unlike_those_that_the_model_learnt_from_is_said_to_be_so() -> None:
    soup = page([line("strange", strangeness=1.75), line("usual", strangeness=0.98)])
    strange, usual = (text(row) for row in soup.select(".videos tr:has(td)"))
    assert "unlike the videos that the model learnt from (strangeness 1.8)" in strange
    assert "unlike" not in usual


def test_pictures_have_the_numbers_of_the_clip_that_they_show() -> None:
    first, *others = line("v", "p", "R1", a_lines=0.2)["clips"]
    first["findings"] = {**first["findings"], "a_lines": {"probability": 0.9}}
    soup = page([line("v", "p", "R1", clips=[first, *others])], Pictured({0: PICTURE}, ["a_lines", "b_lines"], 7))
    (figure,) = soup.select("figure")
    assert text(figure.figcaption) == (
        "R1 · v first of 2 clips, 0.0–1.3 s: A-lines 90 %, B-lines 50 %, severity 1.2, covid 70 %, normal 30 %."
    )
    assert [text(row) for row in figure.select(".rows span")] == ["frames", "evidence for A-lines", "evidence for B-lines"]
    assert [image["src"] for image in soup.select("img")] == [PICTURE.thumbnail, PICTURE.strip]
    assert soup.select_one(f"a[href='#{figure['id']}']")


def test_a_model_that_tells_classes_alone_has_a_page_of_its_own_kind() -> None:
    lines = [line("a", "p", "R1", None), line("b", "p", "L1", None, abstained=True)]
    soup = page(lines, Pictured({0: PICTURE}, ["probabilities"], 7), chosen(findings=False))
    assert sides(soup) == [["R1 covid 70 %"], ["L1 covid 70 % (abstains)"]]
    assert [text(row) for row in soup.select(".rows span")] == ["frames", "evidence for covid"]
    assert not any(word in text(soup) for word in ("A-lines", "severit"))


def test_why_there_are_no_pictures_or_only_some_is_said() -> None:
    assert "Without pictures: The workers make none." in text(page(SIX, Pictured(remark="The workers make none.")))
    no_map = text(page(SIX, Pictured({0: PICTURE}, [], 7, "the model has no map.")))
    assert "Without evidence in the pictures: the model has no map." in no_map
    assert "HiResCAM" not in no_map
    many = [line(f"v{number}") for number in range(120)]
    soup = page(many, Pictured(dict.fromkeys(range(100), PICTURE), ["a_lines"], 7))
    assert "Pictures are shown of the first 100 videos that have a prediction" in text(soup)
    assert (len(soup.select("figure")), len(soup.select(".videos tr:has(td)"))) == (100, 120)


def test_what_is_known_of_the_model_is_said_and_what_is_not_too() -> None:
    scores = (Score("A-lines", "AUC", 0.8423, (0.7319, 0.9407), 66, 11), Score("severity", "rank correlation", -0.1, None, 66, 11))
    known = text(page(SIX, model=chosen(record=TrackRecord(0.42, {"covid": 96, "normal": 24}, 21, ("blues",), scores))))
    for said in (
        *("20261127T000000Z-0123abcd", "120 videos of 21 patients (96 covid, 24 normal)", "below 42 %"),
        *("AUC 0.84 (0.73–0.94) 66 (11)", "rank correlation −0.10 (no interval)", "Not a medical device, not for diagnosis"),
    ):
        assert said in known
    assert "There is no evaluation beside this model" in text(page(SIX))


def test_what_a_manifest_says_is_text_and_the_page_asks_for_nothing() -> None:
    """Names are escaped, even where they are no UTF-8; the page has no script and no address to fetch from."""
    evil = "<script>alert(1)</script>\udcfc"
    soup = page([line(evil, evil, f"R1 {evil}")], Pictured({0: PICTURE}, ["a_lines"], 7))
    assert not soup.select("script, link, iframe")
    assert "<script>alert(1)</script>\\udcfc" in text(soup)
    addresses = [tag[name] for name in ("src", "href") for tag in soup.select(f"[{name}]")]
    assert all(re.match(r"#|data:", address) for address in addresses)
    assert "url(" not in str(soup.style)


@pytest.mark.slow
def test_lus_predict_makes_the_page(phantoms: Path, save_model: Any, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from pipelines.commands.main import main

    for findings in (True, False):
        path = tmp_path / f"{findings}.html"
        options = ["--model", str(save_model(findings=findings)), "-o", str(tmp_path / "out.jsonl"), "--page", str(path)]
        result = CliRunner().invoke(main, ["predict", str(phantoms), *options])
        assert result.exit_code == 0, result.output
        soup = BeautifulSoup(path.read_bytes(), "html.parser")
        assert len(soup.select("h2")) == 10, "each video is of a patient of its own"
        figures = soup.select("figure")
        assert len(figures) == 9, "of the video that cannot be decoded there is none"
        rows = [text(row) for row in figures[0].select(".rows span")]
        assert rows[1:] == ["evidence for A-lines", "evidence for B-lines"] if findings else rows[1].startswith("evidence for ")
