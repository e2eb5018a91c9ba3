"""Getting the bytes behind a manifest URI into a local file."""

import shutil
from pathlib import Path

import requests
import tenacity

from components.core import storage
from components.core.errors import PipelineError, StorageError

CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 60
ATTEMPTS = 4
CHUNK_BYTES = 1 << 20
USER_AGENT = "lung-ultrasound-pipeline/0.1 (research and education)"


class FetchError(PipelineError):
    """A video could not be fetched; the message is the reason that its row gets."""


class _TransientError(Exception):
    """Something that may go away when tried again."""


def fetch(uri: str, destination: Path) -> None:
    """Copies or downloads one file.

    Args:
        uri: http(s), gs:// or a local path.
        destination: local file to write.

    Raises:
        FetchError: there is no such file, or the server does not give it after ATTEMPTS tries.
    """
    if storage.scheme_of(uri) in ("http", "https"):
        _download(uri, destination)
        return
    try:
        with storage.local_copy(uri) as source:
            shutil.copyfile(source, destination)
    except FileNotFoundError:
        raise FetchError("file not found") from None
    except StorageError as error:
        not_found = not storage.exists(uri)
        raise FetchError("file not found" if not_found else str(error)) from None
    except OSError as error:
        raise FetchError(f"cannot be read: {error.strerror}") from None


def _download(uri: str, destination: Path) -> None:
    try:
        _download_with_retries(uri, destination)
    except _TransientError as error:
        raise FetchError(f"{error}, {ATTEMPTS} times") from None
    except requests.RequestException as error:
        raise FetchError(f"not a usable URL: {error}") from None


@tenacity.retry(
    retry=tenacity.retry_if_exception_type(_TransientError),
    stop=tenacity.stop_after_attempt(ATTEMPTS),
    wait=tenacity.wait_random_exponential(multiplier=0.5, max=20),
    reraise=True,
)
def _download_with_retries(uri: str, destination: Path) -> None:
    try:
        with requests.get(uri, stream=True, timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S), headers={"User-Agent": USER_AGENT}) as response:
            if response.status_code == 429 or response.status_code >= 500:
                raise _TransientError(f"HTTP status {response.status_code}")
            if response.status_code != 200:
                raise FetchError(f"HTTP status {response.status_code}")
            with destination.open("wb") as file:
                for chunk in response.iter_content(CHUNK_BYTES):
                    file.write(chunk)
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise _TransientError(f"connection failed ({type(error).__name__})") from error
