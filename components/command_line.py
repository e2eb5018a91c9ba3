"""Command-line options that are made from a kfp interface, so that a flag, its type, default and help stand in one place only."""

import importlib
import importlib.util
import json
import pkgutil
import re
from typing import Any

import click
from kfp.dsl import structures

import components
from components.core.process import exit_with_message, prepare_process


class _JsonObject(click.ParamType):  # type: ignore[type-arg]
    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            parsed = value if isinstance(value, dict) else json.loads(value)
        except (TypeError, ValueError):
            parsed = None
        if not isinstance(parsed, dict):
            self.fail(f"{value!r} is not a JSON object", param, ctx)
        return parsed


_CLICK_TYPES: dict[str, Any] = {
    "String": click.STRING,
    "Integer": click.INT,
    "Float": click.FLOAT,
    "Boolean": click.BOOL,
    "PipelineTaskFinalStatus": _JsonObject(),
}
# A step that runs another one keeps the results, so that the other one has no use for a storage of its own.
_NOT_PASSED_ON = ("storage",)
# What click leaves of 80 columns, without a space and a backslash.
_HELP_WIDTH = 75


class Commands(click.Group):
    """A group of commands that a user starts: the process is prepared for them, and their errors are one sentence each."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the command that the arguments of this process name."""
        prepare_process()
        return super().__call__(*args, **kwargs)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the command that the arguments name; an error of this project ends the process as `exit_with_message` says."""
        with exit_with_message():
            return super().main(*args, **kwargs)


def example(command: str) -> str:
    """Returns the end of a command's help: what somebody may type, folded before options where it is long."""
    lines = ["  "]
    for part in re.split(r" (?=-)", command):
        if len(lines[-1]) + len(part) > _HELP_WIDTH:
            lines[-1] += "\\"
            lines.append("    ")
        lines[-1] += f"{part} "
    return "\n".join(["\b", "Example:", *lines])


def step_names() -> list[str]:
    """Returns the names of the steps: the folders of components/ that have a component.py."""
    packages = (module.name for module in pkgutil.iter_modules(components.__path__) if module.ispkg)
    return sorted(name for name in packages if importlib.util.find_spec(f"components.{name}.component"))


def load_step(name: str) -> Any:
    """Returns the kfp component of a step."""
    return getattr(importlib.import_module(f"components.{name}.component"), name)


def is_parameter(spec: structures.InputSpec | structures.OutputSpec) -> bool:
    """Tells a parameter from an artifact."""
    return structures.spec_type_is_parameter(spec.type)


def passed_on(name: str, spec: structures.InputSpec) -> dict[str, structures.InputSpec]:
    """Returns the parameters of another step that a parameter holds, by their names: a dictionary that is called as that step."""
    if spec.type != "Dict" or name not in step_names():
        return {}
    inputs = load_step(name).component_spec.inputs
    return {key: value for key, value in inputs.items() if is_parameter(value) and key not in _NOT_PASSED_ON}


def parameter_options(inputs: dict[str, structures.InputSpec]) -> list[click.Option]:
    """Returns an option for each parameter of an interface, and for those of another step that it passes on."""
    options: list[click.Option] = []
    for name, spec in inputs.items():
        if is_parameter(spec):
            options += parameter_options(passed_on(name, spec)) or [_option(name, spec)]
    return options


def parameter_values(inputs: dict[str, structures.InputSpec], values: dict[str, Any]) -> dict[str, Any]:
    """Returns the values of an interface's parameters, given those of its options."""
    parameters: dict[str, Any] = {}
    for name, spec in inputs.items():
        if is_parameter(spec):
            inner = passed_on(name, spec)
            parameters[name] = {key: values[key] for key in inner} if inner else values[name]
    return parameters


def _option(name: str, spec: structures.InputSpec) -> click.Option:
    flag = f"--{name.replace('_', '-')}"
    if spec.optional:
        return click.Option([flag, name], type=_CLICK_TYPES[spec.type], default=spec.default, show_default=True, help=spec.description)
    return click.Option([flag, name], type=_CLICK_TYPES[spec.type], required=True, help=spec.description)
