"""Videos on Vimeo's pages (CoreUltrasound serves some so), through yt-dlp. Vimeo often wants a login: the user's own, as a cookies file."""

import contextlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yt_dlp import YoutubeDL
from yt_dlp.extractor.generic import GenericIE
from yt_dlp.extractor.genericembeds import HTML5MediaEmbedIE
from yt_dlp.extractor.vimeo import VimeoIE
from yt_dlp.utils import YoutubeDLError

from components.core.files.local_files import disk_of, temporary_folder
from components.ingest.hosts import Budget, Hosts, Manners
from components.ingest.outcomes import MissingError, RejectedError, host_name, public_sentence
from components.ingest.sources.direct import ATTEMPTS, TIME_LIMIT_S, TIMEOUTS_S, Deadline

# yt-dlp writes to its logger what the exceptions say, too.
_SILENT = logging.Logger("yt-dlp", level=logging.CRITICAL + 1)


def download(url: str, path: Path, cookies_path: Path | None, hosts: Hosts, budget: Budget, manners: Manners, max_bytes: int) -> None:
    """Downloads the video of a page as one file; what an earlier try has left is continued.

    Args:
        url: of the page.
        path: local file to write.
        cookies_path: cookies of the user's browser in Netscape's format, or None.
        hosts: whose turn it is.
        budget: bytes that may be fetched.
        manners: how to ask.
        max_bytes: size of the largest acceptable file.

    Raises:
        MissingError: the page does not give the video.
        RejectedError: the video is too large.
    """
    deadline = Deadline(TIME_LIMIT_S)
    with _private_copy(cookies_path) as cookies, hosts.turn(host_name(url), manners):
        options: dict[str, Any] = {
            "outtmpl": str(path).replace("%", "%%"),
            # A file that holds everything, so that no other program has to join pictures and sound.
            "format": "best[ext=mp4]/best",
            "cookiefile": cookies,
            "max_filesize": max_bytes,
            "retries": ATTEMPTS - 1,
            "socket_timeout": TIMEOUTS_S[1],
            "noplaylist": True,
            "progress_hooks": [lambda _: deadline.check(), lambda _: hosts.check()],
            "cachedir": False,
            "quiet": True,
            "noprogress": True,
            "no_color": True,
            "logger": _SILENT,
        }
        try:
            # Vimeo's player and plain pages with a video; not every site that yt-dlp knows, for a page must not lead elsewhere.
            with disk_of(path.parent), YoutubeDL(options, auto_init=False) as downloader:
                for extractor in (VimeoIE(), HTML5MediaEmbedIE(), GenericIE()):
                    downloader.add_info_extractor(extractor)
                downloader.download([url])
        except YoutubeDLError as error:
            raise MissingError(f"yt-dlp: {public_sentence(str(error))}{'' if cookies else '; a cookies file may help'}") from None
    if not path.exists():
        raise RejectedError(f"larger than the limit of {max_bytes / 1e9:g} GB")
    budget.spend(path.stat().st_size)


@contextlib.contextmanager
def _private_copy(cookies_path: Path | None) -> Iterator[str | None]:
    """Gives a copy of the user's cookies, because yt-dlp writes to the file."""
    if not cookies_path:
        yield None
        return
    with temporary_folder() as folder:
        yield str(shutil.copyfile(cookies_path, folder / "cookies.txt"))
