"""Reading the tables that users write: CSV as spreadsheets and scripts save it, or one sentence that says in which line it is none.

Read are UTF-8 and, by its byte order mark, UTF-16; comma, semicolon or tab between the cells, whichever makes the header name the columns
that are needed; lines that end with CR, LF or both; names in the header in upper or lower case. Rows without any text are passed over.
Refused is what could put a text into a wrong cell or hide a row: a column that stands twice, a row that is longer than the header, a
quotation mark that is not closed, a line break or NUL where none belongs.
"""

import codecs
import csv
import dataclasses
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from components.core import storage
from components.core.errors import UsageError

DELIMITERS = (",", ";", "\t")

_ENCODINGS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_LINE_BREAK = re.compile(r"\r\n?|\n")
# What tells Excel the delimiter, in a line before the header.
_SEPARATOR_LINE = re.compile(r"\"?sep=([,;\t])\"?[,;\t]*(\r\n?|\n)", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class TableRow:
    """A row of a table.

    Attributes:
        line: in which it begins, from 1.
        cells: the text of each column that was asked for, without spaces around it; empty where the table does not have it.
    """

    line: int
    cells: dict[str, str]


def read_table(uri: str, what: str, required: Sequence[str], optional: Sequence[str] = ()) -> list[TableRow]:
    """Reads a table.

    Args:
        uri: the file.
        what: the kind of table, as messages name it.
        required: columns that it must have; their cells hold no line break.
        optional: other columns to read; those of neither kind are ignored.

    Raises:
        UsageError: it is missing, or no such table; the message names the line, and quotes no cell.
        StorageError: it cannot be read.
    """
    path = storage.path_of(uri)
    if not storage.patiently("look up", uri, lambda: path.exists() and not path.is_dir()):
        raise UsageError(f"{what} {uri!r} does not exist; give a CSV file with the columns {', '.join(required)}.")
    return _Table(f"{what} {uri!r}", storage.read_bytes(str(path)), required, optional).rows()


class _Table:
    """The text of a table, and how its cells are told apart."""

    def __init__(self, name: str, content: bytes, required: Sequence[str], optional: Sequence[str]) -> None:
        self._name = name
        self._required = required
        self._wanted = (*required, *optional)
        self._text = self._decoded(content)
        self._num_skipped_lines = 0
        self._delimiter = self._found_delimiter()

    def rows(self) -> list[TableRow]:
        """Returns the rows below the header."""
        records = self._records(self._delimiter)
        line, header = next(records, (1, []))
        names = _names(header)
        self._check_names(names, line)
        places = {name: names.index(name) for name in self._wanted if name in names}
        return [self._row(line, cells, places, len(names)) for line, cells in records]

    def _decoded(self, content: bytes) -> str:
        encoding = next((encoding for mark, encoding in _ENCODINGS if content.startswith(mark)), "utf-8")
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError as error:
            line = _num_lines(content[: error.start].decode(encoding, "replace"))
            what = f"not UTF-8 text ({error.reason} at byte {error.start})"
            raise UsageError(f"{self._name}, line {line}: {what}; save it as UTF-8.") from None
        if "\0" in text:
            line = _num_lines(text[: text.index("\0")])
            raise UsageError(f"{self._name}, line {line}: it holds a NUL character, which no text has; save it as CSV in UTF-8.")
        return text

    def _found_delimiter(self) -> str:
        """Returns what lies between the cells: of DELIMITERS the one by which the header has all columns, else the comma."""
        if stated := _SEPARATOR_LINE.match(self._text):
            self._text, self._num_skipped_lines = self._text[stated.end() :], 1
            return stated[1]
        for delimiter in DELIMITERS:
            try:
                _, header = next(self._records(delimiter), (1, []))
            except UsageError:
                continue
            if set(_names(header)).issuperset(self._required):
                return delimiter
        return DELIMITERS[0]

    def _records(self, delimiter: str) -> Iterator[tuple[int, list[str]]]:
        """Yields the records that hold text, and the line in which each begins."""
        reader = csv.reader(io.StringIO(self._text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
        while True:
            line = reader.line_num + self._num_skipped_lines + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                where = f"after line {line - 1}" if line > 1 else "line 1"
                raise UsageError(f"{self._name}, {where}: no CSV ({error}); look for a quotation mark too many.") from None
            if any(cell.strip() for cell in cells):
                yield line, [cell.strip() for cell in cells]

    def _check_names(self, names: list[str], line: int) -> None:
        if absent := [name for name in self._required if name not in names]:
            present = ", ".join(name for name in self._wanted if name in names) or "none of those that are known"
            raise UsageError(f"{self._name} lacks the column(s) {', '.join(absent)}; its header, line {line}, has {present}.")
        twice = [name for name, count in Counter(names).items() if count > 1 and name in self._wanted]
        if twice:
            raise UsageError(f"{self._name}, line {line}: the column {twice[0]} is there twice; keep the one that is right.")

    def _row(self, line: int, cells: list[str], places: dict[str, int], num_columns: int) -> TableRow:
        where = f"{self._name}, line {line}"
        if any(cells[num_columns:]):
            numbers = f"{len(cells)} instead of {num_columns}"
            raise UsageError(f"{where}: it has more cells than the header, {numbers}; quote cells that hold {self._delimiter!r}.")
        row = {name: cells[places[name]] if places.get(name, len(cells)) < len(cells) else "" for name in self._wanted}
        for name in self._required:
            if _LINE_BREAK.search(row[name]):
                raise UsageError(f"{where}: {name} goes over the end of the line; look for a quotation mark too many.")
        for cell in cells:
            if any(inner.count(self._delimiter) == num_columns - 1 for inner in _LINE_BREAK.split(cell)[1:]):
                raise UsageError(f"{where}: a cell seems to hold the rows below; look for a quotation mark too many.")
        return TableRow(line, row)


def parse_box(text: str, where: str) -> tuple[int, int, int, int] | None:
    """Returns the x, y, width and height in pixels that a cell holds, None of an empty one.

    Raises:
        UsageError: it holds something else; the message names the place.
    """
    if not text:
        return None
    try:
        x, y, width, height = (int(number) for number in text.split(","))
    except ValueError:
        x = y = width = height = -1
    if min(x, y) < 0 or min(width, height) < 1:
        raise UsageError(f"{where} {text!r} is not a box; write x,y,width,height in pixels, or leave it empty.")
    return x, y, width, height


def to_csv(rows: Sequence[Mapping[str, str]]) -> bytes:
    """Returns a table as a CSV file, given at least one row; the columns are those of the first."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _names(header: list[str]) -> list[str]:
    return [name.strip().casefold() for name in header]


def _num_lines(text: str) -> int:
    return len(_LINE_BREAK.findall(text)) + 1
