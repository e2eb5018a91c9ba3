from pathlib import Path

import pytest

from components.core.errors import UsageError
from components.core.records.tables import TableRow, read_table

ROWS = [TableRow(2, {"path": "a", "label": "covid", "region": ""}), TableRow(3, {"path": "é", "label": "normal", "region": "1,2,3,4"})]
PLAIN = 'path,label,region\na,covid,\né,normal,"1,2,3,4"\n'
SEMICOLONS = "path;label;region\na;covid;\né;normal;1,2,3,4\n"
TABS = "path\tlabel\tregion\na\tcovid\t\né\tnormal\t1,2,3,4\n"


def read(folder: Path, content: str | bytes) -> list[TableRow]:
    (folder / "table.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(str(folder / "table.csv"), "table", ("path", "label"), ("region",))


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        PLAIN.encode("utf-8-sig"),
        PLAIN.encode("utf-16"),
        PLAIN.encode("utf-16-be").join((b"\xfe\xff", b"")),
        PLAIN.replace("\n", "\r"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.rstrip("\n"),
        SEMICOLONS,
        SEMICOLONS.encode("utf-8-sig"),
        TABS,
        TABS.replace("\n", "\r\n").encode("utf-16"),
        PLAIN + ",,\n , ,\n\n\n",
        PLAIN.replace("path,label,region", " Path , LABEL,Region "),
        PLAIN.replace(",covid", ", covid ").replace(',"1', ', "1'),
        PLAIN.replace("a,covid,", '"a","covid",""'),
        PLAIN.replace("a,covid,", "a,covid"),
        PLAIN.replace("a,covid,", "a,covid,,,"),
        'path,label,region,note,note\na,covid,,x,y\né,normal,"1,2,3,4",x,\n',
    ],
)
def test_what_spreadsheets_and_scripts_write_is_read(tmp_path: Path, content: str | bytes) -> None:
    assert read(tmp_path, content) == ROWS


def test_the_line_that_tells_excel_the_delimiter_is_passed_over(tmp_path: Path) -> None:
    assert read(tmp_path, f"sep=;\r\n{SEMICOLONS}") == [TableRow(row.line + 1, row.cells) for row in ROWS]


def test_rows_are_numbered_by_the_line_in_which_they_begin(tmp_path: Path) -> None:
    rows = read(tmp_path, '\n\npath,label,note\na,covid,"two\nlines"\n,,\nb,normal,x\n')
    assert [(row.line, row.cells["path"]) for row in rows] == [(4, "a"), (7, "b")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "lacks the column.* path, label; its header, line 1, has none"),
        ("path;label,region\na,covid\n", "lacks the column.* path, label; its header, line 1, has region"),
        ("Erika/M.dcm,covid\n", "lacks the column.* has none of those"),
        ("path,label,Label \na,covid,normal\n", "line 1: the column label is there twice"),
        ("path,label,region,region\na,covid,,\n", "line 1: the column region is there twice"),
        ("path,la\0bel\na,covid\n", "line 1: it holds a NUL"),
        ("path,label\na,covid\nb,co\0vid\n", "line 3: it holds a NUL"),
        ("path,label\ra,covid\rb,co\0vid\r", "line 3: it holds a NUL"),
        (PLAIN.encode("utf-16-le"), "line [13]: (it holds a NUL|not UTF-8)"),
        ("path,label\na,covid\né,normal\n".encode("cp1252"), "line 3: not UTF-8 text"),
        ("pfäd,label\n".encode("cp1252"), "line 1: not UTF-8 text"),
        (b"\xff\xfep\0a\0t", "line 1: not UTF-8 text"),
        ('path,label\na,covid\n"b,normal\nc,covid\n', "after line 2: no CSV .unexpected end of data.; look for a quotation mark"),
        ('"path,label\na,covid\n', "line 1: no CSV"),
        ('path,label\na,covid\n"b"c,normal\n', "after line 2: no CSV"),
        ("path,label\na,covid\n" + "b" * 200_000 + ",normal\n", "after line 2: no CSV .field larger than field limit"),
        ("path," + "b" * 200_000 + ",label\n", "line 1: no CSV"),
        ('path,label\n"a\nb",covid\n', "line 2: path goes over the end of the line"),
        ('path,label,region,note\na,covid,,"x\nb,normal,,"\nc,covid,,\n', "line 2: a cell seems to hold the rows below"),
        ("path,label\na,b,covid\n", "line 2: it has more cells than the header, 3 instead of 2; quote cells that hold ','"),
        ("path;label\na;b;covid\n", "line 2: it has more cells than the header, 3 instead of 2; quote cells that hold ';'"),
    ],
)
def test_what_is_no_table_is_refused_with_the_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        read(tmp_path, content)
    assert raised.value.exit_code == 2
    assert "\n" not in str(raised.value)
    assert "Erika" not in str(raised.value)


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.csv", tmp_path):
        with pytest.raises(UsageError, match="does not exist; give a CSV file with the columns path, label"):
            read_table(str(path), "table", ("path", "label"))
