"""Why a row gave no video: each error's message is the reason that the row gets. No reason holds a query string, which may be a token."""

import re
from urllib.parse import urlsplit, urlunsplit

from components.core.errors import PipelineError


class MissingError(PipelineError):
    """The video could not be had."""


class RejectedError(PipelineError):
    """What came is not a video that the pipeline can use."""


class ChangedError(RejectedError):
    """A source gives another video than the one that was stored first."""


class TransientError(Exception):
    """Something that may go away when tried again, after `wait_s` seconds at the earliest."""

    def __init__(self, reason: str, wait_s: float = 0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


def public_uri(uri: str) -> str:
    """Returns a URI without what may be secret: user, password and query."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return uri
    return urlunsplit((parts.scheme, host_name(uri), parts.path, "", parts.fragment))


def public_sentence(message: str) -> str:
    """Returns the first sentence of another program's message, without colours, causes and query strings."""
    plain = re.sub(r"\x1b\[[\d;]*m", "", message).strip().removeprefix("ERROR: ")
    first = re.split(r"\n|;| \(caused by ", plain)[0]
    return re.sub(r"\?\S*", "", first).rstrip(". ")[:200]


def host_name(url: str) -> str:
    """Returns the host and port of a URL, without user and password."""
    return urlsplit(url).netloc.rpartition("@")[2]


def name_bytes(uri: str) -> bytes:
    """Returns what a URI is known by, also one that names a file whose name is not UTF-8."""
    return uri.encode("utf-8", "surrogateescape")
