"""`lus champion`: which versions of the classifier there are, why each of them was promoted, and going back to an earlier one."""

import json
from typing import Any

import click

from components.command_line import example
from components.core import storage as storage_uris
from components.core.errors import AbsentError, DataError, UsageError
from components.core.registry.champion import Champion, read_pointer, roll_back
from components.core.registry.versions import DECISION_NAME, Version, list_versions, read_version, version_uri
from components.ingest.component import ingest

HEADER = ("version", "published", "macro-F1", "95 % interval", "data", "state")
_storage_option = click.option("--storage", required=True, help=ingest.component_spec.inputs["storage"].description)


@click.group(epilog=example("lus champion list --storage lungs"))
def champion() -> None:
    """Lists the versions of the classifier, and puts one in use."""


@champion.command("list", epilog=example("lus champion list --storage lungs"))
@_storage_option
def list_command(storage: str) -> None:
    """Lists the versions, the newest first."""
    _print(_table, storage)


@champion.command("show", epilog=example("lus champion show --storage lungs"))
@_storage_option
@click.argument("version", required=False)
def show_command(storage: str, version: str | None) -> None:
    """Shows a version, by default the one in use, with the decision that made it the champion."""
    _print(_details, storage, version)


@champion.command("rollback", epilog=example("lus champion rollback --storage lungs --reason 'misses effusions'"))
@_storage_option
@click.option("--reason", required=True, help="Why, in a sentence; it is kept in the history of the champion.")
@click.argument("version", required=False)
def rollback_command(storage: str, version: str | None, reason: str) -> None:
    """Makes an earlier version the champion again, by default the one before the current one."""
    _print(_rolled_back, storage, version, reason)


def _print(action: Any, storage: str, *arguments: Any) -> None:
    uri = storage_uris.absolute_uri(storage)
    storage_uris.check_is_there(uri)
    click.echo(action(uri, *arguments))


def _table(storage_uri: str) -> str:
    current, _ = read_pointer(storage_uri)
    versions = list_versions(storage_uri)
    if not versions:
        return f"no version in {storage_uri} yet; a run that promotes its model makes the first one"
    rows = [HEADER, *(_row(read_version(storage_uri, name), current) for name in reversed(versions))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    if current and current.version not in versions:
        lines.append(f"error: the champion {current.version} is not there; use another version: lus champion rollback")
    return "\n".join(lines)


def _row(version: Version, current: Champion | None) -> tuple[str, ...]:
    comparison = version.comparison
    interval = comparison.challenger_interval if comparison else None
    return (
        version.name,
        f"{version.published_at:%Y-%m-%d %H:%M}",
        f"{comparison.challenger_macro_f1:.3f}" if comparison else "unknown",
        f"{interval[0]:.3f}–{interval[1]:.3f}" if interval else "undefined",
        version.metadata.dataset_fingerprint[:12],
        _state(version.name, current),
    )


def _state(name: str, current: Champion | None) -> str:
    changes = [change for change in current.history if change.version == name] if current else []
    if current and current.version == name:
        return f"champion since {_minute(current.promoted_at)}"
    if changes:
        return f"was champion, last from {_minute(changes[-1].at)}"
    return "kept; another promotion came first" if current and current.history else "kept"


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")


def _details(storage_uri: str, name: str | None) -> str:
    current, _ = read_pointer(storage_uri)
    if name is None:
        if current is None:
            raise UsageError(f"there is no champion in {storage_uri!r} yet; name a version, or promote one.")
        name = current.version
    version = read_version(storage_uri, name)
    uri = version_uri(storage_uri, name)
    metadata = version.metadata
    facts = {
        "version": name,
        "state": _state(name, current),
        "place": uri,
        "kind": metadata.kind,
        "classes": ", ".join(metadata.class_names),
        "data": metadata.dataset_fingerprint,
        "code": metadata.code_revision,
        "parameters": json.dumps(metadata.parameters, sort_keys=True),
    }
    lines = [f"{title:<11} {value}" for title, value in facts.items()]
    changes = [change for change in current.history if change.version == name] if current else []
    lines += [f"{'in use':<11} from {_minute(change.at)}: {change.reason}" for change in changes]
    return "\n".join([*lines, "", _decision(uri)]).rstrip()


def _decision(uri: str) -> str:
    try:
        return storage_uris.read_bytes(storage_uris.join(uri, DECISION_NAME)).decode()
    except AbsentError:
        return ""


def _rolled_back(storage_uri: str, name: str | None, reason: str) -> str:
    before, _ = read_pointer(storage_uri)
    now = roll_back(storage_uri, name or _version_before(before), reason)
    return f"the champion is {now.version} now; it was {before.version if before else 'none'}"


def _version_before(current: Champion | None) -> str:
    earlier = [change.version for change in current.history if change.version != current.version] if current else []
    if not earlier:
        raise DataError("there was no other champion before; name the version to go back to.")
    return earlier[-1]
