"""How a pipeline gets its parameters: they are those of its steps, each with the type, the default and the help text of the step."""

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from kfp import dsl

from components.command_line import is_parameter
from pipelines.resources import apply_resources

# What a pipeline is given: kfp's channels, by the names of its parameters.
Given = Mapping[str, Any]


def add_step(step: Any, given: Given, cached: bool = True, **wired: Any) -> Any:
    """Adds a step to the pipeline that is being traced and returns its task.

    Args:
        step: a kfp component.
        given: what the pipeline is given; the step takes its own parameters of it.
        cached: whether a cluster may take the outputs of an earlier run instead: not where they depend on the storage or the outside world.
        wired: inputs that come from another step, or that the pipeline sets.
    """
    own = {parameter.name: given[parameter.name] for parameter, _ in _parameters(step) if parameter.name not in wired}
    task = apply_resources(step(**own, **wired))
    if not cached:
        task.set_caching_options(enable_caching=False)
    return task


def pipeline_of(
    name: str, purpose: str, wire: Callable[[Given], Any], steps: Sequence[Any], wired: Collection[str] = (), **texts: str
) -> Any:
    """Returns a kfp pipeline with the parameters of its steps; where steps share one, it is as the first of them has it.

    Args:
        name: of the pipeline.
        purpose: the first sentence of its description.
        wire: adds the steps; what it returns, if its signature names a type, are the outputs of the pipeline.
        steps: the components that it adds.
        wired: parameters of steps that the pipeline sets, so that it does not have them.
        texts: help texts of parameters that no step describes as a whole, or that are the pipeline's own: texts that must be given.
    """
    parameters: dict[str, inspect.Parameter] = {}
    descriptions = dict(texts)
    for step in steps:
        for parameter, description in _parameters(step):
            if parameter.name not in wired:
                parameters.setdefault(parameter.name, parameter)
                descriptions.setdefault(parameter.name, description)
    own = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=str) for name in texts if name not in parameters]
    # Python wants those without a default first.
    ordered = sorted([*own, *parameters.values()], key=lambda parameter: parameter.default is not inspect.Parameter.empty)
    names = [parameter.name for parameter in ordered]

    def traced(*channels: Any) -> Any:
        return wire(dict(zip(names, channels, strict=True)))

    traced.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        ordered, return_annotation=inspect.signature(wire).return_annotation
    )
    traced.__doc__ = "\n".join([purpose, "", "Args:", *(f"    {name}: {' '.join(descriptions[name].split())}" for name in names)])
    return dsl.pipeline(name=name)(traced)


def _parameters(step: Any) -> Iterator[tuple[inspect.Parameter, str]]:
    """Yields the parameters that a step is given, with their help texts: not its artifacts, nor the status that Kubeflow adds."""
    signature = inspect.signature(step.python_func).parameters
    for name, spec in step.component_spec.inputs.items():
        if is_parameter(spec) and spec.type != "PipelineTaskFinalStatus":
            yield signature[name], spec.description
