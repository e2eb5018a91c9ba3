"""The catalog against the figures that were counted in COVIDx-US's metadata, and the decisions about its oddities."""

import collections
import csv
import os
from pathlib import Path

import pytest

from components.core.records.clips import CLASS_NAMES
from components.core.records.manifest import CATALOG, ManifestRow, check_groups, read_manifest
from components.core.records.selection import Selection
from components.ingest import build_catalog

METADATA = Path(os.environ.get("LUS_COVIDX_US", Path(__file__).parents[3] / "shared" / "data" / "covidx_us"))
ROWS = {row.video_id: row for row in read_manifest(CATALOG)}
with build_catalog.CATALOG.open(encoding="utf-8", newline="") as file:
    FACTS = {row["video_id"]: row for row in csv.DictReader(file)}


def counted(column: str, **of: str) -> dict[str, int]:
    return dict(collections.Counter(row[column] for row in FACTS.values() if all(row[key] == value for key, value in of.items())))


def test_it_is_what_the_script_makes_of_the_metadata() -> None:
    if not METADATA.is_dir():
        pytest.skip("the metadata of COVIDx-US are not here; set LUS_COVIDX_US to their folder")
    assert build_catalog.build(METADATA) == list(FACTS.values())


def test_the_figures_are_those_of_the_metadata() -> None:
    assert counted("source") == {
        **{"Butterfly": 36, "GrepMed": 20, "LITFL": 63, "PocusAtlas": 32, "Radiopaedia": 5},
        **{"CoreUltrasound": 18, "UF": 24, "Papers": 22, "Clarius": 23},
    }
    assert counted("file_type", source="UF") == {"wmv": 13, "mp4": 9, "mov": 2}
    assert counted("file_type", source="Papers") == {"mp4": 11, "avi": 6, "mov": 5}
    assert counted("via", source="CoreUltrasound") == {"direct": 11, "vimeo": 7}
    assert counted("via", source="Clarius") == {"direct": 6, "google-drive": 17}
    assert counted("via", source="Butterfly") == {"transfer-page": 36}
    assert counted("label") == {"covid": 72, "pneumonia": 49, "normal": 28, "other": 94}
    assert counted("license", source="LITFL") == {"CC BY-NC-SA 4.0": 63}
    assert counted("license", source="Papers") == {"CC BY 4.0": 5, "": 17}


def taken(**fields: str) -> list[ManifestRow]:
    selection = Selection(**fields)
    return [row for row in ROWS.values() if selection.takes(row)]


def test_what_is_taken_by_default_is_enough_to_train_on() -> None:
    rows = taken()
    check_groups(rows, CLASS_NAMES)
    assert {row.class_name for row in rows} == set(CLASS_NAMES)
    assert {row.anatomy for row in rows} == {"lung"}
    assert len(rows) == 137


@pytest.mark.parametrize(
    ("video_id", "reason"),
    [
        ("22_butterfly_covid", "withdrawn by its source"),
        ("178_uf_other", "the same file as 184_uf_pneumonia"),
        ("5_butterfly_covid", "anatomy: cardiac"),
        ("91_butterfly_covid", "anatomy: abdomen"),
        ("125_litfl_pneumonia", "anatomy: neck"),
        ("47_litfl_pneumonia", "anatomy: unknown"),
        ("159_core_other", "class: other"),
        ("184_uf_pneumonia", ""),
        ("43_litfl_pneumonia", ""),
    ],
)
def test_what_is_left_out_has_a_reason(video_id: str, reason: str) -> None:
    assert Selection().reason_against(ROWS[video_id]) == reason


@pytest.mark.parametrize(
    "members",
    [
        ["178_uf_other", "184_uf_pneumonia"],
        ["159_core_other", "160_core_other"],
        ["161_core_other", "162_core_other"],
        ["49_pocusatlas_covid", "50_pocusatlas_covid", "51_pocusatlas_covid", "52_pocusatlas_covid"],
        ["206_paper_normal", "210_paper_other", "215_paper_other"],
        ["135_litfl_normal", "136_litfl_other"],
    ],
)
def test_what_belongs_together_shares_a_group(members: list[str]) -> None:
    group = ROWS[members[0]].group
    assert {ROWS[video_id].group for video_id in members} == {group}
    assert group not in {row.group for video_id, row in ROWS.items() if video_id not in members and row.source != ROWS[members[0]].source}


def test_a_video_without_a_patient_is_a_group_by_itself() -> None:
    groups = collections.Counter(row.group for row in ROWS.values())
    assert all(groups[video_id] == 1 for video_id, row in ROWS.items() if row.source in ("Butterfly", "GrepMed"))


def test_a_doi_filled_down_is_the_one_of_the_article() -> None:
    assert counted("doi", page_url="https://www.sciencedirect.com/science/article/pii/S0828282X20304530") == {
        "10.1016/j.cjca.2020.05.008": 10
    }


@pytest.mark.parametrize(
    ("video_id", "crop"),
    [
        ("1_butterfly_covid", (30, 15, 820, 820)),  # a bar of 15, margins of 3.5 % of 880
        ("25_grepmed_pneumonia", (307, 55, 665, 665)),  # the height limits the square
        ("187_uf_other", (90, 24, 310, 296)),  # the box leaves the frame of 320
        ("159_core_other", (0, 0, 925, 840)),
        ("160_core_other", (925, 0, 995, 707)),
    ],
)
def test_crops_are_boxes_in_the_frame(video_id: str, crop: tuple[int, int, int, int]) -> None:
    assert ROWS[video_id].crop == crop


def test_it_names_no_token() -> None:
    assert not [row for row in FACTS.values() if "signature" in str(row).lower() or "expires" in str(row).lower()]
