"""Forms in which ultrasound comes as DICOM: transfer syntax × photometric interpretation × oddity, made from frames that are known.

Codes come from other encoders than the decoders that are tested, where there are some: Pillow (JPEG, JPEG 2000), FFmpeg (JPEG-LS), pydicom
(RLE); GDCM for lossless JPEG.
"""

import dataclasses
import io
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import gdcm
import numpy as np
import pydicom
from PIL import Image
from pydicom import uid
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate, encapsulate_extended

from tests.dicoms import dicom, moving_frames, palette, ybr_uncompressed

NUM_FRAMES, HEIGHT, WIDTH = 5, 37, 50
FRAMES = moving_frames(NUM_FRAMES, HEIGHT, WIDTH)
GREY = FRAMES[..., 1]
INTERVAL_MS = 40
# Twelve bits, all of which vary.
DEEP = (GREY.astype(np.uint16) << 4) + np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 16


@dataclasses.dataclass(frozen=True)
class DicomForm:
    """A form: how its file is made, what it shows, and by how much at most a pixel and the mean may differ.

    Attributes:
        make: returns the data set as the standard has it.
        expected: [n, height, width, 3] uint8 RGB.
        max_difference, mean_difference: in grey levels, from `expected`; for what is lossless 0, but for rounding between colour spaces.
        damage: turns the data set into the bytes of a file that is odd; the frames stay.
        is_counted: whether the file does not state how many frames it has.
        is_of_pydicom: whether pydicom itself, asked for all frames and their palette, gets it right.
    """

    make: Callable[[], FileDataset]
    expected: np.ndarray
    max_difference: float = 0
    mean_difference: float = 0
    damage: Callable[[FileDataset], bytes] | None = None
    is_counted: bool = False
    is_of_pydicom: bool = True

    def content(self) -> bytes:
        """Returns the bytes of the file."""
        return (self.damage or written)(self.make())


def written(dataset: FileDataset) -> bytes:
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=-1)


def in_syntax(dataset: FileDataset, syntax: str) -> FileDataset:
    """Returns a data set of 8-bit samples in another uncompressed transfer syntax."""
    dataset.file_meta.TransferSyntaxUID = uid.UID(syntax)
    dataset["PixelData"].VR = "OW" if syntax == uid.ImplicitVRLittleEndian else "OB"
    dataset.set_original_encoding(dataset.file_meta.TransferSyntaxUID.is_implicit_VR, dataset.file_meta.TransferSyntaxUID.is_little_endian)
    return dataset


def big_endian_words(dataset: FileDataset) -> FileDataset:
    """Returns an 8-bit data set in big endian with pixels in words, in which pairs of bytes are swapped."""
    dataset = in_syntax(dataset, uid.ExplicitVRBigEndian)
    dataset["PixelData"].VR = "OW"
    dataset.PixelData = np.frombuffer(dataset.PixelData, "u2").byteswap().tobytes()
    return dataset


def planes(dataset: FileDataset, frames: np.ndarray) -> FileDataset:
    """Returns a data set with planar configuration 1."""
    content = np.moveaxis(frames, -1, 1).tobytes()
    dataset.PixelData, dataset.PlanarConfiguration = content + bytes(len(content) % 2), 1
    return dataset


def deep(bits: int = 12, big_endian: bool = False) -> FileDataset:
    """Returns 12 or 16 bits of grey in words of 16 bits."""
    samples = DEEP << (bits - 12)
    dataset = dicom(GREY, BitsAllocated=16, BitsStored=bits, HighBit=bits - 1)
    dataset.PixelData = samples.astype(">u2" if big_endian else "<u2").tobytes()
    if big_endian:
        dataset = in_syntax(dataset, uid.ExplicitVRBigEndian)
    dataset["PixelData"].VR = "OW"
    return dataset


def few_bits() -> FileDataset:
    return dicom(GREY >> 2, BitsStored=6, HighBit=5)


def small_palette() -> FileDataset:
    """A palette of 8-bit entries."""
    dataset = palette(FRAMES)
    for colour in ("Red", "Green", "Blue"):
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 8])
        data = np.frombuffer(getattr(dataset, f"{colour}PaletteColorLookupTableData"), "<u2")
        setattr(dataset, f"{colour}PaletteColorLookupTableData", (data >> 8).astype(np.uint8).tobytes())
    return dataset


def big_endian_palette() -> FileDataset:
    """A palette in words whose bytes differ."""
    dataset = palette(FRAMES)
    for colour in ("Red", "Green", "Blue"):
        name = f"{colour}PaletteColorLookupTableData"
        setattr(dataset, name, (np.frombuffer(getattr(dataset, name), "<u2") & 0xFF00).astype(">u2").tobytes())
    return in_syntax(dataset, uid.ExplicitVRBigEndian)


PALETTE_RGB = np.stack([255 - GREY, GREY, GREY // 2], -1)


YBR = np.frombuffer(ybr_uncompressed(FRAMES).PixelData, np.uint8).reshape(FRAMES.shape)


def with_chroma_of_the_left() -> np.ndarray:
    """Returns the colours when each second pixel has the chroma of the first, as PS3.3 C.7.6.3.1.2 inverts its matrix."""
    luma, (blue, red) = YBR[..., 0].astype(float), np.moveaxis(np.repeat(YBR[:, :, ::2, 1:], 2, axis=2) - 128.0, -1, 0)
    colours = [luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue]
    return np.stack(colours, -1).round().clip(0, 255).astype(np.uint8)


def ybr_422() -> FileDataset:
    """Native YBR_FULL_422: Y Y Cb Cr for two pixels (PS3.3 C.7.6.3.1.2)."""
    pairs = YBR.reshape(NUM_FRAMES, HEIGHT, WIDTH // 2, 2, 3)
    content = np.concatenate([pairs[..., 0], pairs[..., 0, 1:]], -1).tobytes()
    dataset = dicom(FRAMES, PhotometricInterpretation="YBR_FULL_422")
    dataset.PixelData = content + bytes(len(content) % 2)
    return dataset


def rle(dataset: FileDataset) -> FileDataset:
    dataset.compress(uid.RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    return dataset


def encapsulated(dataset: FileDataset, codes: list[bytes], syntax: str, photometric: str = "", **tags: Any) -> FileDataset:
    dataset.PixelData = encapsulate(codes)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PhotometricInterpretation = photometric or dataset.PhotometricInterpretation
    for name, value in tags.items():
        setattr(dataset, name, value)
    return dataset


def by_pillow(frames: np.ndarray, kind: str, **options: Any) -> list[bytes]:
    codes = []
    for frame in frames:
        file = io.BytesIO()
        Image.fromarray(frame).save(file, kind, **options)
        codes.append(file.getvalue())
    return codes


def jpeg(frames: np.ndarray, photometric: str, syntax: str = uid.JPEGBaseline8Bit, **options: Any) -> FileDataset:
    codes = by_pillow(frames, "JPEG", quality=95, **options)
    return encapsulated(dicom(frames), codes, syntax, photometric, LossyImageCompression="01")


def jpeg_2000(frames: np.ndarray, photometric: str, **options: Any) -> FileDataset:
    syntax = uid.JPEG2000 if options.get("irreversible") else uid.JPEG2000Lossless
    dataset = dicom(frames) if frames.dtype == np.uint8 else deep()
    return encapsulated(dataset, by_pillow(frames, "JPEG2000", no_jp2=True, **options), syntax, photometric)


def jpeg_ls(frames: np.ndarray) -> FileDataset:
    codes = []
    for frame in frames:
        encoder = av.CodecContext.create("jpegls", "w")
        encoder.height, encoder.width, encoder.time_base = *frame.shape[:2], Fraction(1, 25)
        encoder.pix_fmt = "rgb24" if frame.ndim == 3 else "gray"
        image = av.VideoFrame.from_ndarray(frame, format=encoder.pix_fmt)
        codes.append(b"".join(bytes(packet) for packet in (*encoder.encode(image), *encoder.encode(None))))
    return encapsulated(dicom(frames), codes, uid.JPEGLSLossless)


def by_gdcm(dataset: FileDataset, syntax: int, codec: Any = None) -> FileDataset:
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "a.dcm")
        dataset.save_as(path, enforce_file_format=True)
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(path)
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
        if codec:
            change.SetUserCodec(codec)
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer.SetFileName(path)
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        written_by_gdcm = pydicom.dcmread(path)
    # Its pixels alone: GDCM adds a sequence of regions that says nothing.
    codes = list(pydicom.encaps.generate_frames(written_by_gdcm.PixelData, number_of_frames=NUM_FRAMES))
    return encapsulated(dataset, codes, written_by_gdcm.file_meta.TransferSyntaxUID)


def jpeg_ls_lossy(frames: np.ndarray) -> FileDataset:
    """Near-lossless: each sample is wrong by at most 2."""
    codec = gdcm.JPEGLSCodec()
    codec.SetLossless(False)
    codec.SetLossyError(2)
    return by_gdcm(dicom(frames), gdcm.TransferSyntax.JPEGLSNearLossless, codec)


# Oddities.


def uncounted(dataset: FileDataset) -> bytes:
    del dataset.NumberOfFrames
    return written(dataset)


def emptied(dataset: FileDataset) -> bytes:
    dataset.NumberOfFrames = None
    return written(dataset)


def without_preamble(dataset: FileDataset) -> bytes:
    return written(dataset)[132:]


def bare(dataset: FileDataset) -> bytes:
    """The data set alone."""
    content = written(dataset)
    (num_meta_bytes,) = np.frombuffer(content[140:144], "<u4")
    return content[144 + int(num_meta_bytes) :]


def padded(dataset: FileDataset) -> bytes:
    dataset.PixelData += bytes(64)
    dataset.DataSetTrailingPadding = b"\1" * 64  # what follows the pixels is none of them
    return written(dataset)


def _codes(dataset: FileDataset) -> list[bytes]:
    return list(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=NUM_FRAMES))


def without_table(dataset: FileDataset) -> FileDataset:
    dataset.PixelData = encapsulate(_codes(dataset), has_bot=False)
    return dataset


def in_fragments(dataset: FileDataset, has_table: bool) -> FileDataset:
    dataset.PixelData = encapsulate(_codes(dataset), fragments_per_frame=3, has_bot=has_table)
    return dataset


def with_end_marker_inside(dataset: FileDataset) -> bytes:
    """Frames of two fragments without a table; the first one ends like a frame, with the end marker in a comment of the JPEG."""
    fragments = []
    for code in _codes(dataset):
        comment = b"\xff\xfe\x00\x06\x00\x00\xff\xd9"
        fragments += [code[:2] + comment, code[2:]]
    dataset.PixelData = encapsulate(fragments, has_bot=False)
    return written(dataset)


def with_wrong_table(dataset: FileDataset) -> bytes:
    content = bytearray(dataset.PixelData)
    content[8 : 8 + 4 * NUM_FRAMES] = bytes(4 * NUM_FRAMES)
    dataset.PixelData = bytes(content)
    return written(dataset)


def with_extended_table(dataset: FileDataset) -> bytes:
    dataset.PixelData, dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = encapsulate_extended(_codes(dataset))
    return written(dataset)


def _ycc(**options: Any) -> Callable[[], FileDataset]:
    return lambda: jpeg(FRAMES, "YBR_FULL_422" if options.get("subsampling") else "YBR_FULL", **options)


_LOSSY = {"max_difference": 40, "mean_difference": 2.5}
_CONVERTED = {"max_difference": 2, "mean_difference": 1.0}
_native, _halved = (lambda: dicom(FRAMES)), _ycc(subsampling=1)

FORMS: dict[str, DicomForm] = {
    "explicit-rgb": DicomForm(_native, FRAMES),
    "explicit-rgb-planes": DicomForm(lambda: planes(dicom(FRAMES), FRAMES), FRAMES),
    "explicit-ybr": DicomForm(lambda: ybr_uncompressed(FRAMES), FRAMES, **_CONVERTED),
    "explicit-ybr-planes": DicomForm(
        lambda: planes(ybr_uncompressed(FRAMES), YBR),
        FRAMES,
        **_CONVERTED,
    ),
    "explicit-ybr422": DicomForm(ybr_422, with_chroma_of_the_left(), **_CONVERTED),
    "explicit-grey": DicomForm(lambda: dicom(GREY), rgb(GREY)),
    "explicit-grey-inverse": DicomForm(lambda: dicom(GREY, PhotometricInterpretation="MONOCHROME1"), rgb(255 - GREY)),
    "explicit-grey-6bit": DicomForm(few_bits, rgb(GREY >> 2 << 2)),
    "explicit-grey-12bit": DicomForm(deep, rgb(GREY)),
    "explicit-grey-16bit": DicomForm(lambda: deep(16), rgb(GREY)),
    "explicit-palette": DicomForm(lambda: palette(FRAMES), PALETTE_RGB),
    "explicit-palette-8bit": DicomForm(small_palette, PALETTE_RGB),
    "big-endian-palette": DicomForm(big_endian_palette, PALETTE_RGB, is_of_pydicom=False),
    "implicit-rgb": DicomForm(lambda: in_syntax(dicom(FRAMES), uid.ImplicitVRLittleEndian), FRAMES),
    "implicit-ybr422": DicomForm(lambda: in_syntax(ybr_422(), uid.ImplicitVRLittleEndian), with_chroma_of_the_left(), **_CONVERTED),
    "big-endian-rgb": DicomForm(lambda: in_syntax(dicom(FRAMES), uid.ExplicitVRBigEndian), FRAMES),
    "big-endian-rgb-words": DicomForm(lambda: big_endian_words(dicom(FRAMES)), FRAMES),
    "big-endian-grey-words": DicomForm(lambda: big_endian_words(dicom(GREY[:, :, 1:], Columns=WIDTH - 1)), rgb(GREY[:, :, 1:])),
    "big-endian-grey-12bit": DicomForm(lambda: deep(big_endian=True), rgb(GREY)),
    "deflated-rgb": DicomForm(lambda: in_syntax(dicom(FRAMES), uid.DeflatedExplicitVRLittleEndian), FRAMES),
    "deflated-ybr422": DicomForm(lambda: in_syntax(ybr_422(), uid.DeflatedExplicitVRLittleEndian), with_chroma_of_the_left(), **_CONVERTED),
    "rle-rgb": DicomForm(lambda: rle(dicom(FRAMES)), FRAMES),
    "rle-ybr": DicomForm(lambda: rle(ybr_uncompressed(FRAMES)), FRAMES, **_CONVERTED),
    "rle-grey": DicomForm(lambda: rle(dicom(GREY)), rgb(GREY)),
    "rle-grey-12bit": DicomForm(lambda: rle(deep()), rgb(GREY)),
    "rle-palette": DicomForm(lambda: rle(palette(FRAMES)), PALETTE_RGB),
    "jpeg-ybr422": DicomForm(_halved, FRAMES, **_LOSSY),
    "jpeg-ybr": DicomForm(_ycc(subsampling=0), FRAMES, **_LOSSY),
    "jpeg-rgb": DicomForm(lambda: jpeg(FRAMES, "RGB", keep_rgb=True, subsampling=0), FRAMES, **_LOSSY),
    "jpeg-grey": DicomForm(lambda: jpeg(GREY, "MONOCHROME2"), rgb(GREY), **_LOSSY),
    "jpeg-progressive": DicomForm(_ycc(subsampling=1, progressive=True), FRAMES, **_LOSSY),
    "jpeg-extended-grey": DicomForm(lambda: jpeg(GREY, "MONOCHROME2", uid.JPEGExtended12Bit), rgb(GREY), **_LOSSY),
    "jpeg-lossless-rgb": DicomForm(lambda: by_gdcm(dicom(FRAMES), gdcm.TransferSyntax.JPEGLosslessProcess14), FRAMES),
    "jpeg-lossless-sv1-rgb": DicomForm(lambda: by_gdcm(dicom(FRAMES), gdcm.TransferSyntax.JPEGLosslessProcess14_1), FRAMES),
    "jpeg-lossless-sv1-12bit": DicomForm(lambda: by_gdcm(deep(), gdcm.TransferSyntax.JPEGLosslessProcess14_1), rgb(GREY)),
    "jpeg-ls-rgb": DicomForm(lambda: jpeg_ls(FRAMES), FRAMES),
    "jpeg-ls-grey": DicomForm(lambda: jpeg_ls(GREY), rgb(GREY)),
    "jpeg-ls-lossy-grey": DicomForm(lambda: jpeg_ls_lossy(GREY), rgb(GREY), 2, 2),
    "jpeg-ls-lossy-rgb": DicomForm(lambda: jpeg_ls_lossy(FRAMES), FRAMES, 2, 2),
    "jpeg-2000-rct": DicomForm(lambda: jpeg_2000(FRAMES, "YBR_RCT", mct=1), FRAMES),
    "jpeg-2000-rgb": DicomForm(lambda: jpeg_2000(FRAMES, "RGB", mct=0), FRAMES),
    "jpeg-2000-grey": DicomForm(lambda: jpeg_2000(GREY, "MONOCHROME2"), rgb(GREY)),
    "jpeg-2000-ict": DicomForm(lambda: jpeg_2000(FRAMES, "YBR_ICT", irreversible=True, mct=1), FRAMES, **_LOSSY),
    "uncounted-rgb": DicomForm(_native, FRAMES, damage=uncounted, is_counted=True),
    "uncounted-empty-rgb": DicomForm(_native, FRAMES, damage=emptied, is_counted=True),
    "uncounted-ybr422": DicomForm(ybr_422, with_chroma_of_the_left(), damage=uncounted, is_counted=True, **_CONVERTED),
    "uncounted-deflated": DicomForm(
        lambda: in_syntax(dicom(FRAMES), uid.DeflatedExplicitVRLittleEndian), FRAMES, damage=uncounted, is_counted=True
    ),
    "uncounted-rle": DicomForm(lambda: without_table(rle(dicom(FRAMES))), FRAMES, damage=uncounted, is_counted=True),
    "uncounted-jpeg": DicomForm(_halved, FRAMES, damage=uncounted, is_counted=True, **_LOSSY),
    "uncounted-jpeg-fragments": DicomForm(
        lambda: in_fragments(_halved(), has_table=False), FRAMES, damage=uncounted, is_counted=True, **_LOSSY
    ),
    "uncounted-jpeg-2000": DicomForm(lambda: without_table(jpeg_2000(FRAMES, "YBR_RCT", mct=1)), FRAMES, damage=uncounted, is_counted=True),
    "fragments-with-table": DicomForm(lambda: in_fragments(_halved(), has_table=True), FRAMES, **_LOSSY),
    "fragments-without-table": DicomForm(lambda: in_fragments(_halved(), has_table=False), FRAMES, **_LOSSY),
    "fragments-that-end-like-frames": DicomForm(_halved, FRAMES, damage=with_end_marker_inside, **_LOSSY),
    "table-of-zeros": DicomForm(_halved, FRAMES, damage=with_wrong_table, **_LOSSY),
    "extended-table": DicomForm(_halved, FRAMES, damage=with_extended_table, **_LOSSY),
    "padded-with-zeros": DicomForm(_native, FRAMES, damage=padded),
    "no-preamble-explicit": DicomForm(_native, FRAMES, damage=without_preamble),
    "no-preamble-jpeg": DicomForm(_halved, FRAMES, damage=without_preamble, **_LOSSY),
    "no-preamble-deflated": DicomForm(
        lambda: in_syntax(dicom(FRAMES), uid.DeflatedExplicitVRLittleEndian), FRAMES, damage=without_preamble
    ),
    "bare-explicit": DicomForm(_native, FRAMES, damage=bare),
    "bare-implicit": DicomForm(lambda: in_syntax(dicom(FRAMES), uid.ImplicitVRLittleEndian), FRAMES, damage=bare),
    "bare-big-endian": DicomForm(lambda: in_syntax(dicom(FRAMES), uid.ExplicitVRBigEndian), FRAMES, damage=bare),
}
