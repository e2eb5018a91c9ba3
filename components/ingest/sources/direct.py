"""Files that a server gives at their address: partial files are continued, and failures that may pass are tried again."""

import contextlib
import dataclasses
import json
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import requests
import tenacity

from components.core.files.local_files import writer
from components.ingest.hosts import Budget, Hosts, Manners
from components.ingest.outcomes import MissingError, RejectedError, TransientError, host_name

TIMEOUTS_S = (10, 60)
# For one download in all, with its repetitions; what came is continued by the next run.
TIME_LIMIT_S = 3600
ATTEMPTS = 4
# What a broken connection loses at most.
CHUNK_BYTES = 1 << 15
MAX_WAIT_S = 60
_BACK_OFF = tenacity.wait_random_exponential(multiplier=0.5, max=20)


@dataclasses.dataclass(frozen=True)
class Validators:
    """By what a server tells one state of a file from another."""

    etag: str = ""
    last_modified: str = ""

    def strong(self) -> str:
        """Returns what proves that a file is byte for byte the same, or an empty string."""
        return self.last_modified if not self.etag or self.etag.startswith("W/") else self.etag

    def unless_changed(self) -> dict[str, str]:
        """Returns the headers of a request for a file only if it has changed."""
        named = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in named.items() if value}


NOTHING_KNOWN = Validators()


class UnchangedError(Exception):
    """The server says that the file is still the same."""


class DirectSource:
    """Downloads for the threads of a run."""

    def __init__(self, hosts: Hosts, budget: Budget) -> None:
        self._hosts = hosts
        self._budget = budget
        self._local = threading.local()
        self._open: set[requests.Response] = set()

    def stop(self) -> None:
        """Ends the downloads that are under way, once the hosts let no more begin; what came is continued by the next run."""
        for response in tuple(self._open):
            with contextlib.suppress(OSError, RuntimeError, ValueError):  # it has just ended
                response.raw.shutdown()

    def download(self, url: str, path: Path, manners: Manners, max_bytes: int, known: Validators = NOTHING_KNOWN) -> Validators:
        """Downloads a file; what an earlier try has left at `path` is continued when the file is still the same.

        Args:
            url: http or https.
            path: local file to write.
            manners: how to ask.
            max_bytes: size of the largest acceptable file.
            known: validators of an earlier download; nothing is downloaded when they still hold.

        Raises:
            UnchangedError: `known` still hold.
            MissingError: the server does not give the file.
            RejectedError: the file is too large.
        """
        host = host_name(url)
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TransientError),
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=_wait,
            sleep=self._hosts.pause,
            reraise=True,
        )
        partial = _Partial(path)
        deadline = Deadline(TIME_LIMIT_S)
        try:
            return retrying(self._try, url, host, partial, manners, max_bytes, known, deadline)
        except _NoAnswer:
            self._hosts.answered(host, False)
            partial.discard_unless_continued()
            # The words of Hosts.turn: which videos a dead host is still asked for is chance, and must not tell one run from the next.
            raise MissingError(f"{host} does not answer") from None
        except TransientError as error:
            partial.discard_unless_continued()
            raise MissingError(f"{error}, {ATTEMPTS} times") from None
        except MissingError:
            partial.discard_unless_continued()
            raise
        except requests.RequestException as error:
            raise MissingError(f"not a usable URL ({type(error).__name__})") from None

    def get_text(self, url: str, path: Path, manners: Manners, max_bytes: int) -> str:
        """Returns a small page, fetched like a file by way of `path`."""
        self.download(url, path, manners, max_bytes)
        text = path.read_text(encoding="utf-8", errors="replace")
        path.unlink()
        return text

    def _try(
        self, url: str, host: str, partial: "_Partial", manners: Manners, max_bytes: int, known: Validators, deadline: "Deadline"
    ) -> Validators:
        headers = {"User-Agent": manners.user_agent, "Accept-Encoding": "identity", **known.unless_changed(), **partial.headers()}
        with self._hosts.turn(host, manners):
            try:
                response = self._session().get(url, stream=True, timeout=TIMEOUTS_S, headers=headers)
            except requests.exceptions.SSLError:
                raise MissingError(f"the certificate of {host} is not valid") from None
            except (requests.ConnectionError, requests.Timeout) as error:
                raise _NoAnswer(type(error).__name__) from error
            except ValueError as error:  # of a redirect: requests does not catch all that urllib says of an address
                raise MissingError(f"not a usable URL ({type(error).__name__})") from None
            self._hosts.answered(host, True)
            with response:
                if response.status_code == 304 and known != NOTHING_KNOWN:
                    raise UnchangedError
                self._check(response, host, partial)
                try:
                    with self._stoppable(response), deadline.ending(response):
                        return self._save(response, partial, max_bytes, deadline)
                except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                    raise TransientError(f"connection failed ({type(error).__name__})") from error

    @contextlib.contextmanager
    def _stoppable(self, response: requests.Response) -> Iterator[None]:
        self._open.add(response)
        try:
            self._hosts.check()
            yield
        finally:
            self._open.discard(response)

    def _check(self, response: requests.Response, host: str, partial: "_Partial") -> None:
        status = response.status_code
        if status == 416:
            partial.discard()
            raise TransientError("the server refuses to continue the file")
        if status == 429 or status >= 500:
            wait_s = _retry_after(response.headers)
            if wait_s > MAX_WAIT_S:
                raise MissingError(f"HTTP status {status}, and not to be asked again for {wait_s:g} s")
            self._hosts.hold(host, wait_s)
            raise TransientError(f"HTTP status {status}", wait_s)
        if status not in (200, 206):
            raise MissingError(f"HTTP status {status}")

    def _save(self, response: requests.Response, partial: "_Partial", max_bytes: int, deadline: "Deadline") -> Validators:
        validators = Validators(response.headers.get("ETag", ""), response.headers.get("Last-Modified", ""))
        start = partial.start_of(response, validators)
        length = response.headers.get("Content-Length", "")
        announced = int(length) if length.isdigit() else 0
        if start + announced > max_bytes:
            partial.discard()
            raise RejectedError(f"larger than the limit of {max_bytes / 1e9:g} GB")
        if not start:
            partial.discard()
        partial.remember(validators)
        self._write(response, partial.path, start, announced, max_bytes)
        deadline.check()
        partial.forget()
        return validators

    def _write(self, response: requests.Response, path: Path, start: int, announced: int, max_bytes: int) -> None:
        """Writes a body to a file from a position on; what was announced and does not come is given back to the budget."""
        self._budget.spend(announced)
        received, paid = 0, announced
        try:
            with writer(path, "ab" if start else "wb") as write:
                for chunk in response.iter_content(CHUNK_BYTES):
                    received += len(chunk)
                    if start + received > max_bytes:
                        raise RejectedError(f"larger than the limit of {max_bytes / 1e9:g} GB")
                    if received > paid:
                        self._budget.spend(len(chunk))
                        paid += len(chunk)
                    write(chunk)
        finally:
            self._budget.spend(min(0, received - paid))

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
        session: requests.Session = self._local.session
        return session


class Deadline:
    """The time at which a download has to be done."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._at_s = time.monotonic() + limit_s

    def check(self) -> None:
        """Checks that there is time left.

        Raises:
            MissingError: there is none.
        """
        if time.monotonic() >= self._at_s:
            raise MissingError(f"not done after {self._limit_s:g} s")

    @contextlib.contextmanager
    def ending(self, response: requests.Response) -> Iterator[None]:
        """Ends the body of a response in time, also one that trickles so slowly that no chunk of it is ever full.

        Raises:
            MissingError: the block was not done in time.
        """
        self.check()
        timer = threading.Timer(self._at_s - time.monotonic(), response.raw.shutdown)
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception:  # whatever the shutdown makes of a read; it is raised again unless the time is over
            self.check()
            raise
        finally:
            timer.cancel()
        self.check()


class _NoAnswer(TransientError):
    """The host could not be reached."""


class _Partial:
    """A file that a download has begun, and beside it what it was the beginning of."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._note = path.with_name(f"{path.name}.json")

    def headers(self) -> dict[str, str]:
        """Returns the headers that ask for the rest, or none when the file cannot be continued."""
        strong = self._remembered().strong()
        if not strong or not self.path.exists() or not self.path.stat().st_size:
            return {}
        return {"Range": f"bytes={self.path.stat().st_size}-", "If-Range": strong}

    def start_of(self, response: requests.Response, validators: Validators) -> int:
        """Returns the position in the file at which the body of a response begins."""
        if response.status_code == 200:
            return 0
        size = self.path.stat().st_size if self.path.exists() else 0
        same = validators.strong() in ("", self._remembered().strong())
        if not same or not response.headers.get("Content-Range", "").startswith(f"bytes {size}-"):
            self.discard()
            raise TransientError("the server gave another part of the file")
        return size

    def remember(self, validators: Validators) -> None:
        if validators.strong():
            with writer(self._note) as write:
                write(json.dumps(dataclasses.asdict(validators)).encode())

    def forget(self) -> None:
        self._note.unlink(missing_ok=True)

    def discard(self) -> None:
        self.forget()
        self.path.unlink(missing_ok=True)

    def discard_unless_continued(self) -> None:
        """Deletes what a later try could not continue."""
        if not self.headers():
            self.discard()

    def _remembered(self) -> Validators:
        try:
            return Validators(**json.loads(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return Validators()


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return max(error.wait_s if isinstance(error, TransientError) else 0, _BACK_OFF(state))


def _retry_after(headers: Mapping[str, str]) -> float:
    """Returns the seconds of a Retry-After header; a date counts as one minute."""
    value = headers.get("Retry-After", "")
    return float(value) if value.isdigit() else MAX_WAIT_S if value else 0
