"""No secret in a compiled file, in what is printed, or in what the server keeps."""

import os
import subprocess
import sys
from pathlib import Path

from tests.pipelines.conftest import PARAMETERS
from tests.pipelines.kubeflow_server import KubeflowServer

ROOT = Path(__file__).parents[3]
# Planted wherever a user has secrets: the token, the credentials of the storage, the webhook, the password of the mail server.
SECRETS = {
    "LUS_KFP_TOKEN": "planted-token-1",
    "AWS_SECRET_ACCESS_KEY": "planted-key-2",
    "LUS_WEBHOOK_URL": "https://hooks.example.org/planted-hook-3",
    "LUS_SMTP_URL": "smtps://user:planted-password-4@example.org",
}


def test_planted_secrets_are_found_nowhere(server: KubeflowServer, tmp_path: Path) -> None:
    (tmp_path / "resources.yaml").write_text("all: {secrets: {aws: {secret-key: AWS_SECRET_ACCESS_KEY}}}")
    server.token = SECRETS["LUS_KFP_TOKEN"]
    environment = {**os.environ, **SECRETS, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "KF_PIPELINES_ENDPOINT": server.host}
    printed = ""

    def lus(*arguments: str) -> int:
        nonlocal printed
        command = [sys.executable, "-m", "pipelines", *arguments]
        result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        printed += result.stdout + result.stderr
        return result.returncode

    assert lus("compile", "--pipeline", "retraining", "-o", "retraining.yaml", "--resources", "resources.yaml") == 0
    assert "LUS_WEBHOOK_URL" in (tmp_path / "retraining.yaml").read_text(), "the names of the variables are there, the values are not"
    assert lus("submit", "retraining.yaml", *PARAMETERS, "--wait") == 0
    assert lus("schedule", "create", "retraining.yaml", *PARAMETERS, "--name", "weekly", "--cron", "0 3 * * 1") == 0
    server.token = "another"
    assert lus("submit", "retraining.yaml", *PARAMETERS) == 1
    assert "401" in printed
    assert server.runs
    assert server.recurring_runs

    kept = printed + server.everything_stored()
    kept += "".join(path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file())
    assert not [secret for secret in SECRETS.values() if secret in kept or secret.rsplit("/", 1)[-1] in kept]
    assert "planted" not in kept
