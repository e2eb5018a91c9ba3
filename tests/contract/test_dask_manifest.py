"""The Kubernetes manifest of Dask fits the images and the Pod Security Standard "restricted"."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from components.core import images

MANIFEST = Path(__file__).parents[2] / "docker" / "dask.yaml"
OBJECTS = list(yaml.safe_load_all(MANIFEST.read_text()))
DEPLOYMENTS = {manifest["metadata"]["name"]: manifest for manifest in OBJECTS if manifest["kind"] == "Deployment"}


@pytest.mark.parametrize("name", ["dask-scheduler", "dask-worker"])
def test_the_pods_have_the_image_of_preprocess_and_no_rights(name: str) -> None:
    pod = DEPLOYMENTS[name]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == images.PREPROCESS
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    security: dict[str, Any] = container["securityContext"]
    assert (security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"]) == (False, True)
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert "limits" in container["resources"]


def test_workers_find_the_scheduler_where_its_service_is() -> None:
    (service,) = [manifest for manifest in OBJECTS if manifest["kind"] == "Service"]
    (settings,) = [manifest for manifest in OBJECTS if manifest["kind"] == "ConfigMap"]
    (port,) = service["spec"]["ports"]
    assert settings["data"]["DASK_SCHEDULER_ADDRESS"] == f"tcp://{service['metadata']['name']}:{port['port']}"
    labels = DEPLOYMENTS["dask-scheduler"]["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    (worker,) = DEPLOYMENTS["dask-worker"]["spec"]["template"]["spec"]["containers"]
    assert worker["envFrom"] == [{"configMapRef": {"name": settings["metadata"]["name"]}}]
