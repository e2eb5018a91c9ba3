"""Why a file gave no video. A reason never quotes the file: what stands in a tag may identify somebody."""

from components.core.errors import PipelineError


class RejectedError(PipelineError):
    """The file cannot be imported; the message says why."""
