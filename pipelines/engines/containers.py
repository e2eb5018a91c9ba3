"""Containers of a local run: kfp's DockerRunner starts them; this module says beforehand what is missing and afterwards what kfp hides.

kfp sees only whether a container's last word was 0, and takes a container that is gone for a success. The engine's events tell more, so all
containers of a run carry a label, by which its events are found.
"""

import contextlib
import functools
import os
import time
import uuid
from collections.abc import Iterable
from typing import Any

import docker
from docker.errors import DockerException, ImageNotFound, NotFound
from kfp import local

from components.core.errors import UsageError

_LABEL = "lus.run"
_KILLED = 137


class ContainerRun:
    """The containers of one run. A context manager: those that still run at its end (the user has interrupted it) are stopped."""

    def __init__(self, image_uris: Iterable[str]) -> None:
        """Checks what the run needs.

        Raises:
            UsageError: no engine answers, or an image is not there.
        """
        self._client = _engine("use --runner subprocess")
        for uri in sorted(set(image_uris)):
            _check_present(self._client, uri)
        self._label = f"{_LABEL}={uuid.uuid4().hex}"
        self._since = int(time.time())

    def __enter__(self) -> "ContainerRun":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for container in self._client.containers.list(filters={"label": self._label}):
                with contextlib.suppress(NotFound):  # it has just ended
                    container.stop()
        finally:
            self._client.close()

    def runner(self, mounts: Iterable[tuple[str, bool]]) -> local.DockerRunner:
        """Returns kfp's runner: containers of this user, who see the mounted folders under the paths that these have here.

        Args:
            mounts: local folders, each with whether it is only read.
        """
        key, _, value = self._label.partition("=")
        return local.DockerRunner(
            # kfp gives the whole command; the images' own entry point is for people.
            entrypoint=["tini", "-g", "--"],
            user=f"{os.getuid()}:{os.getgid()}",
            network_mode="host",
            labels={key: value},
            mounts=[docker.types.Mount(path, path, type="bind", read_only=read_only) for path, read_only in mounts],
        )

    def failure(self) -> str:
        """Returns why a container did not end well, as far as the engine knows; empty when all did."""
        filters = {"label": self._label, "event": ["die", "oom"]}
        events = list(self._client.events(since=self._since, until=int(time.time()) + 1, filters=filters, decode=True))
        if any(event["Action"] == "oom" for event in events):
            return "the container ran out of memory; give Docker more of it, or ask for less with a smaller --batch-size or --num-workers."
        codes = {int(event["Actor"]["Attributes"]["exitCode"]) for event in events}
        if _KILLED in codes:
            return "the container was killed (exit code 137), by a person or because this machine ran out of memory."
        return ""


@functools.cache
def pinned(uri: str) -> str:
    """Returns the URI with the digest that the image has in its registry, which the engine asks with this user's credentials.

    Raises:
        UsageError: no engine answers, or the registry does not give the image.
    """
    client = _engine("compile without --digests")
    try:
        digest = client.images.get_registry_data(uri).id
    except DockerException as error:
        raise UsageError(f"the registry does not tell the digest of {uri!r} ({error}); push the image first, and log in.") from None
    finally:
        client.close()
    return f"{uri.rpartition(':')[0]}@{digest}"


def _engine(instead: str) -> Any:
    """Returns a client of the engine; `instead` is what to do without one."""
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        if "Permission denied" in str(error):
            raise UsageError(f"this user may not use the Docker engine; join the group docker and log in again, or {instead}.") from None
        raise UsageError(f"no Docker engine answers; start one (or set DOCKER_HOST), or {instead}.") from None
    return client


def _check_present(client: Any, uri: str) -> None:
    try:
        client.images.get(uri)
    except ImageNotFound:
        raise UsageError(f"the image {uri!r} is not on this machine; build it with `make images`, or `docker pull {uri}`.") from None
