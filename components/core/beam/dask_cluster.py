"""A Dask cluster as steps use it: one that is there, or one on this machine; checked before there is work, and quiet on the console.

The scheduler and the workers unpickle what they run, so they need the code of this project and the packages of this process in the same
versions: the image of the step. Dask itself only warns when versions differ, and then fails somewhere in the work.
"""

import contextlib
import hashlib
import importlib.metadata
import logging
import os
import platform
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from components.core.errors import ClusterError, Interrupted, UsageError

# A scheduler or worker that has just been asked for, as a pod, needs so long to answer.
DEFAULT_TIMEOUT_S = 30
# How long a run that is given up waits for the end of what workers have begun: a few videos each.
MAX_WAIT_FOR_END_S = 60

# What results depend on: distributions, and the module as which each is imported.
_PACKAGES = {
    "apache-beam": "apache_beam",
    "cloudpickle": "cloudpickle",
    "dask": "dask",
    "distributed": "distributed",
    "numpy": "numpy",
    "opencv-python-headless": "cv2",
    "tensorflow": "tensorflow",
    "tf-keras": "tf_keras",
}
_CODE = Path(__file__).parents[2]

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def connected(settings: dict[str, Any], num_workers: int) -> Iterator[None]:
    """Makes a cluster Dask's default for the block. SIGTERM ends the block as Ctrl-C does.

    Args:
        settings: of distributed.Client; without an `address` or a `scheduler_file` a cluster is started on this machine.
        num_workers: processes of a cluster on this machine, with one thread each; 0 takes one for each core.

    Raises:
        UsageError: the address is none, or the cluster has other versions than this process.
        ClusterError: the scheduler does not answer, or has no workers.
        Interrupted: SIGTERM came.
    """
    from distributed import Client, LocalCluster

    with _quiet(), _ended_by_sigterm():
        if is_elsewhere(settings):
            with _client(settings) as client:
                _check(client)
                yield
        else:
            number = num_workers or os.cpu_count() or 1
            quiet = {"dashboard_address": None, "silence_logs": logging.CRITICAL}
            with LocalCluster(n_workers=number, threads_per_worker=1, **quiet) as cluster, Client(cluster):
                yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps off the console what Dask tells of connections, processes and large graphs; what goes wrong is raised, too."""
    for name in ("distributed", "distributed.client", "distributed.gc"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="distributed")
        yield


def is_elsewhere(settings: dict[str, Any]) -> bool:
    """Tells whether the settings of a client name a cluster, whose workers then do not see this machine's files."""
    return bool(settings.get("address") or settings.get("scheduler_file"))


def tell(topic: str, message: Any) -> None:
    """Sends a message, on a worker, to who waits for its work; of the types of JSON."""
    from distributed import get_worker

    get_worker().log_event(topic, message)


@contextlib.contextmanager
def told(topic: str, listener: Callable[[Any], None]) -> Iterator[None]:
    """Gives the messages that workers tell to a listener, in a thread of its own."""
    from distributed import default_client

    client = default_client()
    client.subscribe_topic(topic, lambda event: listener(event[1]))
    try:
        yield
    finally:
        client.unsubscribe_topic(topic)


def stop(client: Any, futures: Sequence[Any]) -> None:
    """Cancels work, and waits until workers have ended what they had begun, so that nothing is written after that."""
    if client.status != "running":
        # The scheduler is lost. It cannot be asked, and its workers end with it.
        return
    client.cancel(futures)
    deadline = time.monotonic() + MAX_WAIT_FOR_END_S
    while time.monotonic() < deadline:
        # Also gives the workers time to hear of it.
        time.sleep(0.2)
        if not any(client.run(_num_cancelled, on_error="ignore").values()):
            return


def _num_cancelled(dask_worker: Any) -> int:
    """Returns how many tasks a worker has not ended that nobody waits for any more."""
    return sum(task.state == "cancelled" for task in dask_worker.state.tasks.values())


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: Any) -> None:
        raise Interrupted("the process was asked to end, and its work on Dask is cancelled; start it again and it begins anew.")

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _client(settings: dict[str, Any]) -> Iterator[Any]:
    from distributed import Client

    where = settings.get("address") or settings["scheduler_file"]
    timeout_s = settings.get("timeout", DEFAULT_TIMEOUT_S)
    _log.info("connecting to the Dask scheduler %s", where)
    try:
        client = Client(**{**settings, "timeout": timeout_s})
    except ValueError as error:
        raise UsageError(f"{where!r} is no address of a Dask scheduler ({error}); give one such as tcp://HOST:8786.") from None
    except OSError:
        raise ClusterError(
            f"no Dask scheduler answers at {where!r} within {timeout_s} s; check the address, that the scheduler runs, and that it can be "
            "reached from here."
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout_s)
        except TimeoutError:
            raise ClusterError(
                f"the Dask scheduler {where!r} has no workers after {timeout_s} s; start some (dask worker {where}), or look why they "
                "do not register."
            ) from None
        yield client


def _check(client: Any) -> None:
    """Compares what results depend on: in this process, the scheduler and the workers.

    Raises:
        UsageError: something differs.
    """
    ours = {name: version for name, version in versions().items() if name not in _PACKAGES or _PACKAGES[name] in sys.modules}
    found = {f"worker {address}": answer for address, answer in client.run(versions, on_error="return").items()}
    try:
        found["scheduler"] = client.run_on_scheduler(versions)
    except Exception as error:
        found["scheduler"] = error
    for who, theirs in found.items():
        if isinstance(theirs, Exception):
            raise UsageError(f"the Dask {who} cannot run the code of this project ({theirs}); start it from the image of this step.")
        differences = [
            f"{name} {theirs.get(name, 'is missing')} instead of {version}" for name, version in ours.items() if theirs.get(name) != version
        ]
        if differences:
            raise UsageError(f"the Dask {who} differs from this process: {', '.join(differences)}; start it from the image of this step.")
    num_threads = sum(client.nthreads().values())
    _log.info("Dask cluster %s: %d workers, %d videos at a time", client.scheduler.address, len(found) - 1, num_threads)


def versions() -> dict[str, str]:
    """Returns the versions of Python, of the code of this project, and of the packages that results depend on."""
    code = hashlib.sha256()
    for path in sorted(_CODE.rglob("*.py")):
        code.update(path.relative_to(_CODE).as_posix().encode() + path.read_bytes())
    found = {"Python": ".".join(platform.python_version_tuple()[:2]), "the code of this project": code.hexdigest()[:12]}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found
