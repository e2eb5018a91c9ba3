import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from components.import_dicom.cine import read_cine
from components.import_dicom.decoders import Decoder, decoded, takes_tensorflow_io
from components.import_dicom.outcomes import RejectedError
from tests.dicoms import dicom, moving_frames, write
from tests.import_dicom.forms import FORMS


def interpreter(folder: Path, name: str, answer: str) -> str:
    """Returns a program that stands for a Python: it answers each request by the given lines, which know `request`."""
    program = folder / name
    lines = f"import json, os, sys\nimport numpy as np\nfor line in sys.stdin:\n    request = json.loads(line)\n    {answer}\n"
    program.write_text(f"#!{sys.executable}\n{lines}")
    program.chmod(0o755)
    return str(program)


def giving(shape: tuple[int, ...], value: int) -> str:
    return f"np.save(request['frames_path'], np.full({shape}, {value}, np.uint8)); print(json.dumps({{'error': ''}}), flush=True)"


ROOT = Path(__file__).parents[2]
FAILING = "print(json.dumps({'error': 'ValueError'}), flush=True)"
DYING = "os.abort()"
BABBLING_WORKER = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from components.import_dicom import decoding_worker
load = decoding_worker.DECODERS["pydicom"]
decoding_worker.DECODERS["pydicom"] = lambda: (os.write(1, b"Warning\\n"), load())[1]
decoding_worker.main("pydicom")
"""
BABBLING = "print('Warning: of a library', flush=True)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(dicom(moving_frames(3)), tmp_path / "a.dcm")


@pytest.fixture
def decode(path: Path, tmp_path: Path) -> Iterator[Callable[..., tuple[np.ndarray, str]]]:
    """Decodes the file with stand-ins for tensorflow-io, which answer as told, and then pydicom."""
    opened: list[Decoder] = []

    def run(*answers: str) -> tuple[np.ndarray, str]:
        opened.extend(Decoder(f"d{n}", interpreter(tmp_path, f"d{n}", answer)) for n, answer in enumerate(answers))
        opened.append(Decoder("pydicom"))
        return decoded(path, read_cine(path), opened, tmp_path)

    yield run
    for decoder in opened:
        decoder.close()


def test_the_first_decoder_that_can_is_taken(decode: Callable[..., tuple[np.ndarray, str]]) -> None:
    frames, name = decode(FAILING, giving((3, 61, 83, 1), 7), giving((3, 61, 83, 3), 9))
    assert name == "d1"
    assert (frames == 7).all()


@pytest.mark.parametrize(
    "answer",
    [
        FAILING,
        DYING,
        BABBLING,
        "print('[]', flush=True)",
        *(giving(shape, 7) for shape in [(2, 61, 83, 3), (4, 61, 83, 3), (3, 83, 61, 3), (3, 61, 83, 4), (3, 61, 83)]),
    ],
)
def test_the_next_decoder_takes_over(decode: Callable[..., tuple[np.ndarray, str]], answer: str) -> None:
    frames, name = decode(answer)
    assert name == "pydicom"
    assert (frames == moving_frames(3)).all()


def test_a_decoder_that_died_is_started_again(path: Path, tmp_path: Path) -> None:
    once = "os._exit(3) if not os.path.exists(sys.argv[0] + '.died') and not open(sys.argv[0] + '.died', 'w').close() else None; "
    decoder = Decoder("once", interpreter(tmp_path, "once", once + giving((3, 61, 83, 3), 7)))
    with pytest.raises(RejectedError, match="once: its process died or did not answer in time"):
        decoded(path, read_cine(path), [decoder], tmp_path)
    assert (decoded(path, read_cine(path), [decoder], tmp_path)[0] == 7).all()
    decoder.close()


def test_what_a_library_prints_is_no_answer(path: Path, tmp_path: Path) -> None:
    """The worker itself, with a library whose native code writes to the standard output."""
    program = tmp_path / "babbling"
    program.write_text(f"#!{sys.executable}\n{BABBLING_WORKER}")
    program.chmod(0o755)
    decoder = Decoder("babbling", str(program))
    assert (decoder.decode(path, read_cine(path), tmp_path) == moving_frames(3)).all()
    decoder.close()


def test_each_decoder_gives_its_reason(tmp_path: Path) -> None:
    path = write(dicom(moving_frames(3), BitsStored=9), tmp_path / "b.dcm")
    decoders = [Decoder("tfio", interpreter(tmp_path, "tfio", DYING)), Decoder("pydicom")]
    with pytest.raises(RejectedError, match=r"tfio: its process died or did not answer in time; pydicom: \w+Error"):
        decoded(path, read_cine(path), decoders, tmp_path)
    for decoder in decoders:
        decoder.close()


@pytest.mark.parametrize(
    ("form", "is_taken"),
    [
        ("explicit-rgb", True),
        ("rle-rgb", True),
        ("jpeg-ybr422", True),
        ("explicit-ybr422", False),
        ("explicit-rgb-planes", False),
        ("explicit-grey-inverse", False),
        ("explicit-grey-12bit", False),
        ("deflated-rgb", False),
        ("jpeg-2000-rct", False),
        ("fragments-with-table", False),
        ("uncounted-rgb", False),
    ],
)
def test_tensorflow_io_is_asked_for_what_it_is_known_to_read(tmp_path: Path, form: str, is_taken: bool) -> None:
    (tmp_path / "a").write_bytes(FORMS[form].content())
    assert takes_tensorflow_io(read_cine(tmp_path / "a").form) is is_taken
