"""`make smoke-cluster`, which users run on their own cluster, on the real server."""

import sys

import pytest

from tests.cluster.conftest import SMALL_CLUSTER, Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def test_every_command_works_once(cluster: Cluster) -> None:
    compiling = ("--resources", SMALL_CLUSTER, "--tag", cluster.tag)
    result = cluster.run(sys.executable, "-m", "tests.pipelines.smoke_cluster", *cluster.parameters(), *compiling)
    rows = result.stdout.rsplit("seconds\n", 1)[1].splitlines()
    assert result.returncode == 0, result.stdout + result.stderr
    assert len(rows) == 11
    assert all(" ok " in row for row in rows)
