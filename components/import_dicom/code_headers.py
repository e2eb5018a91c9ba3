"""The size that a JPEG, JPEG-LS or JPEG 2000 code states of itself (ISO/IEC 10918-1 B.2.2, 14495-1 C.2.2, 15444-1 A.5.1).

Decoders take the size from the tags; where these say something else, the lines come out displaced, and what a region should show or hide is
elsewhere.
"""

import struct

_FILL = 0xFF
# Frame headers of JPEG, without the markers between them that are something else; and that of JPEG-LS.
_FRAME_HEADERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC} | {0xF7}
_JPEG_2000 = b"\xff\x4f\xff\x51"


def coded_size(code: bytes) -> tuple[int, int] | None:
    """Returns height and width in pixels by the beginning of a code, or None where it does not tell."""
    start = code.find(_JPEG_2000)
    try:
        return _size_of_jpeg_2000(code[start:]) if start >= 0 and not code.startswith(b"\xff\xd8") else _size_of_jpeg(code)
    except (IndexError, struct.error):  # it ends before
        return None


def _size_of_jpeg_2000(code: bytes) -> tuple[int, int]:
    right, bottom, left, top = struct.unpack(">4L", code[8:24])
    return bottom - top, right - left


def _size_of_jpeg(code: bytes) -> tuple[int, int] | None:
    place = 2
    while code[place] == _FILL:
        marker = code[place + 1]
        if marker == _FILL:
            place += 1
            continue
        (num_bytes,) = struct.unpack(">H", code[place + 2 : place + 4])
        if marker in _FRAME_HEADERS:
            height, width = struct.unpack(">2H", code[place + 5 : place + 9])
            return (height, width) if height else None  # 0: it comes after the first scan
        place += 2 + num_bytes
    return None
