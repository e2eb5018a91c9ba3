"""The errors that a user of the pipeline can act on.

    PipelineError          exit code 1
    ├── UsageError         exit code 2: a parameter, a manifest or a command is wrong
    ├── DataError          the videos, clips or models that came in cannot be used
    ├── StorageError       a storage URI cannot be read or written
    │   ├── AbsentError    nothing is there; of all errors of a storage the only one that may be a video's own
    │   ├── OutageError    the storage did not answer, however often it was asked; what is there is not known
    │   └── DiskError      a disk of this machine is full or may not be written; no data is at fault
    ├── ClusterError       a cluster refuses or does not answer; or a run there did not succeed, with an exit code of its own
    └── Interrupted        exit code 75: the process was asked to end; started again, it goes on from what it has saved

Every message is one sentence that says what is wrong, the value received and what to do.

Failures are of three kinds. A video's own (DataError of its content, AbsentError) is its reason, and the step goes on. The outside world's
(OutageError, DiskError) ends the step, and so does the caller's (UsageError, and every other StorageError, such as no access). Who goes on
without something names the errors that allow it, never PipelineError or StorageError: that would take the other kinds for it.
"""


class PipelineError(Exception):
    """Base of all errors of this project."""

    exit_code = 1


class UsageError(PipelineError):
    """The caller asked for something that cannot be done; nothing was started."""

    exit_code = 2


class DataError(PipelineError):
    """The data does not allow the step to go on."""


class StorageError(PipelineError):
    """A storage URI cannot be read or written."""


class AbsentError(StorageError):
    """The storage answers, and nothing is there under that name."""


class OutageError(StorageError):
    """A storage did not answer, however often it was asked; this says nothing about what is in it."""


class DiskError(StorageError):
    """A disk of this machine is full, read-only, or may not be written; the step ends, and no video is blamed for it."""


class ClusterError(PipelineError):
    """A cluster refuses or does not answer, or a run there did not succeed.

    Attributes:
        status: the server's HTTP status, or 0.
    """

    def __init__(self, message: str, status: int = 0, exit_code: int = 1) -> None:
        super().__init__(message)
        self.status = status
        self.exit_code = exit_code


class Interrupted(PipelineError):
    """The process was asked to end; started again, it goes on from the last state that was saved, if there is one."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h
