"""`lus compile --digests` asks the registry, through the engine: here a registry that serves manifests and nothing else."""

import hashlib
import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.docker
CONFIG = json.dumps({"os": "linux", "architecture": "amd64"}).encode()
LAYERS_TYPE = "application/vnd.docker.distribution.manifest.v2+json"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def manifest_of(repository: str, tag: str) -> bytes:
    """A manifest that differs from image to image."""
    config = {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(CONFIG), "digest": digest_of(CONFIG)}
    return json.dumps(
        {"schemaVersion": 2, "mediaType": LAYERS_TYPE, "config": config, "layers": [], "annotations": {repository: tag}}
    ).encode()


class Registry(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        match self.path.strip("/").split("/"):
            case ["v2"]:
                self._answer(b"{}", "application/json")
            case ["v2", *_, "blobs", _]:
                self._answer(CONFIG, "application/octet-stream")
            case ["v2", *repository, "manifests", tag] if "absent" not in repository:
                self._answer(manifest_of("/".join(repository), tag), LAYERS_TYPE)
            case _:
                self.send_error(404)

    do_HEAD = do_GET

    def _answer(self, content: bytes, content_type: str) -> None:
        self.send_response(200)
        for name, value in (
            ("Content-Type", content_type),
            ("Content-Length", str(len(content))),
            ("Docker-Content-Digest", digest_of(content)),
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def registry() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def compiled_images(path: Path, *options: str) -> dict[str, str]:
    command = [sys.executable, "-m", "pipelines", "compile", "-o", str(path), "--digests", *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    executors = next(yaml.safe_load_all(path.read_text()))["deploymentSpec"]["executors"]
    return {name.removeprefix("exec-"): executor["container"]["image"] for name, executor in executors.items()}


def test_images_are_pinned_by_the_digests_of_the_registry(registry: str, tmp_path: Path) -> None:
    images = compiled_images(tmp_path / "training.yaml", "--registry", f"{registry}/me", "--tag", "7")
    for step, name, tag in (
        ("ingest", "ingest", "7"),
        ("promote", "ingest", "7"),
        ("train", "train", "7-cuda"),
        ("evaluate", "train", "7"),
    ):
        assert images[step] == f"{registry}/me/{name}@{digest_of(manifest_of(f'me/{name}', tag))}"


def test_an_image_that_was_not_pushed_is_told(registry: str, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pipelines",
        "compile",
        "-o",
        str(tmp_path / "a.yaml"),
        "--digests",
        "--registry",
        f"{registry}/absent",
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "the registry does not tell the digest of" in result.stderr
    assert "push the image first" in result.stderr
    assert not (tmp_path / "a.yaml").exists()
