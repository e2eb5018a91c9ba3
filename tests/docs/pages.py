"""What the pages of the documentation hold."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")), *sorted((ROOT / "docs").rglob("*.md")))


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """Yields the text of every fenced block in a language, and where it begins, as PAGE:LINE."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
            yield match[1], f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}"


def block(language: str, page: str, beginning: str) -> str:
    """Returns the one block of a page that begins so."""
    (text,) = (text for text, where in blocks(language) if where.startswith(f"{page}:") and text.startswith(beginning))
    return text


def code_spans() -> Iterator[tuple[str, str]]:
    """Yields every `piece of code` outside of the fenced blocks, and its page."""
    for page in PAGES:
        text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        yield from ((" ".join(span.split()), str(page.relative_to(ROOT))) for span in re.findall(r"`([^`]+)`", text))
