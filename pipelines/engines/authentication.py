"""How a user proves to a Kubeflow server who he is."""

import dataclasses
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import kfp_server_api
from google.auth.exceptions import GoogleAuthError
from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials
from kfp.client.token_credentials_base import TokenCredentialsBase

from components.core.errors import UsageError

TOKEN_VARIABLE, COOKIE_VARIABLE = "LUS_KFP_TOKEN", "LUS_KFP_COOKIE"


@dataclasses.dataclass(frozen=True)
class Authentication:
    """How to show who one is.

    Attributes:
        description: in words, for errors; holds no secret.
        arguments: for kfp.Client.
    """

    description: str = "no credentials"
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict, repr=False)


class _GoogleCredentials(TokenCredentialsBase):
    """Google's application default credentials, refreshed when they expire."""

    def __init__(self) -> None:
        import google.auth

        try:
            self._credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
        except google.auth.exceptions.DefaultCredentialsError as error:
            raise UsageError(f"there are no Google credentials ({error}); run `gcloud auth application-default login`.") from None

    def refresh_api_key_hook(self, config: kfp_server_api.Configuration) -> None:
        from google.auth.transport.requests import Request

        if not self._credentials.valid:
            try:
                self._credentials.refresh(Request())  # type: ignore[no-untyped-call]
            except GoogleAuthError as error:
                reason = " ".join(str(error).split())[:200]
                raise UsageError(
                    f"the Google credentials are not usable ({reason}); run `gcloud auth application-default login`."
                ) from None
        config.api_key["authorization"] = self._credentials.token


def authentication(token_file: str, cookie_file: str, service_account_token: str, google: bool) -> Authentication:
    """Returns the one way of authentication that was asked for, by an option or by an environment variable.

    Raises:
        UsageError: more than one was asked for, or a file cannot be used.
    """
    ways: list[tuple[bool | str, Callable[[], Authentication]]] = [
        (token_file, lambda: _token(_secret_in(token_file), f"the token in {token_file!r}")),
        (cookie_file, lambda: _cookie(_secret_in(cookie_file), f"the cookie in {cookie_file!r}")),
        (service_account_token, lambda: _service_account(service_account_token)),
        (google, lambda: Authentication("Google's application default credentials", {"credentials": _GoogleCredentials()})),
    ]
    asked = [way for given, way in ways if given]
    if len(asked) > 1:
        raise UsageError(
            "more than one way of authentication was given; use one of --token-file, --cookie-file, --service-account-token, --google."
        )
    if asked:
        return asked[0]()
    if token := os.environ.get(TOKEN_VARIABLE):
        return _token(token, f"the token in ${TOKEN_VARIABLE}")
    if cookie := os.environ.get(COOKIE_VARIABLE):
        return _cookie(cookie, f"the cookie in ${COOKIE_VARIABLE}")
    return Authentication()


def _secret_in(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not ASCII text"
        raise UsageError(f"cannot read the secret in {path!r} ({reason}); give a file with nothing else in it.") from None


def _token(secret: str, description: str) -> Authentication:
    if not re.fullmatch(r"[\x21-\x7e]+", secret.strip()):
        raise UsageError(f"{description} is empty or has spaces in it; it must be one word.")
    return Authentication(description, {"existing_token": secret.strip()})


def _cookie(secret: str, description: str) -> Authentication:
    if not re.fullmatch(r"[\w.-]+=[\x20-\x7e]+", secret.strip()):
        raise UsageError(f"{description} must read NAME=VALUE, such as authservice_session=…, as the browser shows it.")
    return Authentication(description, {"cookies": secret.strip()})


def _service_account(path: str) -> Authentication:
    _secret_in(path)
    return Authentication(f"the service account's token in {path!r}", {"credentials": ServiceAccountTokenVolumeCredentials(path=path)})
