"""Parameters of a run on a cluster: `name=value` as a user writes them, checked against the compiled pipeline before anything is sent."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from components.core import storage
from components.core.errors import UsageError
from components.core.parameters import check_values
from components.core.records.manifest import CATALOG


def _boolean(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _of_type(kind: type) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        value = json.loads(text)
        if not isinstance(value, kind):
            raise ValueError(text)
        return value

    return parse


_PARSERS: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "STRING": (str, "a text"),
    "NUMBER_INTEGER": (int, "a whole number"),
    "NUMBER_DOUBLE": (float, "a number"),
    "BOOLEAN": (_boolean, "true or false"),
    "LIST": (_of_type(list), "a JSON list"),
    "STRUCT": (_of_type(dict), "a JSON object"),
}
# A step on a cluster has no other disk in common with the next one, nor with the machine of the user.
_STORAGE_PARAMETERS = (
    *("manifest", "storage", "drop_in", "cookies", "weights"),
    *("dataset_uri", "source", "labels", "destination", "key_file"),
)
# What such a parameter may be instead of a URI.
WORDS = {"manifest": CATALOG, "weights": "imagenet"}


def parse_parameters(pipeline: Mapping[str, Any], given: Iterable[str]) -> dict[str, Any]:
    """Returns the values of the parameters.

    Args:
        pipeline: the first document of a compiled file.
        given: texts `name=value`.

    Raises:
        UsageError: a name is unknown, a value ill-typed or out of its range, a required one absent, or a path is of this machine.
    """
    known = pipeline["root"].get("inputDefinitions", {}).get("parameters", {})
    values: dict[str, Any] = {}
    for text in given:
        name, separator, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not separator:
            raise UsageError(f"a parameter must be NAME=VALUE, got {text!r}.")
        if name not in known:
            raise UsageError(f"the pipeline has no parameter {name!r}; it has {', '.join(sorted(known))}.")
        if name in values:
            raise UsageError(f"the parameter {name!r} is given twice.")
        values[name] = _parsed(name, value, known[name]["parameterType"])
    absent = [name for name, spec in known.items() if not spec.get("isOptional") and "defaultValue" not in spec and name not in values]
    if absent:
        raise UsageError(f"the parameter(s) {', '.join(absent)} must be given, as in -p {absent[0]}=VALUE.")
    check_values(**values)
    _check_reachable(values)
    return values


def _parsed(name: str, text: str, kind: str) -> Any:
    parse, wanted = _PARSERS[kind]
    try:
        return parse(text)
    except (KeyError, ValueError):
        raise UsageError(f"the parameter {name!r} must be {wanted}, got {text!r}.") from None


def _check_reachable(values: Mapping[str, Any]) -> None:
    for name in _STORAGE_PARAMETERS:
        value = values.get(name)
        if value and value != WORDS.get(name) and not storage.scheme_of(value):
            raise UsageError(f"{name} must be a gs:// or s3:// URI, which every step on the cluster can reach, got {value!r}.")
