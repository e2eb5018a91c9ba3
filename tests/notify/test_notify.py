"""Notifications against a real webhook and a real SMTP server on this machine."""

import contextlib
import json
import shutil
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import tenacity

from components.core.errors import DataError
from components.notify.notify import Outcome, send

SECRET = "s3cr3t"
FAILED = Outcome("FAILED", "runs/7", "step train:\nout of memory")


class Webhook(HTTPServer):
    """Answers with the given statuses, then with 200; keeps what it was sent, and where."""

    def __init__(self, statuses: list[int]) -> None:
        self.received: list[dict[str, str]] = []
        self.paths: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.paths.append(self.path)
                outer.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(statuses.pop(0) if statuses else 200)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/hooks/{SECRET}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


class MailServer(socketserver.ThreadingTCPServer):
    """As much of RFC 5321 as smtplib needs; keeps the lines of the conversation.

    With a certificate and its key it offers STARTTLS (RFC 3207), and keeps apart what came in plain text.
    """

    def __init__(self, *certificate_and_key: Path) -> None:
        self.lines: list[str] = []
        self.plain_lines: list[str] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if certificate_and_key:
            context.load_cert_chain(*certificate_and_key)
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(ssl.SSLError, OSError):  # a client that does not trust the certificate goes away
                    self.converse()

            def converse(self) -> None:
                self.wfile.write(b"220 here\r\n")
                in_message = False
                lines = outer.plain_lines if certificate_and_key else outer.lines
                while raw := self.rfile.readline():
                    line = raw.decode().rstrip("\r\n")
                    lines.append(line)
                    if line.upper().startswith("EHLO") and lines is outer.plain_lines:
                        answer = b"250-here\r\n250 STARTTLS\r\n"
                    elif line.upper() == "STARTTLS":
                        self.wfile.write(b"220 go on\r\n")
                        self.connection = context.wrap_socket(self.connection, server_side=True)
                        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)
                        lines, answer = outer.lines, b""
                    elif in_message:
                        in_message = line != "."
                        answer = b"" if in_message else b"250 kept\r\n"
                    elif line.upper() == "DATA":
                        in_message, answer = True, b"354 go on\r\n"
                    else:
                        answer = b"221 bye\r\n" if line == "QUIT" else b"250 ok\r\n"
                    self.wfile.write(answer)

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


class TlsServer(socketserver.ThreadingTCPServer):
    """Does the TLS handshake, and nothing else."""

    def __init__(self, certificate: Path, key: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(ssl.SSLError, OSError):
                    context.wrap_socket(self.request, server_side=True).sendall(b"220 here\r\n")

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Returns a certificate for 127.0.0.1 that no authority has signed, and its key."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenacity.nap.time, "sleep", lambda _: None)


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server
        server.shutdown()


def webhook(statuses: list[int]) -> Webhook:
    return Webhook(statuses)


def test_without_an_address_the_message_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    send(FAILED, str(tmp_path), {})
    printed = capsys.readouterr().out
    assert printed.splitlines() == [
        "Lung-ultrasound pipeline: failed",
        "run: runs/7",
        "error: step train: out of memory",
        "champion: none",
        "last training: none",
    ]


def test_a_webhook_that_answers_late_gets_the_message(tmp_path: Path) -> None:
    server = webhook([503, 500])
    send(FAILED, str(tmp_path), {"LUS_WEBHOOK_URL": server.url})
    assert len(server.received) == 3
    assert server.received[-1]["text"].startswith("Lung-ultrasound pipeline: failed\nrun: runs/7\nerror: step train: out of memory")
    server.shutdown()


@pytest.mark.parametrize(("status", "num_tries"), [(429, 3), (500, 3), (400, 1), (404, 1)])
def test_only_what_may_pass_is_tried_again(tmp_path: Path, status: int, num_tries: int) -> None:
    server = webhook([status] * 3)
    with pytest.raises(DataError, match=f"webhook: answered {status}"):
        send(FAILED, str(tmp_path), {"LUS_WEBHOOK_URL": server.url})
    assert len(server.received) == num_tries
    server.shutdown()


def mail_by(url: str) -> dict[str, str]:
    """The environment of a step that sends e-mail."""
    return {"LUS_SMTP_URL": url, "LUS_MAIL_FROM": "lus@example.org", "LUS_MAIL_TO": "a@example.org"}


def test_an_e_mail_is_sent(tmp_path: Path, mail_server: MailServer) -> None:
    port = mail_server.server_address[1]
    environment = {**mail_by(f"smtp://127.0.0.1:{port}"), "LUS_MAIL_TO": "a@example.org, b@example.org"}
    send(Outcome("COMPLETE", "runs/7", ""), str(tmp_path), environment)
    assert [line for line in mail_server.lines if line.upper().startswith("RCPT")] == ["rcpt TO:<a@example.org>", "rcpt TO:<b@example.org>"]
    assert "Subject: Lung-ultrasound pipeline: succeeded" in mail_server.lines
    assert "champion: none" in mail_server.lines


def test_an_e_mail_goes_over_tls_to_a_server_that_offers_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = self_signed(tmp_path)
    with MailServer(certificate, key) as server:
        environment = mail_by(f"smtp://127.0.0.1:{server.server_address[1]}")
        with pytest.raises(DataError, match="e-mail: SSLCertVerificationError"):
            send(FAILED, str(tmp_path), environment)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        send(FAILED, str(tmp_path), environment)
        server.shutdown()
    assert {line.split()[0].upper() for line in server.plain_lines} == {"EHLO", "STARTTLS"}
    assert "Subject: Lung-ultrasound pipeline: failed" in server.lines


def test_values_that_end_in_a_newline_are_taken(tmp_path: Path, mail_server: MailServer) -> None:
    server = webhook([])
    environment = {
        "LUS_WEBHOOK_URL": f"{server.url}\n",
        "LUS_SMTP_URL": f"smtp://127.0.0.1:{mail_server.server_address[1]}\n",
        "LUS_MAIL_FROM": "lus@example.org\n",
        "LUS_MAIL_TO": "a@example.org\n",
    }
    send(FAILED, str(tmp_path), environment)
    assert server.paths == [f"/hooks/{SECRET}"]
    assert "From: lus@example.org" in mail_server.lines
    server.shutdown()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"LUS_MAIL_FROM": ""}, "e-mail: LUS_MAIL_FROM must be set, too; check"),
        ({"LUS_MAIL_FROM": "", "LUS_MAIL_TO": " "}, "e-mail: LUS_MAIL_FROM and LUS_MAIL_TO must be set, too; check"),
        ({"LUS_SMTP_URL": "mail.example.org:25"}, "e-mail: LUS_SMTP_URL must start with smtp:// or smtps:// and a host; check"),
    ],
)
def test_what_is_missing_for_an_e_mail_is_named(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    environment = {**mail_by("smtp://127.0.0.1:1"), **changes}
    with pytest.raises(DataError, match=message):
        send(FAILED, str(tmp_path), environment)


def test_a_mail_server_with_a_certificate_of_nobody_gets_no_password(tmp_path: Path) -> None:
    with TlsServer(*self_signed(tmp_path)) as server:
        environment = mail_by(f"smtps://user:{SECRET}@127.0.0.1:{server.server_address[1]}")
        with pytest.raises(DataError, match="e-mail: SSLCertVerificationError"):
            send(FAILED, str(tmp_path), environment)
        server.shutdown()


def test_one_broken_channel_does_not_stop_the_other_and_no_secret_is_told(
    tmp_path: Path, mail_server: MailServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server = webhook([403] * 3)
    environment = {"LUS_WEBHOOK_URL": server.url, **mail_by(f"smtp://127.0.0.1:{mail_server.server_address[1]}")}
    with pytest.raises(DataError) as caught:
        send(FAILED, str(tmp_path), environment)
    assert "webhook: answered 403" in str(caught.value)
    assert "Subject: Lung-ultrasound pipeline: failed" in mail_server.lines
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError, match="webhook: ConnectionError; e-mail: ConnectionRefusedError") as refused:
        send(FAILED, str(tmp_path), {**environment, "LUS_SMTP_URL": f"smtp://user:{SECRET}@127.0.0.1:1"})
    captured = capsys.readouterr()
    assert SECRET not in captured.out + captured.err + str(caught.value) + str(refused.value)
