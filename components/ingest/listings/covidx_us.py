"""The 243 videos of nine sources that COVIDx-US (Ebadi et al., arXiv:2103.10003) has listed, from its metadata.

What is odd in the metadata, and what was decided:

uri        A file of a zip is named behind `#`. Butterfly's zips are those of its transfer pages. Clarius's is the one that COVIDx-US's
           notebook fetches: the 17 addresses of single Clarius files were signed, for a short time, and are dead.
exclude    Video 22 was withdrawn by its source. Videos 178 and 184 are one file under two labels: 184 is a case report with a
           diagnosis, 178 shows the sign in general, so 184 stays.
anatomy    33 rows of the metadata leave it blank. The table of lung ultrasound scores, made later by people who looked at each video, fills
           them in and differs in one more: it counts. Video 47 is blank in both, among cardiac views of one patient, so it is `unknown`.
group      The patient. Where none is known (Butterfly, GrepMed, most of The PocusAtlas) the video by itself, although the same patient
           may hide in several. Exceptions: The PocusAtlas's four days of one patient are one group; so are all videos of an article,
           because the metadata only counts them; so are rows with the same address. TOGETHER holds what others tell: Born et al. know
           The PocusAtlas's 53, 54 and 61 as one patient, 64 and 76 as another; 29 and 55 are of one size, length and rate (600 x 436,
           75 frames, 25 a second) as no other two of different sources are, so they are taken for one video that two sources show.
doi        A spreadsheet has filled the DOI of an Elsevier article down and counted it up: rows of one article page get its first DOI.
page_url   The page of the case or the article, without the place in it, which the spreadsheet has counted up too.
sex, age   LITFL's columns slipped by a row at 141–149: where the rows of one patient disagree, both are left out.
crop       Where the metadata has no box, COVIDx-US crops a square below a bar and between two margins; it is given as a box.
           Videos 159/160 and 161/162 are two halves of one file: same address, different boxes, one group.
license    As the source states it for all its videos, or the article for its own; empty where nothing is stated.
"""

from pathlib import Path
from typing import Any
from urllib.parse import quote, urldefrag

import pandas as pd

SOURCES = {"Litfl": "LITFL", "Paper": "Papers"}
LICENSES = {
    "LITFL": ("CC BY-NC-SA 4.0", "https://creativecommons.org/licenses/by-nc-sa/4.0/"),
    "PocusAtlas": ("CC BY-NC 4.0", "https://creativecommons.org/licenses/by-nc/4.0/"),
    "Radiopaedia": ("CC BY-NC-SA 3.0", "https://creativecommons.org/licenses/by-nc-sa/3.0/"),
}
CC_BY = "http://creativecommons.org/licenses/by/4.0/"
CLARIUS_ZIP = "https://drive.google.com/file/d/1bqsqNzAJYwdriOP9CcGWPzCUB-7G72Ta/view"
SIGNED_HOST = "https://cloud-ca.s3.amazonaws.com/"
EXCLUDED = {"22_butterfly_covid": "withdrawn by its source", "178_uf_other": "the same file as 184_uf_pneumonia"}
SERIES_OF_ONE_PATIENT = "20day_patient"
TOGETHER = {
    **dict.fromkeys(("54_pocusatlas_covid", "61_pocusatlas_covid"), "53_pocusatlas_covid"),
    "76_pocusatlas_normal": "64_pocusatlas_pneumonia",
    "29_grepmed_covid": "55_pocusatlas_covid",
}

Row = dict[Any, str]  # by the name of the column


def rows(folder: Path) -> list[Row]:
    """Returns the rows of the catalog, in the order of the metadata.

    Args:
        folder: with COVIDx-US's video_metadata.csv, LUSS_metadata.csv and video_cropping_metadata.csv.
    """
    metadata = [row for row in _read(folder / "video_metadata.csv") if row["id"]]
    anatomies = {row["id"]: row["type"] for row in _read(folder / "LUSS_metadata.csv")}
    crops = {row["filename"].rpartition(".")[0]: row for row in _read(folder / "video_cropping_metadata.csv")}
    catalog = pd.DataFrame([_row(facts, anatomies[facts["id"]], crops[facts["id"]]) for facts in metadata])
    first_dois = catalog[catalog["doi"] != ""].groupby("page_url")["doi"].transform("first")
    catalog.loc[first_dois.index, "doi"] = first_dois
    patients = catalog[catalog["patient"] != ""].groupby("patient")
    for name in ("sex", "age"):
        contradicts = patients[name].transform("nunique") > 1
        catalog.loc[contradicts.index[contradicts], name] = ""
    catalog["group"] = [_group(row, facts["folder"]) for row, facts in zip(catalog.to_dict("records"), metadata, strict=True)]
    catalog["group"] = catalog.groupby("uri")["group"].transform("last")
    return catalog.to_dict("records")


def _read(path: Path) -> list[Row]:
    return pd.read_csv(path, encoding="cp1252", dtype=str, keep_default_na=False).to_dict("records")


def _row(facts: Row, anatomy: str, crop: Row) -> Row:
    source = SOURCES.get(facts["source"], facts["source"])
    license_name, license_url = LICENSES.get(source, ("CC BY 4.0", CC_BY) if facts["license"] == CC_BY else ("", ""))
    uri, via = _address(facts)
    return {
        "video_id": facts["id"],
        "uri": uri,
        "via": via,
        "label": facts["class"].lower(),
        "probe": facts["probe"].lower(),
        "source": source,
        "license": license_name,
        "license_url": license_url,
        "page_url": urldefrag(facts["link"] or facts["paper_link"].partition("?")[0]).url,
        "doi": facts["paper_doi"].removeprefix("https://doi.org/"),
        "anatomy": anatomy or "unknown",
        "exclude": EXCLUDED.get(facts["id"], ""),
        "file": facts["filename"],
        "file_type": facts["filetype"],
        "patient": facts["patient"],
        "case": facts["case_no"],
        "sex": facts["gender"],
        "age": facts["age"],
        "crop": _crop(crop),
    }


def _address(facts: Row) -> tuple[str, str]:
    """Returns a URI and the way in which it is served."""
    url = facts["url"]
    if facts["source"] == "Butterfly":
        folder = facts["folder"].split("\\")[-1]
        return f"{url}#{quote(folder)}/{quote(facts['filename'])}", "transfer-page"
    if url.startswith(SIGNED_HOST):
        return f"{CLARIUS_ZIP}#{facts['id']}.{facts['filetype']}", "google-drive"
    return url, "vimeo" if "vimeo.com/" in url else "direct"


def _crop(crop: Row) -> str:
    """Returns `x,y,width,height`, by the rule of COVIDx-US; its sizes of cropped videos agree with it on all rows."""
    width, height = int(float(crop["org_width"])), int(float(crop["org_height"]))
    if crop["x1_w_y1_h"]:
        x, box_width, y, box_height = (int(number) for number in crop["x1_w_y1_h"].strip("()").split(","))
        return f"{x},{y},{min(box_width, width - x)},{min(box_height, height - y)}"
    top, border = int(float(crop["del_upper"])), int(width * float(crop["width_rate"]))
    side = width - 2 * border
    if top + side > height:
        side = height - top
        border = int(width / 2 - side / 2)
    return f"{border},{top},{side},{side}"


def _group(row: Row, folder: str) -> str:
    source = row["source"]
    if row["doi"]:
        return f"{source}/{row['doi']}"
    if row["patient"]:
        return f"{source}/{row['patient']}"
    if folder.endswith(SERIES_OF_ONE_PATIENT):
        return f"{source}/{SERIES_OF_ONE_PATIENT}"
    return TOGETHER.get(row["video_id"], row["video_id"])
