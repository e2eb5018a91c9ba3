"""Generation preconditions for the gs:// emulator, which knows generations but not the conditions on them.

As Cloud Storage's documentation says (https://cloud.google.com/storage/docs/request-preconditions): with ifGenerationMatch=G a request is
done if the live object has generation G, with 0 if there is no live object; else it is answered by 412 Precondition Failed. The emulator
answers one request at a time, so that nothing comes between check and write.
"""

import functools
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from gcp_storage_emulator import server
from gcp_storage_emulator.exceptions import NotFound

CONDITION = "ifGenerationMatch"


def honour_preconditions() -> None:
    """Makes the handlers of the emulator in this process honour ifGenerationMatch."""
    server.HANDLERS = tuple(
        (pattern, {method: _conditional(handler) for method, handler in handlers.items()}) for pattern, handlers in server.HANDLERS
    )


def _conditional(handler: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(handler)
    def checked(request: Any, response: Any, storage: Any) -> None:
        if CONDITION in request.query and request.query[CONDITION] != [_generation(request, storage)]:
            _ = request.data  # read from the socket, else the client sees the connection break
            response.status = HTTPStatus.PRECONDITION_FAILED
            response.json({"error": {"code": 412, "message": "At least one of the pre-conditions you specified did not hold."}})
        else:
            handler(request, response, storage)

    return checked


def _generation(request: Any, storage: Any) -> str:
    name = request.params.get("object_id") or (request.query["name"][0] if "name" in request.query else request.data["meta"]["name"])
    try:
        return str(storage.get_file_obj(request.params["bucket_name"], name)["generation"])
    except NotFound:
        return "0"
