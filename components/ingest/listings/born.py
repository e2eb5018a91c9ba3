"""The 135 videos that Born et al. (doi 10.3390/app11020672) keep in their repository, from a clone of it.

copy_of    The video is another row's, cropped. COPIES says which, by how it is known:
           - the metadata give the address or the name of the original's file, or its number among an article's;
           - the page or the case is the original's, and so are the number of frames and their rate, which no other video of it has;
           - day 1 of The PocusAtlas's patient is known by its name alone: the original has 76 frames, the copy 33;
           - Pneu_northumbria_1009_vid1 is another crop of Pneu_Avi_Video_002 (their frames correlate with 0.94), although it is listed
             under another patient.
           No original has been compared by eye. 41_grepmed_pneumonia has the length and rate of the four videos of Tsung et al. (151
           frames, six seconds), as any clip of six seconds has: nothing else speaks for a copy.
label      A copy has its original's, and its original's anatomy. Two views of LITFL's case 3 are normal to Born et al.; the catalog
           calls all views of a patient by the disease.
group      The patient, or the original's group. Northumbria's numbers of patients are not to be relied on (see copy_of), so there it is the
           series that the file's name tells; `patient_id` holds the number.
sex, age   Two rows of LITFL's case 3 have slipped by a column. An age of 0 means that none is known.
severity   The score of Gare et al. (arXiv:2201.07357), 0-3, for 84 of the videos; they give it under CC BY-NC 4.0.
a_lines, b_lines   Empty: the metadata's 1 says that a physician has mentioned them, but its 0 does not say that there were none (nine
           comments that speak of B-lines, among them "confluent B lines", stand beside a 0).
exclude    One video lies in a folder called label_uncertain, and a physician takes it for the same as Vir_prospective_file2.
sha256     Four files of more than 4 MiB were not in the clone from which the catalog was made.
"""

import re
from pathlib import Path, PurePosixPath
from urllib.parse import urldefrag

from components.ingest.listings.clone import Clone
from components.ingest.listings.covidx_us import Row

REPOSITORY = "jannisborn/covid19_ultrasound"
COMMIT = "529c06a651ee42fb4d47445f72eede0ed3337245"
DOI = "10.3390/app11020672"
CLASSES = {"COVID-19": "covid", "Bacterial pneumonia": "pneumonia", "Viral pneumonia": "pneumonia", "regular": "normal"}
SEXES = {"m": "male", "w": "female"}
EXCLUDED = {"Vir_or_Pneu_prospective_file4": "its source calls the label uncertain"}
NORTHUMBRIA = "18"
COPIES = {
    # by the address, the name or the number of the original's file
    "Cov-Atlas+(44)": "53_pocusatlas_covid",
    "Cov-Atlas-+(43)": "54_pocusatlas_covid",
    "Cov-Atlas+(45)": "61_pocusatlas_covid",
    "Cov-Atlas-Day+1": "49_pocusatlas_covid",
    "Cov-Atlas-Day+2": "50_pocusatlas_covid",
    "Cov-Atlas-Day+3": "51_pocusatlas_covid",
    "Cov-Atlas-Day+4": "52_pocusatlas_covid",
    "Reg-Atlas-alines": "62_pocusatlas_normal",
    "Reg-Atlas-lungcurtain": "76_pocusatlas_normal",
    "Pneu_Basal-pneumonia-RUQ_crop": "121_litfl_pneumonia",
    "Pneu_basalpneumonia_liftle_case1": "122_litfl_pneumonia",
    "Reg_liftl_pneucase3_clip1": "127_litfl_pneumonia",
    "Reg_liftl_case3_clip2": "128_litfl_pneumonia",
    "Pneu_liftl_pneu_case3_clip3": "129_litfl_pneumonia",
    "Pneu_liftl_pneu_case3_clip4": "130_litfl_pneumonia",
    "Pneu_liftl_pneu_case3_clip5": "131_litfl_pneumonia",
    "Pneu_Pneumonia-LITFL-Ultrasound_crop": "132_litfl_pneumonia",
    "Cov_convex_volpecelli_sonographic_v1": "201_paper_covid",
    "Cov_convex_volpecelli_sonographic_v2": "202_paper_covid",
    "Cov_convex_volpecelli_sonographic_v3": "203_paper_covid",
    "Cov_convex_volpecelli_sonographic_v4": "204_paper_covid",
    "Cov_convex_volpecelli_sonographic_v5": "205_paper_covid",
    # by the page or the case, the probe, and the number of frames and their rate
    "Vir_liftl_H1N1_case2_clip1": "123_litfl_pneumonia",
    "Vir_liftl_H1N1_case2_clip2": "124_litfl_pneumonia",
    "Pneu_from_article_rippey": "151_litfl_pneumonia",
    "Cov-Atlas-pleural2": "55_pocusatlas_covid",
    "Pneu-Atlas-pneumonia": "64_pocusatlas_pneumonia",
    "Pneu-Atlas-pneumonia2": "69_pocusatlas_pneumonia",
    "Reg-Atlas": "71_pocusatlas_normal",
    "Reg-NormalLungs": "152_radio_normal",
    "pneu-radiopaeda": "153_radio_pneumonia",
    # by its frames
    "Pneu_northumbria_1009_vid1": "pneu-avi-video-002",
}


def rows(folder: Path, covidx_us: list[Row]) -> list[Row]:
    """Returns the rows of the catalog, in the order of the metadata.

    Args:
        folder: a clone of the repository.
        covidx_us: the rows of the videos of which some are copies.
    """
    clone = Clone(folder, REPOSITORY, COMMIT)
    paths = {PurePosixPath(path).stem: path for path in clone.files("data/pocus_videos")}
    by_id = {row["video_id"]: row for row in covidx_us}
    for facts in clone.table("data/dataset_metadata.csv"):
        name = facts["Filename"]
        if name in paths:
            row = _row(clone, paths[name], facts, by_id.get(COPIES.get(name, "")))
            by_id[row["video_id"]] = row
    return list(by_id.values())[len(covidx_us) :]


def _row(clone: Clone, path: str, facts: Row, original: Row | None) -> Row:
    name = facts["Filename"]
    patient, sex, age = _patient(facts)
    label = CLASSES[facts["Label"]]
    group = f"Born/{_series(name) if facts['Source ID'] == NORTHUMBRIA else f'patient-{patient}'}"
    page = facts["URL (Video Name)"].split(" ")[0]
    shown = original or {"video_id": "", "label": label, "group": group, "anatomy": "lung"}
    return {
        "video_id": re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"),
        "uri": clone.address(path),
        "via": "direct",
        "label": shown["label"],
        "label_detail": facts["Label"] if label == shown["label"] else "",
        "group": shown["group"],
        "probe": facts["Probe"],
        "source": "Born",
        "license": facts["License"].replace(" -", "-"),
        "license_url": facts["LinkToLicense"].removesuffix("#"),
        "page_url": urldefrag(page).url if page.startswith("http") else clone.page(),
        "doi": facts["DOI"].removeprefix("https://doi.org/") or DOI,
        "anatomy": shown["anatomy"],
        "exclude": EXCLUDED.get(name, ""),
        "file": PurePosixPath(path).name,
        "file_type": PurePosixPath(path).suffix.removeprefix(".").lower(),
        "patient": patient,
        "sex": SEXES.get(sex, ""),
        "age": age if age.isdigit() and age != "0" else "",
        "sha256": clone.sha256(path),
        "copy_of": shown["video_id"],
        "severity": facts["Lung Severity Score"],
        "patient_id": f"Born/patient-{patient}" if facts["Source ID"] == NORTHUMBRIA else "",
    }


def _patient(facts: Row) -> tuple[str, str, str]:
    """Returns number, sex and age."""
    sex, age, patient, slipped = (facts[name] for name in ("Gender", "Age", "Patient ID / Name", "Lung /abdomen interface"))
    return (slipped, age, patient) if sex.isdigit() else (patient, sex, age)


def _series(name: str) -> str:
    """Returns which of Northumbria's videos were recorded, or sent, together: those of a numbered set, whatever they show, or of a name."""
    numbered = re.search(r"northumbria_\d+_set\d", name)
    return numbered[0] if numbered else re.sub(r"[-_]?(vid)?\d+$", "", name)
