"""Every form of DICOM comes out with its own frames: number, order, times and pixels.

They are compared with the frames that the file was made of, with pydicom's own pixels, and with the frames of another program, dcmtk.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from pydicom import uid
from pydicom.pixels import apply_color_lut, pixel_array

from components.import_dicom.cine import read_cine
from components.import_dicom.importing import NO_COUNT, NO_REGIONS, Outcome, import_dicom_files
from components.import_dicom.outcomes import RejectedError
from tests.import_dicom.forms import FORMS, HEIGHT, INTERVAL_MS, WIDTH, DicomForm, rgb, written

_DCMTK = {  # the program of each transfer syntax; none knows JPEG 2000
    **dict.fromkeys((uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1), "dcmj2pnm"),
    **dict.fromkeys((uid.JPEGLSLossless, uid.JPEGLSNearLossless), "dcml2pnm"),
    **dict.fromkeys((uid.JPEG2000, uid.JPEG2000Lossless), ""),
}


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Outcome]]:
    """The folder of an import of all forms, and what became of each."""
    folder = tmp_path_factory.mktemp("forms")
    (folder / "source").mkdir()
    for name, form in FORMS.items():
        (folder / "source" / name).write_bytes(form.content())
    (folder / "labels.csv").write_text("path,label\n.,normal\n")
    (folder / "key").write_text("a key that nobody guesses")
    result = import_dicom_files(*(str(folder / name) for name in ("source", "labels.csv", "out", "key")))
    return folder, dict(zip(sorted(FORMS), result.outcomes, strict=True))


def frames_of(imported: tuple[Path, dict[str, Outcome]], name: str) -> tuple[np.ndarray, list[float]]:
    """Frames [n, height, width, 3] uint8 RGB and times in milliseconds."""
    folder, outcomes = imported
    assert not outcomes[name].reason
    with av.open(str(folder / "out" / outcomes[name].row["uri"])) as video:
        read = [(frame.to_ndarray(format="rgb24"), float(frame.pts * frame.time_base * 1000)) for frame in video.decode(video=0)]
    return np.stack([image for image, _ in read]), [time_ms for _, time_ms in read]


def assert_alike(images: np.ndarray, expected: np.ndarray, largest: float, mean: float) -> None:
    assert images.shape == expected.shape
    difference = np.abs(images.astype(int) - expected)
    assert difference.max() <= largest
    assert difference.mean() <= mean


@pytest.mark.parametrize("name", FORMS)
def test_the_frames_are_those_that_were_put_in(imported: tuple[Path, dict[str, Outcome]], name: str) -> None:
    form = FORMS[name]
    images, times_ms = frames_of(imported, name)
    assert_alike(images, form.expected, form.max_difference, form.mean_difference)
    assert times_ms == [INTERVAL_MS * position for position in range(len(images))]
    assert imported[1][name].warnings == ((NO_REGIONS, NO_COUNT) if form.is_counted else (NO_REGIONS,))


def by_pydicom(form: DicomForm) -> np.ndarray:
    dataset: Any = form.make()
    samples = pixel_array(dataset)
    bits = dataset.BitsStored
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        samples = apply_color_lut(samples, dataset)
        bits = 8 * samples.dtype.itemsize
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        samples = 2**bits - 1 - samples.astype(int)
    levels = np.floor(samples / 2.0 ** (bits - 8)).astype(np.uint8)
    return levels if levels.ndim == 4 else rgb(levels)


@pytest.mark.parametrize("name", [name for name, form in FORMS.items() if form.is_of_pydicom])
def test_the_pixels_are_those_of_pydicom(imported: tuple[Path, dict[str, Outcome]], name: str) -> None:
    assert_alike(frames_of(imported, name)[0], by_pydicom(FORMS[name]), 0, 0)


def by_dcmtk(form: DicomForm, folder: Path) -> np.ndarray:
    dataset = form.make()
    program = _DCMTK.get(dataset.file_meta.TransferSyntaxUID, "dcm2pnm")
    if not program:
        pytest.skip("dcmtk does not decode JPEG 2000")
    if not shutil.which(program):
        pytest.skip(f"dcmtk ({program}) is not installed")
    dataset.save_as(folder / "a.dcm", enforce_file_format=True)
    # 8 bits over the whole range of the samples; chroma as it stands, not interpolated.
    options = ("--all-frames", "--write-8-bit-pnm", "--no-windowing") if program == "dcm2pnm" else ("--all-frames", "--write-8-bit-pnm")
    subprocess.run([program, *options, folder / "a.dcm", folder / "frame"], check=True, capture_output=True)
    paths = sorted(folder.glob("frame*"), key=lambda path: int(path.suffixes[-2].lstrip(".")) if len(path.suffixes) > 1 else 0)
    frames = np.stack([np.asarray(Image.open(path)) for path in paths])
    return frames if frames.ndim == 4 else rgb(frames)


@pytest.mark.parametrize("name", FORMS)
def test_the_frames_are_those_of_dcmtk(imported: tuple[Path, dict[str, Outcome]], name: str, tmp_path: Path) -> None:
    assert_alike(frames_of(imported, name)[0], by_dcmtk(FORMS[name], tmp_path), 3, 1)


@pytest.mark.parametrize("name", ["jpeg-ybr422", "jpeg-grey", "jpeg-lossless-rgb", "jpeg-ls-rgb", "jpeg-2000-rct"])
@pytest.mark.parametrize(("rows", "columns"), [(WIDTH, HEIGHT), (HEIGHT - 1, WIDTH), (HEIGHT, WIDTH + 1)])
def test_frames_coded_in_another_size_than_stated_are_rejected(tmp_path: Path, name: str, rows: int, columns: int) -> None:
    dataset = FORMS[name].make()
    dataset.Rows, dataset.Columns = rows, columns
    (tmp_path / "a").write_bytes(written(dataset))
    with pytest.raises(RejectedError, match="coded in another size than its tags state"):
        read_cine(tmp_path / "a")
