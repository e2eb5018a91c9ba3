"""The catalog against the figures that were counted in what its collections publish, and the decisions about their oddities."""

import collections
import csv
import os
import re
from pathlib import Path

import pytest

from components.core.records.clips import CLASS_NAMES
from components.core.records.manifest import CATALOG, ManifestRow, check_groups, read_manifest
from components.core.records.selection import Selection
from components.ingest import build_catalog
from components.ingest.listings import covidx_us

SHARED = Path(__file__).parents[3] / "shared" / "data"
METADATA = Path(os.environ.get("LUS_COVIDX_US", SHARED / "covidx_us"))
CLONES = [Path(os.environ.get(name, "")) for name in ("LUS_COVID_BLUES", "LUS_BORN")]
NEW_SOURCES = ("COVID-BLUES", "Born")
ROWS = {row.video_id: row for row in read_manifest(CATALOG)}
with build_catalog.CATALOG.open(encoding="utf-8", newline="") as file:
    FACTS = {row["video_id"]: row for row in csv.DictReader(file)}


def counted(column: str, **of: str) -> dict[str, int]:
    return dict(collections.Counter(row[column] for row in FACTS.values() if all(row[key] == value for key, value in of.items())))


def test_the_rows_of_the_nine_are_what_the_script_makes_of_the_metadata() -> None:
    if not METADATA.is_dir():
        pytest.skip("the metadata of COVIDx-US are not here; set LUS_COVIDX_US to their folder")
    listed = [row for row in FACTS.values() if row["source"] not in NEW_SOURCES]
    assert [{**dict.fromkeys(build_catalog.COLUMNS, ""), **row} for row in covidx_us.rows(METADATA)] == listed


def test_it_is_what_the_script_makes_of_the_metadata_and_the_clones() -> None:
    if not METADATA.is_dir() or Path() in CLONES:
        pytest.skip("set LUS_COVIDX_US, LUS_COVID_BLUES and LUS_BORN to the metadata and to clones of the repositories")
    assert build_catalog.build(METADATA, *CLONES) == list(FACTS.values())


def shared_rows(name: str) -> list[dict[str, str]]:
    """Reads a manifest that others have made of a part of the same videos."""
    manifest = SHARED / name / "manifest.csv"
    if not manifest.is_file():
        pytest.skip(f"the videos {name!r} are not here")
    with manifest.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_covid_blues_is_as_others_have_read_its_tables() -> None:
    same = ("label", "label_detail", "probe", "license", "license_url", "page_url", "doi", "sex", "age", "sha256")
    found = ("severity", "a_lines", "b_lines")
    listed = shared_rows("covid_blues")
    assert len(listed) == 291
    for row in listed:
        facts = FACTS[row["video_id"]]
        assert {name: facts[name] for name in same + found} == {name: row[name] for name in same + found}
        assert (facts["zone"], facts["file"]) == (row["blue_point"], Path(row["uri"]).name)
        assert facts["group"].rpartition("-")[2] == row["group"].rpartition("-")[2] == facts["patient"]


def test_the_collection_of_born_is_as_others_have_read_its_table() -> None:
    listed = shared_rows("pocus")
    assert len(listed) == 96
    for row in listed:
        facts = FACTS[row["video_id"]]
        assert facts["sha256"] == row["sha256"]
        for name in ("probe", "license", "license_url"):
            assert facts[name] == row[name]
    differing = {row["video_id"] for row in listed if FACTS[row["video_id"]]["label"] != row["label"]}
    assert differing == {"reg-liftl-pneucase3-clip1", "reg-liftl-case3-clip2"}  # normal views of a patient with a pneumonia
    together: dict[str, set[str]] = collections.defaultdict(set)
    for row in listed:
        together[row["group"]].add(FACTS[row["video_id"]]["group"])
    assert {len(groups) for groups in together.values()} == {1}


def test_the_figures_are_those_of_the_metadata() -> None:
    assert counted("source") == {
        **{"Butterfly": 36, "GrepMed": 20, "LITFL": 63, "PocusAtlas": 32, "Radiopaedia": 5},
        **{"CoreUltrasound": 18, "UF": 24, "Papers": 22, "Clarius": 23},
        **{"COVID-BLUES": 362, "Born": 135},
    }
    assert counted("file_type", source="UF") == {"wmv": 13, "mp4": 9, "mov": 2}
    assert counted("file_type", source="Papers") == {"mp4": 11, "avi": 6, "mov": 5}
    assert counted("via", source="CoreUltrasound") == {"direct": 11, "vimeo": 7}
    assert counted("via", source="Clarius") == {"direct": 6, "google-drive": 17}
    assert counted("via", source="Butterfly") == {"transfer-page": 36}
    of_the_nine = collections.Counter(row["label"] for row in FACTS.values() if row["source"] not in NEW_SOURCES)
    assert of_the_nine == {"covid": 72, "pneumonia": 49, "normal": 28, "other": 94}
    assert counted("license", source="LITFL") == {"CC BY-NC-SA 4.0": 63}
    assert counted("license", source="Papers") == {"CC BY 4.0": 5, "": 17}


def test_covid_blues_has_what_its_repository_counts() -> None:
    patients = {row["patient"]: row for row in FACTS.values() if row["source"] == "COVID-BLUES"}
    assert len(patients) == 63
    assert collections.Counter(row["label"] for row in patients.values()) == {"covid": 33, "other": 16, "normal": 10, "pneumonia": 4}
    assert counted("severity", source="COVID-BLUES") == {"0": 120, "1": 111, "2": 83, "3": 48}
    assert counted("a_lines", source="COVID-BLUES") == {"yes": 251, "no": 111}
    assert counted("b_lines", source="COVID-BLUES") == {"yes": 235, "no": 127}
    assert counted("zone", source="COVID-BLUES") == {"L1": 65, "L2": 57, "L3": 56, "R1": 64, "R2": 61, "R3": 59}
    assert counted("license", source="COVID-BLUES") == {"CC BY-NC-ND 4.0": 362}
    assert FACTS["blues-15-l2-2"]["zone"] == FACTS["blues-15-l2"]["zone"] == "L2"


def test_the_collection_of_born_has_what_its_table_counts() -> None:
    assert counted("label_detail", source="Born") == {
        **{"regular": 57, "": 2, "Bacterial pneumonia": 37, "COVID-19": 33, "Viral pneumonia": 6},
    }
    assert counted("severity", source="Born") == {"": 51, "0": 48, "1": 16, "2": 12, "3": 8}
    assert counted("probe", source="Born") == {"convex": 124, "linear": 11}
    assert counted("license", source="Born") == {
        **{"CC BY-NC 4.0": 62, "CC BY 4.0": 42, "CC BY-NC-SA 4.0": 16, "COVID-19 emergency license": 8},
        **{"CC BY 2.0": 5, "CC BY-NC-SA 3.0": 2},
    }
    slipped = FACTS["reg-liftl-case3-clip2"]
    assert (slipped["patient"], slipped["sex"], slipped["age"]) == ("7", "male", "40")


def test_what_a_repository_holds_is_pinned_to_a_commit_and_to_its_bytes() -> None:
    rows = [row for row in FACTS.values() if row["source"] in NEW_SOURCES]
    assert all(re.match(r"https://raw\.githubusercontent\.com/[^/]+/[^/]+/[0-9a-f]{40}/", row["uri"]) for row in rows)
    assert [row["video_id"] for row in rows if not re.fullmatch("[0-9a-f]{64}", row["sha256"])] == [
        *("cov-denault-proposedus-vid2", "cov-emdocs-vid1", "cov-emdocs-vid2", "cov-emdocs-vid3"),
    ]
    assert len({row["sha256"] for row in rows if row["sha256"]}) == len(rows) - 4


def test_only_licences_without_limits_on_use_are_open() -> None:
    taken_as_open = {row.license for row in ROWS.values() if Selection(licences="open").takes(row)}
    assert taken_as_open == {"CC BY 4.0", "CC BY 2.0"}


def copies() -> list[ManifestRow]:
    return [row for row in ROWS.values() if row.copy_of]


def test_a_copy_shares_label_group_and_fate_with_its_original() -> None:
    assert len(copies()) == len({row.copy_of for row in copies()}) == 32
    for row in copies():
        original = ROWS[row.copy_of]
        assert not original.copy_of
        assert (row.class_name, row.group, row.anatomy) == (original.class_name, original.group, original.anatomy)
        assert Selection().takes(row) == Selection().takes(original)
        assert (row.crop, row.probe, row.license) == (None, original.probe, original.license)


@pytest.mark.parametrize(
    ("video_id", "original", "told_by"),
    [
        ("cov-atlas-44", "53_pocusatlas_covid", r"optimize\+%2844%29\.gif"),
        ("pneu-liftl-pneu-case3-clip4", "130_litfl_pneumonia", r"2019/05/Pneumonia-Case-3_2-AG\.mp4"),
        ("pneu-basalpneumonia-liftle-case1", "122_litfl_pneumonia", r"2018/12/basal-pneumonia-01\.mp4"),
        ("reg-atlas-lungcurtain", "76_pocusatlas_normal", r"Lung\+Curtain\.gif"),
        ("cov-convex-volpecelli-sonographic-v3", "203_paper_covid", r"13089_2020_171_MOESM3_ESM"),
    ],
)
def test_a_copy_is_told_by_the_address_of_its_original(video_id: str, original: str, told_by: str) -> None:
    assert ROWS[video_id].copy_of == original
    assert re.search(told_by, FACTS[original]["uri"])


def taken(**fields: str) -> list[ManifestRow]:
    selection = Selection(**fields)
    return [row for row in ROWS.values() if selection.takes(row)]


def test_what_is_taken_by_default_is_enough_to_train_on() -> None:
    rows = taken()
    check_groups(rows, CLASS_NAMES)
    assert {row.class_name for row in rows} == set(CLASS_NAMES)
    assert {row.anatomy for row in rows} == {"lung"}
    assert len(rows) == 137 + 279 + 134
    assert len([row for row in rows if not row.copy_of]) == 137 + 279 + 102


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
        ("blues-10-l1", "class: other"),
        ("vir-or-pneu-prospective-file4", "its source calls the label uncertain"),
        ("vir-prospective-file2", ""),
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
        ["53_pocusatlas_covid", "54_pocusatlas_covid", "61_pocusatlas_covid", "cov-atlas-43", "cov-atlas-44", "cov-atlas-45"],
        ["55_pocusatlas_covid", "29_grepmed_covid", "cov-atlas-pleural2"],
        ["pneu-avi-video-001", "pneu-avi-video-002", "pneu-northumbria-1009-vid1"],
        ["pneu-northumbria-0409-set5-vid1", "reg-northumbria-0409-set5-vid2"],
        ["reg-pat1image-132943", "reg-image-182106-crop"],
        ["blues-7-l1", "blues-7-r3"],
    ],
)
def test_what_belongs_together_shares_a_group(members: list[str]) -> None:
    group = ROWS[members[0]].group
    assert {ROWS[video_id].group for video_id in members} == {group}
    others = [row for video_id, row in ROWS.items() if video_id not in members and not row.copy_of]
    assert group not in {row.group for row in others if row.source != ROWS[members[0]].source}


def test_a_video_without_a_patient_is_a_group_by_itself() -> None:
    groups = collections.Counter(row.group for row in ROWS.values())
    alone = {video_id for video_id, row in ROWS.items() if row.source in ("Butterfly", "GrepMed")} - {"29_grepmed_covid"}
    assert all(groups[video_id] == 1 for video_id in alone)


def test_the_groups_of_covid_blues_are_its_patients() -> None:
    groups: dict[str, set[str]] = collections.defaultdict(set)
    for row in FACTS.values():
        if row["source"] == "COVID-BLUES":
            groups[row["group"]].add(row["patient"])
            assert row["patient_id"] == row["group"]
    assert len(groups) == 63
    assert {len(patients) for patients in groups.values()} == {1}


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
