import pytest

from components.core.errors import DataError, UsageError
from components.core.parameters import check_values
from components.core.process import exit_with_message


@pytest.mark.parametrize(("error", "code"), [(UsageError("bad value"), 2), (DataError("bad data"), 1)])
def test_a_step_ends_with_one_line_and_its_code(error: Exception, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised, exit_with_message():
        raise error
    assert raised.value.code == code
    assert capsys.readouterr().err == f"error: {error}\n"


def test_a_defect_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), exit_with_message():
        1 / 0  # noqa: B018


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("frames_per_second", 0),
        ("sparsity", 1.2),
        ("sparsity", 1),
        ("test_fraction", 0.0),
        ("epochs", 0),
        ("seed", -1),
        ("sparsity", float("nan")),
    ],
)
def test_values_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"{name} must be at least"):
        check_values(**{name: value})


def test_large_numbers_are_told_with_all_digits() -> None:
    with pytest.raises(UsageError, match=r"seed must be at least 0 and at most 2147483647, got 2147483648\."):
        check_values(seed=2**31)


def test_values_outside_of_the_choices_are_refused() -> None:
    with pytest.raises(UsageError, match=r"backbone must be one of small, efficientnet_lite0, .*, got 'resnet'"):
        check_values(backbone="resnet")


def test_values_at_the_edges_and_names_without_a_range_pass() -> None:
    check_values(sparsity=0, test_fraction=0.6, epochs=1, something_else=-5)
