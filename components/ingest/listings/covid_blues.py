"""The 362 videos of COVID-BLUES (Wiedemann et al., doi 10.1109/JBHI.2025.3543686): 63 patients, one device, six BLUE points a patient.

label    By the clinical diagnosis, of which each patient has one. The PCR test says the same of COVID-19.
zone     The BLUE point, which is in the file's name; some were taken twice (`patient_15_L2_2.mp4`).
patient_id   The same as the group; it stays when preprocess joins groups of patients whose videos look alike.
a_lines, b_lines, severity   What two experts saw in each video; severity is the score of Soldati et al., 2020.
"""

import re
from pathlib import Path, PurePosixPath

from components.ingest.listings.clone import Clone
from components.ingest.listings.covidx_us import Row

REPOSITORY = "NinaWie/COVID-BLUES"
COMMIT = "1857a6fba9b8d00614f133fe8ffb7bc1f1a14f78"
DIAGNOSES = {
    "healthy_lung": ("normal", "healthy lung"),
    "bacterial_pneumonia": ("pneumonia", "bacterial pneumonia"),
    "other_viral_pneumonia": ("pneumonia", "other viral pneumonia"),
    "COVID19_pneumonia": ("covid", "COVID-19 pneumonia"),
    "other_lung_disease": ("other", "other lung disease"),
}
SEXES = {"0.0": "female", "1.0": "male"}
SAME_FOR_ALL = {
    "via": "direct",
    "probe": "convex",
    "source": "COVID-BLUES",
    "license": "CC BY-NC-ND 4.0",
    "license_url": "https://creativecommons.org/licenses/by-nc-nd/4.0/",
    "doi": "10.1109/JBHI.2025.3543686",
    "anatomy": "lung",
}


def rows(folder: Path) -> list[Row]:
    """Returns the rows of the catalog by patient and zone, from a clone of the repository."""
    clone = Clone(folder, REPOSITORY, COMMIT)
    patients = {facts["patient_id"]: facts for facts in clone.table("clinical_variables.csv")}
    findings = {facts["video_file"]: facts for facts in clone.table("severity.csv")}
    paths = {PurePosixPath(path).stem: path for path in clone.files("lus_videos")}
    names = sorted(paths, key=lambda name: (int(_patient(name)), name))
    return [_row(clone, paths[name], patients[_patient(name)], findings[name]) for name in names]


def _patient(name: str) -> str:
    return name.split("_")[1]


def _row(clone: Clone, path: str, patient: Row, found: Row) -> Row:
    name = PurePosixPath(path).stem.removeprefix("patient_")
    group = f"COVID-BLUES/patient-{patient['patient_id']}"
    label, label_detail = next(meaning for diagnosis, meaning in DIAGNOSES.items() if patient[f"clin_diagn#{diagnosis}"] == "1")
    return {
        **SAME_FOR_ALL,
        "video_id": f"blues-{name.lower().replace('_', '-')}",
        "uri": clone.address(path),
        "label": label,
        "label_detail": label_detail,
        "group": group,
        "page_url": clone.page(),
        "file": PurePosixPath(path).name,
        "file_type": "mp4",
        "patient": patient["patient_id"],
        "sex": SEXES[patient["pat_sex"]],
        "age": patient["pat_age"].removesuffix(".0"),
        "sha256": clone.sha256(path),
        "a_lines": found["A-lines"].strip(),
        "b_lines": found["B-lines"].strip(),
        "severity": found["Severity Score"].removesuffix(".0"),
        "zone": re.findall(r"[LR][123]", name)[0],
        "patient_id": group,
    }
