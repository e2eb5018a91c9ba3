"""Makes catalog.csv, the manifest of the public videos, from what their collections publish about them.

    python -m components.ingest.build_catalog COVIDX_US COVID_BLUES BORN

COVIDX_US is a folder with the metadata of COVIDx-US, COVID_BLUES and BORN are clones of two repositories on GitHub. The modules of
components.ingest.listings name the repositories, and say what is odd in each collection and what was decided.

Only facts are taken over: identifiers, addresses, classes, numbers, checksums. `uri` of what a repository holds is pinned to a commit, so
`sha256` is what must come; no address of any source has been tried on the internet.
"""

import argparse
from pathlib import Path

import pandas as pd

from components.ingest.listings import born, covid_blues, covidx_us
from components.ingest.listings.covidx_us import Row

CATALOG = Path(__file__).with_name("catalog.csv")
COLUMNS = (
    *("video_id", "uri", "via", "label", "group", "probe", "source", "license", "license_url", "page_url", "doi", "anatomy", "exclude"),
    *("file", "file_type", "patient", "case", "sex", "age", "crop"),
    *("label_detail", "sha256", "copy_of", "a_lines", "b_lines", "severity", "zone", "patient_id"),
)


def build(covidx_us_folder: Path, covid_blues_clone: Path, born_clone: Path) -> list[Row]:
    """Returns the rows of the catalog, by collection."""
    listed = covidx_us.rows(covidx_us_folder)
    rows = listed + covid_blues.rows(covid_blues_clone) + born.rows(born_clone, listed)
    return [{name: row.get(name, "") for name in COLUMNS} for row in rows]


def main() -> None:
    """Writes the catalog."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("covidx_us", "covid_blues", "born"):
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args()
    rows = build(arguments.covidx_us, arguments.covid_blues, arguments.born)
    pd.DataFrame(rows).to_csv(CATALOG, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
