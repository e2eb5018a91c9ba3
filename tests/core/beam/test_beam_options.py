from pathlib import Path

import pytest

from components.core.beam.beam_options import pipeline_options, work_folder, worker_failures
from components.core.errors import DataError, UsageError

TRACEBACK = """ExecutionException: Error received from SDK harness for instruction 4: Traceback (most recent call last):
  File "prediction.py", line 191, in classify
    raise DataError(
components.core.errors.DataError: the model is broken; use another. [while running 'infer/BeamML_RunInference-ptransform-37']

During handling of the above exception, another exception occurred
"""


@pytest.mark.parametrize(
    "raised", [RuntimeError(TRACEBACK), DataError("the model is broken; use another. [while running 'infer/BeamML_RunInference']")]
)
def test_the_error_of_a_worker_is_one_sentence(raised: Exception) -> None:
    with pytest.raises(DataError) as caught, worker_failures():
        raise raised
    assert str(caught.value) == "the model is broken; use another."


def test_a_defect_in_a_worker_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"), worker_failures():
        raise RuntimeError("Traceback (most recent call last):\nZeroDivisionError: division by zero")


@pytest.mark.parametrize(("text", "message"), [("--a='", "cannot be split into options"), ("--runner=NoSuchRunner", "name no runner")])
def test_options_that_beam_does_not_know_are_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        pipeline_options(text)


def test_workers_here_need_no_storage(tmp_path: Path) -> None:
    with work_folder(pipeline_options(""), "", tmp_path) as uri:
        assert Path(uri).parent == tmp_path
    assert not list(tmp_path.iterdir())


def test_workers_elsewhere_write_to_the_storage(tmp_path: Path) -> None:
    options = pipeline_options("--runner=PortableRunner")
    with work_folder(options, str(tmp_path)) as uri:
        assert Path(uri).parent == tmp_path / "work"
        Path(uri).mkdir(parents=True)
    assert not list((tmp_path / "work").iterdir())
    with pytest.raises(UsageError, match="give --storage"), work_folder(options, ""):
        pass
