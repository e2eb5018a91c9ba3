"""A Dask scheduler and workers as processes of their own, which share nothing with the tests but an object store."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


class DaskProcesses:
    """Starts a scheduler at once, and workers when they are asked for."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = {**os.environ, **environment}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        self.address = f"tcp://127.0.0.1:{port}"
        self.processes: list[subprocess.Popen[bytes]] = []
        self._start("scheduler", "--host=127.0.0.1", f"--port={port}")

    @property
    def options(self) -> str:
        """Beam's options for this cluster."""
        return f"--runner=DaskRunner --dask_client_address={self.address} --dask_connection_timeout=120"

    def start_worker(self, *arguments: str, path: Path | None = None) -> subprocess.Popen[bytes]:
        """Starts a worker of one thread; with `path`, its modules come from there before all others, and the project's not at all."""
        return self._start("worker", self.address, "--nthreads=1", "--no-nanny", *arguments, path=path)

    def wait(self) -> None:
        """Waits until the scheduler listens."""
        host, port = self.address.removeprefix("tcp://").split(":")
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with socket.socket() as client:
                if client.connect_ex((host, int(port))) == 0:
                    return
            time.sleep(0.2)
        raise TimeoutError(f"the scheduler does not listen at {self.address}")

    def _start(self, *arguments: str, path: Path | None = None) -> subprocess.Popen[bytes]:
        folder = self._folder / f"{len(self.processes)}-{arguments[0]}"
        folder.mkdir()
        environment = {**self._environment, "PYTHONPATH": str(path or ROOT)}
        # Imported before the first task asks for it.
        preload = [] if path else ["--preload=components.core.beam.dask_runner", "--preload=components.preprocess.beam_pipeline"]
        with (folder / "log").open("wb") as log:
            command = [sys.executable, "-m", "dask", *arguments, *preload, "--no-dashboard"]
            self.processes.append(subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log))
        return self.processes[-1]

    def close(self) -> None:
        """Ends them all."""
        for process in self.processes:
            process.kill()
            process.wait()


@contextlib.contextmanager
def dask_processes(folder: Path, environment: dict[str, str], num_workers: int) -> Iterator[DaskProcesses]:
    """Gives a cluster, which may still be starting: who connects to it waits."""
    cluster = DaskProcesses(folder, environment)
    try:
        for _ in range(num_workers):
            cluster.start_worker()
        yield cluster
    finally:
        cluster.close()
