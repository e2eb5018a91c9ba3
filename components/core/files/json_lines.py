"""JSON Lines as bytes: UTF-8, whatever names they hold.

A file name need not be UTF-8. Python reads such bytes as lone surrogates (PEP 383), which UTF-8 cannot say and JSON can: the byte FC is
written as `\\udcfc`. `os.fsencode(json.loads(line)["uri"])` is the name again, byte for byte.
"""

from collections.abc import Iterable


def to_bytes(lines: Iterable[str]) -> bytes:
    """Returns the content of a file of lines of JSON, each of which is given without its end."""
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")
