"""Pages that offer one zip file for download (Butterfly's gallery is served so)."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

from components.ingest.hosts import Manners
from components.ingest.outcomes import MissingError
from components.ingest.sources.direct import DirectSource

MAX_PAGE_BYTES = 10 << 20


def download_zip(source: DirectSource, url: str, path: Path, manners: Manners, max_bytes: int) -> None:
    """Downloads the zip file that a page links to.

    Raises:
        MissingError: there is no such page, or it links to no download that can be had.
        RejectedError: the file is too large.
    """
    page = source.get_text(url, path.with_name(f"{path.name}.page"), manners, MAX_PAGE_BYTES)
    links = _Links()
    links.feed(page)
    if not links.found:
        raise MissingError("the page offers no download")
    try:
        link = urljoin(url, links.found[0])
    except ValueError:
        raise MissingError("the page's link to the download is not a usable URL") from None
    source.download(link, path, manners, max_bytes)


class _Links(HTMLParser):
    """Collects the links to zip files and downloads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Takes `<a href>` that names a zip file, is marked as a download, or leads to a path with that word."""
        values = dict(attrs)
        href = values.get("href") or ""
        path = href.partition("?")[0].lower()
        if tag == "a" and href and (path.endswith(".zip") or "download" in values or "/download" in path):
            self.found.append(href)
