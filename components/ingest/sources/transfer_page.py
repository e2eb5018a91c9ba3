"""Pages that offer one zip file for download (Butterfly's gallery is served so)."""

from pathlib import Path
from urllib.parse import urljoin

from bs4 import BeautifulSoup

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
    address = _link(page)
    if not address:
        raise MissingError("the page offers no download")
    try:
        link = urljoin(url, address)
    except ValueError:
        raise MissingError("the page's link to the download is not a usable URL") from None
    source.download(link, path, manners, max_bytes)


def _link(page: str) -> str:
    """Returns the first link that names a zip file, is marked as a download, or leads to a path with that word; empty without one."""
    for link in BeautifulSoup(page, "html.parser").find_all("a", href=True):
        address = str(link["href"])
        path = address.partition("?")[0].lower()
        if path.endswith(".zip") or link.has_attr("download") or "/download" in path:
            return address
    return ""
