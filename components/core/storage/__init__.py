"""Storage URIs: local paths, gs:// and s3:// objects behind one interface.

cloudpathlib does the work (through google-cloud-storage and boto3, with their usual credentials); this room adds what it does not give: a
closed list of schemes, errors in one sentence, and commits. Whatever is written here appears under its final name only when it is
complete: local files are written aside and moved (core.files.outputs), and cloud objects appear whole by themselves.

A full or read-only disk of this machine, of the storage or of temporary files, ends the step at once with a DiskError.

A storage that does not answer (no connection, a broken one, HTTP 408, 429 or 5xx, a body that breaks off) is asked again for PATIENCE_S
(core.storage.outages), which is said once; only then does the step end, with an OutageError. What is wrong in itself (no such object or
bucket, no access) ends at once.

Small state that several runs may change at once (a pointer, a table) is read with its generation and written on condition that it is still
there: `read_with_generation` and `write_if_unchanged` (core.storage.small_objects).
"""

from components.core.storage.object_stores import (
    scheme_of,
)
from components.core.storage.objects import (
    WORK_NAME,
    ConflictError,
    check_is_there,
    check_writable,
    delete_file,
    delete_folder,
    exists,
    local_copy,
    local_folder,
    move_file,
    new_file,
    put_file,
    put_folder,
    read_bytes,
    read_with_generation,
    take_file,
    write_bytes,
    write_if_unchanged,
)
from components.core.storage.outages import (
    failures,
    patiently,
)
from components.core.storage.uris import (
    absolute_uri,
    join,
    path_of,
    spelled,
)

__all__ = [
    "WORK_NAME",
    "ConflictError",
    "absolute_uri",
    "check_is_there",
    "check_writable",
    "delete_file",
    "delete_folder",
    "exists",
    "failures",
    "join",
    "local_copy",
    "local_folder",
    "move_file",
    "new_file",
    "path_of",
    "patiently",
    "put_file",
    "put_folder",
    "read_bytes",
    "read_with_generation",
    "scheme_of",
    "spelled",
    "take_file",
    "write_bytes",
    "write_if_unchanged",
]
