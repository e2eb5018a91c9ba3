"""JSON Lines as bytes: UTF-8, whatever names they hold.

A file name need not be UTF-8. Python reads such bytes as lone surrogates (PEP 383), which UTF-8 cannot say and JSON can: the byte FC is
written as `\\udcfc`. `os.fsencode(json.loads(line)["uri"])` is the name again, byte for byte.
"""

import json
from collections.abc import Iterable
from typing import Any


def to_bytes(lines: Iterable[str]) -> bytes:
    """Returns the content of a file of lines of JSON, each of which is given without its end."""
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")


def parse(content: bytes) -> list[dict[str, Any]]:
    """Returns the objects in a file of JSON Lines; str.splitlines would also divide it at the line separators that strings may hold.

    Raises:
        ValueError: it is something else.
    """
    return [json.loads(line) for line in content.decode().split("\n") if line]
