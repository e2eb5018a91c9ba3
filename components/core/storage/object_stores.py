"""The clients through which storage talks to gs:// and s3://, and which of their errors tell of an outage.

The clients ask once or twice and then say what went wrong: how long an outage is waited for is decided in core.storage alone.
"""

import functools
from typing import Any

import botocore.session
import google.auth
import requests
import urllib3
from boto3.exceptions import RetriesExceededError, S3UploadFailedError
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.exceptions import SSLError as BotoSSLError
from cloudpathlib import GSClient, S3Client
from cloudpathlib.exceptions import CloudPathException
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
from google.cloud.storage import Bucket, Client
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 10, 60

# A certificate stays wrong, and a server does not learn what it cannot do (HTTP 501, 505).
_WRONG_CERTIFICATES = (requests.exceptions.SSLError, BotoSSLError)
_UNABLE = (501, 505)
# Beside what has a status: no connection, a broken one, none in time, or a body that breaks off.
_NO_ANSWERS = (
    ConnectionError,
    TimeoutError,
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    urllib3.exceptions.PoolError,
    urllib3.exceptions.ProtocolError,
    urllib3.exceptions.TimeoutError,
    BotoConnectionError,
    HTTPClientError,
    IncompleteReadError,
    RetriesExceededError,
    DataCorruption,
    RetryError,
    TransportError,
)


class RefusedError(CloudPathException):
    """A question whether something is there got another answer than yes or no."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the storage answers with HTTP status {status}")
        self.status = status


def scheme_of(uri: str) -> str:
    """Returns the scheme of a URI in lower case, or an empty string for a local path."""
    scheme, separator, _ = uri.partition("://")
    return scheme.lower() if separator else ""


@functools.cache
def client_of(scheme: str) -> GSClient | S3Client:
    """Returns the client of gs or s3, with the usual credentials of Google or AWS."""
    return _gs_client() if scheme == "gs" else _s3_client()


def is_outage(error: BaseException) -> bool:
    """Tells whether an error is the storage's or the network's, not the caller's, so that it may be gone when the same is tried again."""
    if isinstance(error, S3UploadFailedError) and error.__context__:
        return is_outage(error.__context__)
    if isinstance(error, _WRONG_CERTIFICATES):
        return False
    if isinstance(error, _NO_ANSWERS) or (isinstance(error, GoogleAuthError) and error.retryable):
        return True
    status = _status_of(error)
    return status in (408, 429) or (status >= 500 and status not in _UNABLE)


def _status_of(error: BaseException) -> int:
    if isinstance(error, RefusedError):
        return error.status
    if isinstance(error, ClientError):
        # A server that ran out of patience with a slow body answers 400.
        timed_out = error.response.get("Error", {}).get("Code") == "RequestTimeout"
        return 408 if timed_out else error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if isinstance(error, GoogleAPICallError):
        return error.code or 0
    if isinstance(error, InvalidResponse):
        return int(error.response.status_code)
    return 0


def _s3_client() -> S3Client:
    session = botocore.session.get_session()
    retries: Any = {"mode": "standard", "total_max_attempts": 2}
    session.set_default_client_config(Config(connect_timeout=CONNECT_TIMEOUT_S, read_timeout=READ_TIMEOUT_S, retries=retries))
    client = S3Client(botocore_session=session)
    for operation in ("HeadObject", "HeadBucket"):
        client.client.meta.events.register(f"after-call.s3.{operation}", _check_head)
    return client


def _check_head(http_response: Any, **_: Any) -> None:
    """cloudpathlib takes every error of these two for the answer that nothing is there."""
    if http_response.status_code >= 300 and http_response.status_code != 404:
        raise RefusedError(http_response.status_code)


class _Bucket(Bucket):
    """A bucket whose requests are made once; by itself the library waits up to two minutes without a word."""

    exists = functools.partialmethod(Bucket.exists, retry=None)
    get_blob = functools.partialmethod(Bucket.get_blob, retry=None)
    list_blobs = functools.partialmethod(Bucket.list_blobs, retry=None)

    def delete_blob(self, blob_name: str, **options: Any) -> None:
        super().delete_blob(blob_name, **{**options, "retry": None})


class _Client(Client):
    def bucket(self, bucket_name: str, *arguments: Any, **options: Any) -> Bucket:
        return _Bucket(self, bucket_name, *arguments, **options)


def _gs_client() -> GSClient:
    try:
        credentials, project = google.auth.default()
        client = GSClient(storage_client=_Client(credentials=credentials, project=project))
    except DefaultCredentialsError:
        client = GSClient(storage_client=_Client.create_anonymous_client())
    client.blob_kwargs["retry"] = None
    return client
