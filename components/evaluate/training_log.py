"""What was measured while a model was trained: the *_log.csv that train and prune put beside it."""

import csv
from pathlib import Path

from components.core.errors import DataError


def read_history(model_path: Path) -> dict[str, list[float]]:
    """Returns the columns of a model's log by name, `epoch` among them, or nothing when it has none.

    Raises:
        DataError: the log cannot be understood.
    """
    paths = sorted(model_path.glob("*_log.csv"))
    if not paths:
        return {}
    try:
        with paths[0].open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return {name: [float(row[name]) for row in rows] for name in (rows[0] if rows else ())}
    except (OSError, csv.Error, TypeError, ValueError) as error:
        raise DataError(f"{str(paths[0])!r} is not a log of a training ({error}); train the model again.") from None
