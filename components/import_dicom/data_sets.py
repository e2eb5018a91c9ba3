"""Opening DICOM files: with the 128 bytes and `DICM` in front of the data set or without, deflated or not."""

import contextlib
import dataclasses
import io
import logging
import re
import warnings
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pydicom
from pydicom.filereader import read_dataset, read_preamble
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from components.import_dicom.outcomes import RejectedError

MAX_INFLATED_BYTES = 1 << 30

_UNDEFINED_LENGTH = 0xFFFFFFFF
_DEFER_BYTES = 1024
_FILE_META_GROUP = 0x0002
# A preamble, and (0002,0010) with ExplicitVRLittleEndian.
_PLAIN_HEADER = bytes(128) + b"DICM\x02\0\x10\0UI\x14\0" + ExplicitVRLittleEndian.encode() + b"\0"
_CHUNK_BYTES = 1 << 20
_SYNTAX_OF_ENCODING = {  # (implicit VR, little endian), as pydicom tells them from the first tag
    (True, True): ImplicitVRLittleEndian,
    (False, True): ExplicitVRLittleEndian,
    (False, False): ExplicitVRBigEndian,
}
# An ASN.1 sequence that opens with an object identifier of PKCS #7, as RFC 5652 and PS3.15 (Secure DICOM File) have it.
_CMS = re.compile(rb"\x30.{1,9}?\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07", re.DOTALL)
# Of a data set that nothing announces: what says that it is one.
_EVIDENCE = ("SOPClassUID", "Modality")


@dataclasses.dataclass(frozen=True)
class PixelData:
    """Where the value of the tag PixelData lies.

    Attributes:
        file: holds it.
        offset: of its first byte.
        num_bytes: how many there are; of encapsulated data all that follow, to the end of the file.
        is_encapsulated: whether it is a sequence of fragments (PS3.5 A.4).
        vr: OB or OW: whether it is made of bytes or words; empty where the file does not tell.
    """

    file: BinaryIO
    offset: int
    num_bytes: int
    is_encapsulated: bool
    vr: str

    def read(self, offset: int, num_bytes: int) -> bytes:
        """Returns bytes from an offset in the value on, fewer where the file ends."""
        self.file.seek(self.offset + offset)
        return self.file.read(num_bytes)


@contextlib.contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Keeps pydicom's warnings, which quote the values of tags, out of the log."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def open_data_set(path: Path, tags: Sequence[str]) -> Iterator[tuple[Any, PixelData | None]]:
    """Opens a file for reading some of its tags.

    Args:
        path: the file.
        tags: keywords of the tags that the data set has to show; PixelData is never among them.

    Yields:
        The data set, whose file_meta states its transfer syntax, and where its pixels are, or None.

    Raises:
        RejectedError: it is no DICOM file, or it inflates to more than MAX_INFLATED_BYTES.
    """
    with path.open("rb") as opened:
        file = _inflated(opened)
        dataset = _parsed(file, [*tags, *_EVIDENCE, "PixelData"])
        pixels = _pixel_data(dataset, file)
        if file is not opened:
            dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        if "TransferSyntaxUID" not in dataset.file_meta:
            if pixels and pixels.is_encapsulated:
                raise RejectedError("it does not state its transfer syntax, and its pixels are compressed")
            dataset.file_meta.TransferSyntaxUID = _SYNTAX_OF_ENCODING[dataset.original_encoding]
        yield dataset, pixels


def _parsed(file: BinaryIO, tags: list[str]) -> Any:
    file.seek(0)
    start = file.read(132)
    file.seek(0)
    try:
        # What is in memory already cannot be put off.
        defer_bytes = None if isinstance(file, io.BytesIO) else _DEFER_BYTES
        dataset = pydicom.dcmread(file, force=True, specific_tags=list(tags), defer_size=defer_bytes)
    except Exception as error:
        if start[128:] != b"DICM":
            raise RejectedError(_no_dicom(start)) from None
        raise RejectedError(f"its tags cannot be read ({type(error).__name__})") from None
    if start[128:] != b"DICM" and not _looks_like_dicom(dataset):
        raise RejectedError(_no_dicom(start))
    return dataset


def _no_dicom(start: bytes) -> str:
    return "an encrypted file (CMS); decrypt it first" if _CMS.match(start) else "not a DICOM file"


def _looks_like_dicom(dataset: Any) -> bool:
    """Tells a data set from other bytes, of which pydicom makes tags, too, when it is told to."""
    uid, modality = (_raw_text(dataset, keyword) for keyword in _EVIDENCE)
    return uid.startswith("1.2.840.10008.") or bool(re.fullmatch("[A-Z]{2}", modality))


def _raw_text(dataset: Any, keyword: str) -> str:
    """Returns the value of a tag as it stands in the file, so that pydicom need not understand it."""
    element = dataset.get_item(keyword, keep_deferred=True)
    value = element.value if element else None
    return value.decode("latin-1").rstrip("\0 ") if isinstance(value, bytes) else str(value or "")


def _inflated(file: BinaryIO) -> BinaryIO:
    """Returns a file without deflation (PS3.5 A.5): the same one, or a copy in memory.

    pydicom puts off reading long values by their places in what was inflated, and then looks for them in the file itself.
    """
    try:
        read_preamble(file, force=True)
        meta = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag.group != _FILE_META_GROUP)
        is_deflated = meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
    except Exception:
        return file  # whoever reads its tags will say what is wrong
    return _inflated_copy(file) if is_deflated else file


def _inflated_copy(file: BinaryIO) -> io.BytesIO:
    plain = io.BytesIO(_PLAIN_HEADER)
    plain.seek(0, io.SEEK_END)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        while not inflater.eof and (data := inflater.unconsumed_tail or file.read(_CHUNK_BYTES)):
            plain.write(inflater.decompress(data, _CHUNK_BYTES))
            if plain.tell() > MAX_INFLATED_BYTES:
                raise RejectedError(f"it inflates to more than {MAX_INFLATED_BYTES / 1e9:.1f} GB")
    except zlib.error:
        raise RejectedError("its deflated data are damaged") from None
    if not inflater.eof:
        raise RejectedError("its deflated data are cut off")
    return plain


def _pixel_data(dataset: Any, file: BinaryIO) -> PixelData | None:
    element = dataset.get_item("PixelData", keep_deferred=True)
    if element is None:
        return None
    num_left = file.seek(0, io.SEEK_END) - element.value_tell
    is_encapsulated = element.length == _UNDEFINED_LENGTH
    num_bytes = num_left if is_encapsulated else min(element.length, num_left)
    return PixelData(file, element.value_tell, num_bytes, is_encapsulated, element.VR or "")
