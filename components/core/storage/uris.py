"""URIs of storages, and the paths that they name."""

import os
from pathlib import Path

from cloudpathlib import CloudPath, GSPath, S3Path

from components.core.errors import UsageError
from components.core.files import local_files
from components.core.storage.object_stores import client_of, scheme_of
from components.core.storage.outages import failures
from components.core.storage.small_objects import StoragePath

_CLOUD_PATHS: dict[str, type[CloudPath]] = {"gs": GSPath, "s3": S3Path}


def path_of(uri: str | os.PathLike[str]) -> StoragePath:
    """Returns a local path or a cloud path; both offer pathlib's reading methods.

    Raises:
        UsageError: the URI is empty, holds a NUL, its scheme is not supported, or it names no bucket.
        StorageError: the credentials cannot be used.
    """
    text = os.fspath(uri) if isinstance(uri, os.PathLike) and not isinstance(uri, CloudPath) else str(uri)
    if "\0" in text:
        raise UsageError(f"storage URI {text!r} holds a NUL character; no system has such names.")
    if not text:
        raise UsageError("a storage URI is empty; give a local path, a gs:// or an s3:// URI.")
    scheme = scheme_of(text)
    if not scheme:
        return Path(text)
    if scheme not in _CLOUD_PATHS:
        supported = ", ".join(f"{name}://" for name in _CLOUD_PATHS)
        raise UsageError(f"storage URI {text!r} has an unsupported scheme; use a local path or {supported}.")
    with failures("open", text):
        client = client_of(scheme)
    try:
        path = _CLOUD_PATHS[scheme](text, client=client)
    except ValueError as error:
        raise UsageError(f"storage URI {text!r} cannot be understood ({error}); write {scheme}://BUCKET/PATH.") from None
    # What is joined to such a URI would be taken for the bucket.
    if not text.partition("://")[2].partition("/")[0]:
        raise UsageError(f"storage URI {text!r} names no bucket; write {scheme}://BUCKET/PATH.")
    return path


def absolute_uri(uri: str) -> str:
    """Returns the URI such that it means the same from every working directory."""
    path = path_of(uri)
    return str(path.absolute()) if isinstance(path, Path) else str(path)


def spelled(uri: str | os.PathLike[str]) -> str:
    """Returns the URI of what is there, where a local name differs from it in Unicode's normal form alone (local_files.as_spelled)."""
    text = str(uri)
    if scheme_of(text) or text.isascii():
        return text
    found = local_files.as_spelled(Path(text))
    return text if found == Path(text) else str(found)


def join(uri: str, *parts: str) -> str:
    """Returns the URI of something below a storage URI."""
    return str(path_of(uri).joinpath(*parts))
