from typing import Any

import pytest

from pipelines.engines import containers


class Engine:
    """Knows the digest of every image, and how often it was asked."""

    num_asked = 0

    def __init__(self) -> None:
        self.images, self.id = self, "sha256:00ff"

    def get_registry_data(self, _: str) -> Any:
        self.num_asked += 1
        return self

    def close(self) -> None:
        pass


def test_the_registry_is_asked_once_for_an_image_of_several_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine()
    monkeypatch.setattr(containers, "_engine", lambda _: engine)
    assert {containers.pinned("registry/asked-once:7") for _ in range(2)} == {"registry/asked-once@sha256:00ff"}
    assert engine.num_asked == 1
