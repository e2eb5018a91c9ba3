"""One small object as a whole, in a local folder, in gs:// or in s3://: read, written, and written on condition that nobody else has.

Every function asks once, and raises what the system or the client library raises; core.storage knows what of it is an outage, and waits.
gs:// and s3:// check a condition themselves (ifGenerationMatch, If-Match), a local folder through a lock beside the file, which a process
loses when it ends.
"""

import contextlib
import fcntl
import hashlib
import mimetypes
from pathlib import Path
from typing import TypeAlias

from botocore.exceptions import ClientError
from cloudpathlib import CloudPath, GSPath, S3Path
from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud.storage import Blob

from components.core.files import outputs

StoragePath: TypeAlias = Path | CloudPath
Generation: TypeAlias = str
ABSENT: Generation = ""


def read_with_generation(path: StoragePath) -> tuple[bytes, Generation]:
    """Returns the content of an object and its generation; of one that is not there, b"" and ABSENT."""
    if isinstance(path, GSPath):
        return _read_gs(path)
    if isinstance(path, S3Path):
        return _read_s3(path)
    return _read_local(Path(str(path)))


def write_on_condition(path: StoragePath, data: bytes, generation: Generation) -> bool:
    """Writes an object unless it has another generation than this one; tells whether it did."""
    if isinstance(path, GSPath):
        return _write_gs(path, data, generation)
    if isinstance(path, S3Path):
        return _write_s3(path, data, generation)
    return _write_local(Path(str(path)), data, generation)


def read(path: StoragePath) -> bytes:
    """Returns the content of an object.

    Raises:
        FileNotFoundError: it is not there.
    """
    if isinstance(path, Path):
        return path.read_bytes()
    data, generation = read_with_generation(path)
    if generation == ABSENT:
        raise FileNotFoundError("it does not exist")
    return data


def write(path: StoragePath, data: bytes) -> None:
    """Writes an object so that a reader sees the old content or the new, never a part."""
    content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if isinstance(path, GSPath):
        _gs_blob(path).upload_from_string(data, content_type=content_type, checksum="crc32c", retry=None)
    elif isinstance(path, S3Path):
        path.client.client.put_object(Bucket=path.bucket, Key=path.key, Body=data, ContentType=content_type)
    else:
        with outputs.written_aside(Path(str(path))) as aside:
            aside.write_bytes(data)


def _gs_blob(path: GSPath) -> Blob:
    return path.client.client.bucket(path.bucket).blob(path.blob)


def _read_gs(path: GSPath) -> tuple[bytes, Generation]:
    while blob := path.client.client.bucket(path.bucket).get_blob(path.blob):
        generation = blob.generation
        with contextlib.suppress(NotFound, PreconditionFailed):  # replaced between the two requests
            return blob.download_as_bytes(if_generation_match=generation, retry=None), str(generation)
    return b"", ABSENT


def _write_gs(path: GSPath, data: bytes, generation: Generation) -> bool:
    try:
        _gs_blob(path).upload_from_string(
            data, content_type="application/json", checksum="crc32c", if_generation_match=int(generation or 0), retry=None
        )
    except PreconditionFailed:
        return False
    return True


def _read_s3(path: S3Path) -> tuple[bytes, Generation]:
    try:
        answer = path.client.client.get_object(Bucket=path.bucket, Key=path.key)
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return b"", ABSENT
        raise
    return answer["Body"].read(), answer["ETag"]


def _write_s3(path: S3Path, data: bytes, generation: Generation) -> bool:
    condition = {"IfNoneMatch": "*"} if generation == ABSENT else {"IfMatch": generation}
    try:
        path.client.client.put_object(Bucket=path.bucket, Key=path.key, Body=data, ContentType="application/json", **condition)
    except ClientError as error:
        # 409: another conditional write of the object was under way; NoSuchKey: it was deleted.
        if error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"):
            return False
        raise
    return True


def _read_local(path: Path) -> tuple[bytes, Generation]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return b"", ABSENT
    return data, hashlib.sha256(data).hexdigest()


def _write_local(path: Path, data: bytes, generation: Generation) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _read_local(path)[1] != generation:
            return False
        with outputs.written_aside(path) as aside:
            aside.write_bytes(data)
        return True
