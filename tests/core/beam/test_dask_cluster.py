"""What a Dask cluster is asked before there is work for it; the schedulers and workers are processes of their own."""

import socket
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import StandardOptions

from components.core.beam.beam_options import DASK_RUNNER, pipeline_options, work_folder
from components.core.beam.dask_cluster import connected
from components.core.errors import ClusterError, UsageError
from tests.dask_processes import DaskProcesses, dask_processes

# Hides what is installed as editable, as the project is here.
WITHOUT_PROJECT = "import sys\nsys.meta_path = [finder for finder in sys.meta_path if 'editable' not in repr(finder)]\n"
METADATA = "Metadata-Version: 2.1\nName: apache-beam\nVersion: 2.0.0\n"
TIMEOUT_S = 120


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[DaskProcesses]:
    with dask_processes(tmp_path, {}, num_workers=0) as processes:
        yield processes


@pytest.mark.parametrize("name", ["DaskRunner", "dask", "apache_beam.runners.dask.dask_runner.DaskRunner"])
def test_the_runner_has_the_names_that_beams_runners_have(name: str) -> None:
    assert pipeline_options(f"--runner={name}").view_as(StandardOptions).runner == DASK_RUNNER


def test_an_address_where_nobody_listens_is_one_sentence() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
        with pytest.raises(ClusterError, match=f"^no Dask scheduler answers at '{address}' within 1 s; check the address"):
            connected({"address": address, "timeout": 1}, 1).__enter__()


@pytest.mark.parametrize("address", ["tcp://localhost", "carrier-pigeon://localhost:1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match=f"^'{address}' is no address of a Dask scheduler .*; give one such as tcp://HOST:8786"):
        connected({"address": address, "timeout": 1}, 1).__enter__()


def test_storage_that_workers_do_not_see_is_refused(tmp_path: Path) -> None:
    options = pipeline_options("--runner=DaskRunner --dask_client_address=tcp://127.0.0.1:1")
    with pytest.raises(UsageError, match=f"share no disk with this machine and do not see '{tmp_path}'; keep it in a bucket"):
        work_folder(options, str(tmp_path)).__enter__()
    with pytest.raises(UsageError, match="give --storage"):
        work_folder(options, "").__enter__()


@pytest.mark.slow
def test_a_scheduler_without_workers_is_one_sentence(scheduler: DaskProcesses) -> None:
    scheduler.wait()
    with pytest.raises(ClusterError, match=f"'{scheduler.address}' has no workers after 5 s; start some"):
        connected({"address": scheduler.address, "timeout": 5}, 1).__enter__()


@pytest.mark.slow
def test_a_worker_with_another_version_is_named(scheduler: DaskProcesses, tmp_path: Path) -> None:
    folder = tmp_path / "old" / "apache_beam-2.0.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(METADATA)
    scheduler.start_worker(path=folder.parent)
    ours = version("apache-beam")
    with pytest.raises(UsageError, match=rf"^the Dask worker tcp://.* differs from this process: apache-beam 2\.0\.0 instead of {ours}; "):
        connected({"address": scheduler.address, "timeout": TIMEOUT_S}, 1).__enter__()


@pytest.mark.slow
def test_a_worker_without_the_project_is_named(scheduler: DaskProcesses, tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(WITHOUT_PROJECT)
    scheduler.start_worker(path=folder)
    with pytest.raises(UsageError, match=r"^the Dask worker tcp://.* cannot run the code of this project .*No module named 'components'"):
        connected({"address": scheduler.address, "timeout": TIMEOUT_S}, 1).__enter__()
