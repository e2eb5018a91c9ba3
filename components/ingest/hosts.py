"""Manners towards the hosts of videos: how many requests at once, how long between them, under which name, and when to leave one alone."""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Iterator

from components.ingest.outcomes import MissingError

USER_AGENT = "lung-ultrasound-pipeline/0.1 (research and education)"
BROWSER = f"Mozilla/5.0 (compatible; {USER_AGENT})"
NUM_DEAD_ENDS = 3


@dataclasses.dataclass(frozen=True)
class Manners:
    """How a source is asked.

    Attributes:
        at_once: requests at the same time, per host.
        pause_s: between the starts of two requests to a host.
        user_agent: how the project names itself.
    """

    at_once: int = 4
    pause_s: float = 0
    user_agent: str = USER_AGENT


_POLITE = Manners(at_once=2, pause_s=0.5)
# These close the connection, or answer 403, when asked fast or by something that does not look like a browser.
_SHY = Manners(at_once=1, pause_s=3, user_agent=BROWSER)
MANNERS = {
    **dict.fromkeys(("Butterfly", "GrepMed", "LITFL", "PocusAtlas", "Radiopaedia", "CoreUltrasound", "COVID-BLUES", "Born"), _POLITE),
    **dict.fromkeys(("UF", "Papers", "Clarius"), _SHY),
}


def manners_of(source: str) -> Manners:
    """Returns how to ask a source; the source of a user's own manifest is asked without pauses."""
    return MANNERS.get(source, Manners())


@dataclasses.dataclass
class _Host:
    slots: threading.Semaphore
    next_start: float = 0
    num_dead_ends: int = 0


class Hosts:
    """What the threads of a run know about the hosts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hosts: dict[str, _Host] = {}
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Lets no more requests begin, and ends the pauses between them."""
        self._stopped.set()

    def check(self) -> None:
        """Checks that the run goes on.

        Raises:
            MissingError: it was stopped.
        """
        if self._stopped.is_set():
            raise MissingError("the run was stopped")

    def pause(self, seconds: float) -> None:
        """Waits, at most until the run is stopped."""
        self._stopped.wait(seconds)

    @contextlib.contextmanager
    def turn(self, name: str, manners: Manners) -> Iterator[None]:
        """Waits until a request to the host is polite; the block is the request.

        Raises:
            MissingError: the host did not answer several times and is not asked again in this run, or the run was stopped.
        """
        with self._lock:
            host = self._hosts.setdefault(name, _Host(threading.Semaphore(manners.at_once)))
        with host.slots:
            with self._lock:
                if host.num_dead_ends >= NUM_DEAD_ENDS:
                    raise MissingError(f"{name} does not answer")
                start = max(host.next_start, time.monotonic())
                host.next_start = start + manners.pause_s
            self.pause(start - time.monotonic())
            self.check()
            yield

    def hold(self, name: str, seconds: float) -> None:
        """Lets a host rest."""
        with self._lock:
            self._hosts[name].next_start = max(self._hosts[name].next_start, time.monotonic() + seconds)

    def answered(self, name: str, yes: bool) -> None:
        """Notes that the host answered a request, or that it did not although asked several times."""
        with self._lock:
            self._hosts[name].num_dead_ends = 0 if yes else self._hosts[name].num_dead_ends + 1


class Budget:
    """The bytes that a run may fetch; threads share it."""

    def __init__(self, num_bytes: float) -> None:
        self._lock = threading.Lock()
        self._total = self._left = num_bytes

    def spend(self, num_bytes: int) -> None:
        """Takes from the budget; a negative number gives back.

        Raises:
            MissingError: there is less left.
        """
        with self._lock:
            if num_bytes > self._left:
                raise MissingError(f"the limit of {self._total / 1e9:g} GB for one run is reached")
            self._left -= num_bytes
