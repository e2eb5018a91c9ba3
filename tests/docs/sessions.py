"""Terminals that the documentation shows, and what is compared of them with what commands print: all but numbers and places."""

import itertools
import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "terminal.md"
_WARNING = " warning: "
_BLOCK = re.compile(r"^```text\n\$ (.+?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Intervals, which few groups do not have; versions and folders of runs; durations; what is left of numbers.
_PLACEHOLDERS = (
    (r" +\(95 %.*?\)", ""),
    (r"\S*/\S+|\b\d{8}T\d{6}Z-[0-9a-f]{8}\b", "PLACE"),
    (r"(\d+ (min|h) )?\d+ s\b", "TIME"),
    (r"\d+(\.\d+)?", "0"),
    (r" +", " "),
)


def session(command: str) -> str:
    """Returns what the page shows below the first command that begins like this."""
    return next(output for shown, output in _BLOCK.findall(PAGE.read_text(encoding="utf-8")) if shown.startswith(command))


def shape(text: str) -> list[str]:
    """Returns the lines of a terminal without what differs from run to run; warnings come in the order in which threads find them."""
    for pattern, placeholder in _PLACEHOLDERS:
        text = re.sub(pattern, placeholder, text)
    lines = [line.rstrip() for line in text.strip().splitlines()]
    groups = (list(group) for _, group in itertools.groupby(lines, key=lambda line: line.startswith(_WARNING)))
    return [line for group in groups for line in (sorted(group) if group[0].startswith(_WARNING) else group)]


def shape_without_warnings(text: str) -> list[str]:
    """Returns the same of a run as if each of its videos had been good."""
    return [line for line in shape(text.replace(", 1 missing, 1 rejected", "")) if not line.startswith(_WARNING)]
