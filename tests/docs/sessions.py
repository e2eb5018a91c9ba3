"""Terminals that the documentation shows, and what is compared of them with what commands print: all but numbers and places."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "terminal.md"
_BLOCK = re.compile(r"^```text\n\$ (.+?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Versions and folders of runs, then durations, then what is left of numbers.
_PLACEHOLDERS = (
    (r"\S*/\S+|\b\d{8}T\d{6}Z-[0-9a-f]{8}\b", "PLACE"),
    (r"(\d+ (min|h) )?\d+ s\b", "TIME"),
    (r"\d+(\.\d+)?", "0"),
    (r" +", " "),
)


def session(command: str) -> str:
    """Returns what the page shows below a command that begins like this."""
    (found,) = [output for shown, output in _BLOCK.findall(PAGE.read_text(encoding="utf-8")) if shown.startswith(command)]
    return str(found)


def shape(text: str) -> list[str]:
    """Returns the lines of a terminal without what differs from run to run."""
    for pattern, placeholder in _PLACEHOLDERS:
        text = re.sub(pattern, placeholder, text)
    return [line.rstrip() for line in text.strip().splitlines()]
