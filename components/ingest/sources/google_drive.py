"""Zip files on Google Drive (most of Clarius's videos are served so), through gdown, which knows how Drive asks back before a download."""

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
    progress = _Progress(hosts, budget, max_bytes)
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


class _Progress:
    """Stops a download that is too large or takes too long, or when the run stops."""

    def __init__(self, hosts: Hosts, budget: Budget, max_bytes: int) -> None:
        self._hosts = hosts
        self._budget = budget
        self._max_bytes = max_bytes
        self._counted = 0
        self._deadline = Deadline(TIME_LIMIT_S)

    def __call__(self, num_bytes: int, total: int | None) -> None:
        """Takes the bytes so far, and of the whole file if that is known."""
        self._hosts.check()
        self._deadline.check()
        if max(num_bytes, total or 0) > self._max_bytes:
            raise RejectedError(f"larger than the limit of {self._max_bytes / 1e9:g} GB")
        self._budget.spend(num_bytes - self._counted)
        self._counted = num_bytes
