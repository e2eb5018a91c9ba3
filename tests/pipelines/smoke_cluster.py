"""`make smoke-cluster HOST=…`: every way in which `lus` talks to a Kubeflow Pipelines server, once each, and a table at the end.

    python -m tests.pipelines.smoke_cluster -p manifest=gs://… -p storage=gs://… [options of `lus submit` and `lus compile`]

Such options are --namespace and --resources FILE, without which the steps ask for a GPU. Two finished runs of the
retraining pipeline and one uploaded version stay; the schedule that it makes is deleted. The host comes from KF_PIPELINES_ENDPOINT, a token
from LUS_KFP_TOKEN or a cookie from LUS_KFP_COOKIE.
"""

import itertools
import sys
import tempfile
import time
import traceback
from pathlib import Path

from pipelines.commands.main import main as lus

NAME = "lus-smoke"
COMPILING = ("--resources", "--registry", "--tag")
CONNECTION = ("--namespace", "--token-file", "--cookie-file", "--service-account-token", "--host")


def main(options: list[str]) -> int:
    """Runs all checks; returns 1 when one failed."""
    compiling = [text for flag, value in itertools.pairwise(options) if flag in COMPILING for text in (flag, value)]
    options = _without(options, COMPILING)
    connection = [text for flag, value in itertools.pairwise(options) if flag in CONNECTION for text in (flag, value)]
    connection += [flag for flag in options if flag == "--google"]
    with tempfile.TemporaryDirectory(prefix="lus-smoke-") as folder:
        file = str(Path(folder) / "retraining.yaml")
        create = ["schedule", "create", file, *options, "--name", NAME]
        checks = [
            ("compile", ["compile", "--pipeline", "retraining", "-o", file, *compiling]),
            ("explain", ["explain", file]),
            ("create a schedule", [*create, "--cron", "0 3 1 1 *"]),
            ("replace it", [*create, "--cron", "0 4 1 1 *"]),
            ("list schedules", ["schedule", "list", *connection]),
            ("pause it", ["schedule", "pause", NAME, *connection]),
            ("resume it", ["schedule", "resume", NAME, *connection]),
            ("delete it", ["schedule", "delete", NAME, *connection]),
            ("submit and wait", ["submit", file, *options, "--wait"]),
            ("submit again, without upload", ["submit", file, *options, "--wait"]),
            ("list runs", ["runs", "list", *connection]),
        ]
        rows = [(title, *_lus(arguments)) for title, arguments in checks]
    print(f"\n{'check':<30} {'result':<8} seconds")
    for title, code, seconds in rows:
        print(f"{title:<30} {'ok' if code == 0 else f'exit {code}':<8} {seconds:7.1f}")
    return int(any(code for _, code, _ in rows))


def _without(options: list[str], flags: tuple[str, ...]) -> list[str]:
    """Returns the options but for some flags and their values."""
    dropped = {position + offset for position, option in enumerate(options) if option in flags for offset in (0, 1)}
    return [option for position, option in enumerate(options) if position not in dropped]


def _lus(arguments: list[str]) -> tuple[int, float]:
    print(f"\n$ lus {' '.join(arguments)}", flush=True)
    start = time.monotonic()
    try:
        lus(arguments, prog_name="lus")
    except SystemExit as stop:
        code = int(stop.code or 0)
    except Exception:  # a defect of one command; the others are tried all the same
        traceback.print_exc()
        code = 1
    return code, time.monotonic() - start


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
