"""What storage libraries raise, in one sentence; a storage that does not answer is asked again."""

import contextlib
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import tenacity
import urllib3
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from cloudpathlib.exceptions import CloudPathException, CloudPathNotExistsError, NoStatError
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

from components.core.errors import AbsentError, DiskError, OutageError, StorageError
from components.core.files import disk_faults, local_files
from components.core.storage.object_stores import is_outage, scheme_of

# For so long a storage that does not answer is asked again: a server that is started anew or moved to another node is back by then.
PATIENCE_S = 180.0
BACK_OFF = tenacity.wait_random_exponential(multiplier=0.5, max=10)

# What may be refused because of a video, and not because of the disk.
_READING = ("open", "look up", "list", "read")
_FAILURES = (
    OSError,
    CloudPathException,
    GoogleAPIError,
    GoogleAuthError,
    DataCorruption,
    InvalidResponse,
    Boto3Error,
    BotoCoreError,
    ClientError,
    urllib3.exceptions.HTTPError,
)
# A cloud has no folders: of one there are no facts, either.
_ABSENCES = (FileNotFoundError, NotADirectoryError, CloudPathNotExistsError, NoStatError)
# What libraries say of a request beside the host: a path may name a patient.
_PATHS = re.compile(r"(https?://[^/\s\"']+|url: )[^\s\"']*")

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


@contextlib.contextmanager
def failures(action: str, uri: str | os.PathLike[str]) -> Iterator[None]:
    """Turns what storage libraries raise into a StorageError that names the action and the URI.

    Raises:
        DiskError: a disk of this machine is full, read-only, or refuses what is not only reading.
        OutageError: the storage does not answer.
        AbsentError: there is nothing to read.
        StorageError: it cannot be done.
    """
    start = time.monotonic()
    try:
        yield
    except _FAILURES as error:
        is_local = not scheme_of(str(uri))
        if sentence := disk_faults.sentence_about(error, uri if is_local else "", writing=is_local and action not in _READING):
            raise DiskError(sentence) from error
        if is_outage(error):
            tried_s = time.monotonic() - start
            raise OutageError(
                f"cannot {action} {str(uri)!r}, tried for {tried_s:.0f} s: the storage does not answer ({local_files.detail(error)}); "
                "start again when it does."
            ) from error
        kind = AbsentError if isinstance(error, _ABSENCES) and action in _READING else StorageError
        raise local_files.failure(action, str(uri), error, kind) from error


def patiently(action: str, uri: str | os.PathLike[str], operation: Callable[[], _T]) -> _T:
    """Does something in a storage, and does it again while the storage does not answer.

    Args:
        action: what is done, for messages.
        uri: with which.
        operation: does it; doing it twice does no harm.

    Raises:
        OutageError: the storage did not answer for PATIENCE_S.
        StorageError: it cannot be done.
    """
    failures_s: list[float] = []

    def is_enough(state: tenacity.RetryCallState) -> bool:
        """Counts from the first failure: what takes long may fail late."""
        failures_s.append(state.outcome_timestamp or 0)
        return failures_s[-1] - failures_s[0] >= PATIENCE_S

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(is_outage),
        wait=BACK_OFF,
        stop=is_enough,
        before_sleep=lambda state: _outages.tell(uri, state.outcome.exception() if state.outcome else None),
        reraise=True,
    )
    with failures(action, uri):
        result = retrying(operation)
    _outages.end(uri)
    return result


class _Outages:
    """Which storages do not answer at the moment, so that each outage is told once, whichever thread meets it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: set[str] = set()

    def tell(self, uri: str | os.PathLike[str], error: BaseException | None) -> None:
        with self._lock:
            if (name := self._name(uri)) not in self._names:
                self._names.add(name)
                reason = _PATHS.sub(r"\1", local_files.detail(error))
                _log.warning("%s does not answer (%s); it is asked again for up to %g s", name, reason, PATIENCE_S)

    def end(self, uri: str | os.PathLike[str]) -> None:
        with self._lock:
            if (name := self._name(uri)) in self._names:
                self._names.remove(name)
                _log.warning("%s answers again", name)

    def _name(self, uri: str | os.PathLike[str]) -> str:
        """Returns the bucket."""
        scheme, separator, rest = str(uri).partition("://")
        return f"{scheme}{separator}{rest.partition('/')[0]}"


_outages = _Outages()
