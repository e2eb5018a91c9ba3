"""The model registry in storage: versions of the classifier, and which of them is in use.

    <storage>/models/<version>/                everything of a model artifact (core.models.classifier); metadata.json is written last
    <storage>/models/<version>/evaluation.json
    <storage>/models/<version>/report.html
    <storage>/models/<version>/decision.md     why it was to become the champion
    <storage>/models/champion.json             Champion: the version in use; written last, so it points at whole versions only

A version is the UTC second of its promotion and the start of the SHA-256 of its model.keras: `20261122T175900Z-1a2b3c4d`.
The pointer is moved on condition that nobody else has moved it since it was read (storage.write_if_unchanged), so of several promotions at
once one wins; the versions of the others stay. It carries its own history: one Change for each time that it was moved.
"""

import dataclasses
import datetime
import json

from components.core import storage
from components.core.errors import DataError, UsageError
from components.core.models.classifier import MODEL_NAME
from components.core.registry.versions import MODELS_NAME, is_version, is_version_name, model_sha256, read_version, version_uri
from components.core.storage.small_objects import ABSENT, Generation

POINTER_NAME = "champion.json"


@dataclasses.dataclass(frozen=True)
class Change:
    """One move of the pointer: to which version, at what UTC time (ISO 8601), and why, in a sentence."""

    version: str
    at: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Champion:
    """The pointer to the model in use.

    Attributes:
        version: its version.
        model_sha256: of its model.keras.
        macro_f1: video-level macro-F1 on the test videos of its promotion, or None when its evaluation is lost.
        promoted_at: UTC time since when it is in use, ISO 8601.
        history: every move of the pointer, the first one first.
    """

    version: str
    model_sha256: str
    macro_f1: float | None
    promoted_at: str
    history: tuple[Change, ...] = ()


def read_champion(storage_uri: str) -> Champion | None:
    """Returns the champion, or None when no model was promoted yet.

    Raises:
        DataError: the pointer cannot be understood, or points at a version that is not there.
        StorageError: the storage cannot be read.
    """
    champion, _ = read_pointer(storage_uri)
    check_kept(storage_uri, champion)
    return champion


def check_kept(storage_uri: str, champion: Champion | None) -> None:
    """Checks that the registry still has the version of a champion.

    Raises:
        DataError: it has not.
        StorageError: the storage cannot be read.
    """
    if champion and not is_version(storage_uri, champion.version):
        raise DataError(
            f"{_pointer_uri(storage_uri)!r} points at the version {champion.version!r}, which is not there; restore it, "
            f"use an earlier one (lus champion rollback), or delete {POINTER_NAME} to start anew."
        )


def read_pointer(storage_uri: str) -> tuple[Champion | None, Generation]:
    """Returns what the pointer says, whether or not that version is there, and by what `set_champion` knows this state of it.

    Raises:
        DataError: the pointer cannot be understood.
        StorageError: the storage cannot be read.
    """
    uri = _pointer_uri(storage_uri)
    data, generation = storage.read_with_generation(uri)
    return (None if generation == ABSENT else _parsed(data, uri)), generation


def set_champion(storage_uri: str, champion: Champion, generation: Generation = ABSENT) -> None:
    """Moves the pointer; a reader sees the old champion or the new one.

    Args:
        storage_uri: where the project keeps its models.
        champion: the new one.
        generation: of the pointer that it replaces, from `read_pointer`; the default expects that there is none.

    Raises:
        ConflictError: somebody else has moved the pointer.
        StorageError: it cannot be written.
    """
    text = json.dumps(dataclasses.asdict(champion), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    storage.write_if_unchanged(_pointer_uri(storage_uri), text.encode(), generation)


def moved_to(version: str, model_sha256: str, macro_f1: float | None, reason: str, before: Champion | None) -> Champion:
    """Returns the champion that follows another one now."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
    return Champion(version, model_sha256, macro_f1, now, (*(before.history if before else ()), Change(version, now, reason)))


def roll_back(storage_uri: str, version: str, reason: str) -> Champion:
    """Makes a version of the registry the champion again.

    Raises:
        UsageError: there is no such version, or it is the champion.
        ConflictError: a promotion has moved the pointer at the same time.
        DataError: the pointer or the version cannot be understood.
        StorageError: the storage cannot be read or written.
    """
    chosen = read_version(storage_uri, version)
    before, generation = read_pointer(storage_uri)
    if before and before.version == version:
        raise UsageError(f"the version {version!r} is the champion already.")
    with storage.local_copy(storage.join(version_uri(storage_uri, version), MODEL_NAME)) as path:
        sha256 = model_sha256(path.parent)
    macro_f1 = chosen.comparison.challenger_macro_f1 if chosen.comparison else None
    champion = moved_to(version, sha256, macro_f1, f"rolled back: {reason}", before)
    set_champion(storage_uri, champion, generation)
    return champion


def _pointer_uri(storage_uri: str) -> str:
    return storage.join(storage_uri, MODELS_NAME, POINTER_NAME)


def _parsed(data: bytes, uri: str) -> Champion:
    try:
        fields = json.loads(data)
        champion = Champion(**{**fields, "history": tuple(Change(**change) for change in fields.get("history", ()))})
        if not is_version_name(champion.version):
            raise ValueError(f"{champion.version!r} is not a version")
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(f"{uri!r} is not a champion pointer ({error}); restore it, or delete it to start anew.") from None
    return champion
