"""Zip files on Google Drive (most of Clarius's videos are served so), through gdown, which knows how Drive asks back before a download."""

from collections.abc import Callable
from pathlib import Path

import gdown
import requests
from gdown.exceptions import DownloadError

from components.core.files.local_files import disk_of
from components.ingest.hosts import Budget, Hosts, Manners
from components.ingest.outcomes import MissingError, RejectedError, host_name, public_sentence
from components.ingest.sources.direct import ATTEMPTS, TIME_LIMIT_S, TIMEOUTS_S, Deadline


def download_zip(url: str, path: Path, hosts: Hosts, budget: Budget, manners: Manners, max_bytes: int) -> None:
    """Downloads a file that everyone with the link may read; what an earlier try has left is continued, if Drive lets it be.

    Raises:
        MissingError: Drive does not give the file.
        RejectedError: the file is too large.
    """
    progress = _progress(hosts, budget, max_bytes)
    try:
        with hosts.turn(host_name(url), manners), disk_of(path.parent):
            gdown.download(
                url=url,
                output=str(path),
                quiet=True,
                use_cookies=False,
                resume=True,
                user_agent=manners.user_agent,
                timeout=TIMEOUTS_S,
                retries=ATTEMPTS - 1,
                progress=progress,
            )
    except RejectedError:
        _discard_partial(path)
        raise
    except requests.HTTPError as error:
        raise MissingError(f"HTTP status {error.response.status_code}") from None
    except (requests.RequestException, DownloadError) as error:
        cause = error.__cause__ or error
        if isinstance(cause, requests.RequestException):
            raise MissingError(f"connection failed ({type(cause).__name__}), {ATTEMPTS} times") from None
        _discard_partial(path)
        raise MissingError(f"Google Drive does not give the file: {public_sentence(str(error))}") from None


def _discard_partial(path: Path) -> None:
    """Deletes what gdown has kept of a file, so that the next run does not ask for the rest of it in vain."""
    for partial in path.parent.glob(f"{path.name}*.part"):
        partial.unlink()


def _progress(hosts: Hosts, budget: Budget, max_bytes: int) -> Callable[[int, int | None], None]:
    """Returns what gdown tells the bytes so far, and of the whole file if that is known.

    It stops a download that is too large or takes too long, or when the run stops.
    """
    deadline = Deadline(TIME_LIMIT_S)
    counted = 0

    def progress(num_bytes: int, total: int | None) -> None:
        nonlocal counted
        hosts.check()
        deadline.check()
        if max(num_bytes, total or 0) > max_bytes:
            raise RejectedError(f"larger than the limit of {max_bytes / 1e9:g} GB")
        budget.spend(num_bytes - counted)
        counted = num_bytes

    return progress
