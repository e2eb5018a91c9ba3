import pytest

from components.core.errors import UsageError
from components.core.records.manifest import ManifestRow
from components.core.records.selection import Selection

ROWS = [
    ManifestRow("a", "/a", "covid", "a", probe="convex", source="LITFL", license="CC BY-NC-SA 4.0"),
    ManifestRow("b", "/b", "normal", "b", probe="linear", source="Papers", license="CC BY 4.0", anatomy="lung"),
    ManifestRow("c", "/c", "pneumonia", "c", probe="convex", source="LITFL", license="CC0", anatomy="cardiac"),
    ManifestRow("d", "/d", "other", "d"),
    ManifestRow("e", "/e", "covid", "e", exclude="withdrawn"),
    ManifestRow("f", "/f", "covid", "f", license="cc-by-sa 3.0"),
    ManifestRow("g", "/g", "covid", "g", license="CC BY-ND 4.0"),
]


def taken(selection: Selection) -> str:
    selection.check(ROWS)
    return "".join(row.video_id for row in ROWS if selection.takes(row))


@pytest.mark.parametrize(
    ("selection", "ids"),
    [
        (Selection(), "abfg"),
        (Selection(anatomies="any"), "abcfg"),
        (Selection(anatomies="cardiac"), "c"),
        (Selection(sources="litfl, papers"), "ab"),
        (Selection(classes="covid"), "afg"),
        (Selection(probes="linear"), "b"),
        (Selection(licences="open", anatomies="any"), "bcf"),
        (Selection(licences="open,CC BY-ND 4.0"), "bfg"),
        (Selection(licences="not stated,CC BY 4.0"), "b"),
    ],
)
def test_rows_are_taken(selection: Selection, ids: str) -> None:
    assert taken(selection) == ids


@pytest.mark.parametrize(
    ("row", "reason"),
    [(0, "licence: CC BY-NC-SA 4.0"), (2, "anatomy: cardiac"), (3, "class: other"), (4, "withdrawn"), (1, "")],
)
def test_a_row_that_is_not_taken_has_a_reason(row: int, reason: str) -> None:
    assert Selection(licences="open").reason_against(ROWS[row]) == reason


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection(sources="LITFL,Bogus"), "sources: no video of the manifest has 'bogus'; use values from any, LITFL, Papers"),
        (Selection(licences="MIT"), "licences: no video of the manifest has 'mit'"),
        (Selection(probes=""), "probes: no video of the manifest has ''"),
        (Selection(sources="papers", classes="covid"), "the selection leaves none of the manifest's 7 videos"),
    ],
)
def test_what_no_row_has_is_wrong_usage(selection: Selection, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        selection.check(ROWS)
