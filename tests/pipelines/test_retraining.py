"""Retraining: the compiled pipeline is executed with its conditions and its exit handler, on phantoms."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from components.phantoms.phantoms import generate_phantoms
from pipelines.cli import main as lus
from pipelines.compile import documents
from tests.pipelines.ir_interpreter import FAILED, SKIPPED, SUCCEEDED, Interpreter

WEBHOOK_SECRET = "T0P/S3CR3T"
# One epoch of the fastest architecture on a few videos; whatever that gives is promoted.
SMALL = {
    "architecture": "cnn_lstm",
    "backbone": "small",
    "epochs": 1,
    "pruning_epochs": 1,
    "num_bootstrap": 20,
    "min_macro_f1": 0.0,
    "max_p_value": 1.0,
    "num_shards": 1,
}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("compiled") / "retraining.yaml"
    result = CliRunner().invoke(lus, ["compile", "--pipeline", "retraining", "-o", str(path)])
    assert result.exit_code == 0, result.output
    return documents(path.read_text())[0]


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Address of a webhook, and what it was sent."""
    received: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/{WEBHOOK_SECRET}", received
    server.shutdown()
    server.server_close()


def steps(interpreter: Interpreter) -> dict[str, str]:
    """Returns the states by the last part of a task's name; of two ingests that of the nested one."""
    return {path.rsplit("/", 1)[-1]: state for path, state in interpreter.states.items()}


def test_a_message_that_was_sent_is_not_sent_again_by_a_retry(pipeline: dict[str, Any]) -> None:
    assert not pipeline["root"]["dag"]["tasks"]["notify"].get("retryPolicy", {}).get("maxRetryCount")


@pytest.mark.slow
def test_it_trains_skips_and_trains_on_a_new_video(
    tmp_path: Path, pipeline: dict[str, Any], webhook: tuple[str, list[dict[str, str]]]
) -> None:
    manifest = generate_phantoms(tmp_path / "phantoms", patients_per_class=4, videos_per_patient=1, seed=0)
    lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join(lines[:-1]) + "\n")
    parameters = {"manifest": str(manifest), "storage": str(tmp_path / "storage"), **SMALL}
    url, received = webhook
    environment = {"LUS_WEBHOOK_URL": url}

    first = Interpreter(pipeline, tmp_path / "first", environment)
    assert first.run(parameters) == SUCCEEDED, first.log
    assert set(first.states.values()) == {SUCCEEDED}
    assert {"ingest", "preprocess", "train", "prune", "evaluate", "promote", "record-training", "notify"} <= set(steps(first))
    assert "It is not known what was trained on before" in first.log
    champion = json.loads((tmp_path / "storage" / "models" / "champion.json").read_text())
    record = (tmp_path / "storage" / "last_training.json").read_text()

    again = Interpreter(pipeline, tmp_path / "again", environment)
    assert again.run(parameters) == SUCCEEDED, again.log
    assert "Nothing new" in again.log
    assert steps(again) == {
        "exit-handler-1": SUCCEEDED,
        "ingest": SUCCEEDED,
        "decide-training": SUCCEEDED,
        "condition-2": SKIPPED,
        "notify": SUCCEEDED,
    }
    assert (tmp_path / "storage" / "last_training.json").read_text() == record

    manifest.write_text("\n".join(lines) + "\n")
    new_video = Interpreter(pipeline, tmp_path / "new", environment, stop_at="preprocess")
    assert new_video.run(parameters) == FAILED
    assert "The videos or their labels have changed" in new_video.log
    assert steps(new_video)["preprocess"] == FAILED
    assert steps(new_video)["train"] == SKIPPED
    assert steps(new_video)["record-training"] == SKIPPED
    assert (tmp_path / "storage" / "last_training.json").read_text() == record, "a training that failed is tried again"

    assert [message["text"].splitlines()[0] for message in received] == [
        "Lung-ultrasound pipeline: succeeded",
        "Lung-ultrasound pipeline: succeeded",
        "Lung-ultrasound pipeline: failed",
    ]
    assert f"champion: {champion['version']}" in received[0]["text"]
    assert "stopped at preprocess" in received[2]["text"]
    assert WEBHOOK_SECRET not in first.log + again.log + new_video.log
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in written if WEBHOOK_SECRET.encode() in path.read_bytes()]


def test_a_failure_before_the_decision_is_told(tmp_path: Path, pipeline: dict[str, Any], webhook: tuple[str, list[dict[str, str]]]) -> None:
    url, received = webhook
    run = Interpreter(pipeline, tmp_path / "run", {"LUS_WEBHOOK_URL": url})
    assert run.run({"manifest": "absent.csv", "storage": str(tmp_path / "storage")}) == FAILED
    assert steps(run) == {
        "exit-handler-1": FAILED,
        "ingest": FAILED,
        "decide-training": SKIPPED,
        "condition-2": SKIPPED,
        "notify": SUCCEEDED,
    }
    (message,) = received
    assert "error: manifest 'absent.csv' does not exist" in message["text"].replace("error: error:", "error:")
