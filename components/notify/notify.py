"""Notify: a message about a finished run to a webhook and by e-mail. What a secret holds appears in no line of the log."""

import dataclasses
import email.message
import smtplib
import socket
import ssl
from collections.abc import Callable, Mapping
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

import requests
import tenacity

from components.core.errors import DataError, PipelineError
from components.core.records.training_record import read_record
from components.core.registry.champion import read_champion

WEBHOOK, SMTP, MAIL_FROM, MAIL_TO = "LUS_WEBHOOK_URL", "LUS_SMTP_URL", "LUS_MAIL_FROM", "LUS_MAIL_TO"
TIMEOUT_S = 30
NUM_TRIES = 3
MAX_ERROR_CHARACTERS = 500
_WORDS = {"COMPLETE": "succeeded", "RUNNING": "ended, and no step has reported a failure"}
_FAILURES = (requests.RequestException, smtplib.SMTPException, OSError)
_NO_CONNECTION = (
    requests.ConnectionError,
    requests.Timeout,
    smtplib.SMTPServerDisconnected,
    ConnectionError,
    TimeoutError,
    socket.gaierror,
)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        state: SUCCEEDED, FAILED or CANCELLED, as Vertex AI says it; Kubeflow calls a success COMPLETE, and says RUNNING when a condition
            kept a part of the run from starting or a pod was lost (seen with Kubeflow Pipelines 2.17).
        run: its name on the cluster.
        error: what went wrong, or an empty string.
    """

    state: str
    run: str
    error: str


class _IncompleteError(Exception):
    """A channel is not described in full; the message names variables and none of their values."""


def send(outcome: Outcome, storage_uri: str, environment: Mapping[str, str]) -> None:
    """Sends the message on every channel that the environment names; prints it in any case.

    Args:
        outcome: what to tell.
        storage_uri: where the champion is.
        environment: may have the variables of component.py; a file that became a Secret may have left a newline at the end of a value.

    Raises:
        DataError: a channel failed, after several tries where that may help, or is not described in full; the others were tried too.
    """
    environment = {name: value.strip() for name, value in environment.items()}
    subject, text = f"Lung-ultrasound pipeline: {_WORDS.get(outcome.state, outcome.state.lower())}", _text(outcome, storage_uri)
    print(f"{subject}\n{text}", flush=True)
    channels: list[tuple[str, Callable[[], None]]] = []
    if environment.get(WEBHOOK):
        channels.append(("webhook", lambda: _post(environment[WEBHOOK], f"{subject}\n{text}")))
    if environment.get(SMTP):
        channels.append(("e-mail", lambda: _mail(environment, subject, text)))
    failed = [failure for name, channel in channels if (failure := _tried(name, channel))]
    if failed:
        raise DataError(f"the notification was not sent: {'; '.join(failed)}; check the Secret that {WEBHOOK} and {SMTP} come from.")


def _text(outcome: Outcome, storage_uri: str) -> str:
    lines = [f"run: {outcome.run}"]
    if outcome.error:
        lines.append(f"error: {' '.join(outcome.error.split())[:MAX_ERROR_CHARACTERS]}")
    try:
        champion, last = read_champion(storage_uri), read_record(storage_uri)
    except PipelineError as error:
        return "\n".join([*lines, f"storage: {error}"])
    if champion:
        score = "" if champion.macro_f1 is None else f", macro-F1 {champion.macro_f1:.3f}"
        lines.append(f"champion: {champion.version}{score}, since {champion.promoted_at}")
    else:
        lines.append("champion: none")
    lines.append(f"last training: {last.finished_at}, {last.num_videos} videos" if last else "last training: none")
    return "\n".join(lines)


def _tried(name: str, channel: Callable[[], None]) -> str:
    """Tries a channel several times; returns why it failed, or an empty string, without the words of libraries, which hold the URL."""
    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(NUM_TRIES),
        wait=tenacity.wait_exponential(),
        retry=tenacity.retry_if_exception(_may_pass),
        reraise=True,
    )
    try:
        retrying(channel)
    except requests.HTTPError as error:
        return f"{name}: answered {error.response.status_code}"
    except _IncompleteError as error:
        return f"{name}: {error}"
    except (*_FAILURES, ValueError) as error:
        return f"{name}: {type(error).__name__}"
    return ""


def _may_pass(error: BaseException) -> bool:
    """Tells whether another try may help: there was no connection, or the server is busy or faulty."""
    if isinstance(error, requests.HTTPError):
        return error.response.status_code == HTTPStatus.TOO_MANY_REQUESTS or error.response.status_code >= 500
    if isinstance(error, smtplib.SMTPResponseException):
        return 400 <= error.smtp_code < 500  # RFC 5321: transient
    return isinstance(error, _NO_CONNECTION) and not isinstance(error, requests.exceptions.SSLError)


def _post(url: str, text: str) -> None:
    requests.post(url, json={"text": text}, timeout=TIMEOUT_S).raise_for_status()


def _mail(environment: Mapping[str, str], subject: str, text: str) -> None:
    if absent := [name for name in (MAIL_FROM, MAIL_TO) if not environment.get(name)]:
        raise _IncompleteError(f"{' and '.join(absent)} must be set, too")
    url = urlsplit(environment[SMTP])
    if url.scheme not in ("smtp", "smtps") or not url.hostname:
        raise _IncompleteError(f"{SMTP} must start with smtp:// or smtps:// and a host")
    message = email.message.EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, environment[MAIL_FROM], environment[MAIL_TO]
    message.set_content(text)
    context = ssl.create_default_context()  # smtplib's own would take any certificate
    if url.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(url.hostname, url.port or 465, timeout=TIMEOUT_S, context=context)
    else:
        server = smtplib.SMTP(url.hostname, url.port or 25, timeout=TIMEOUT_S)
    with server:
        server.ehlo_or_helo_if_needed()
        if url.scheme == "smtp" and (url.username or server.has_extn("starttls")):
            server.starttls(context=context)  # no password goes to a server that does not offer it
        if url.username:
            server.login(unquote(url.username), unquote(url.password or ""))
        server.send_message(message)
