"""The key of the pseudonyms, which every import needs."""

import pytest

from components.import_dicom.deidentification import KEY_VARIABLE
from tests.import_dicom.running import KEY


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
