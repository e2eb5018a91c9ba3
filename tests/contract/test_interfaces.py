"""A step's interface stands in component.py alone: help texts, the pipeline and the compiled YAML say the same."""

import inspect
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from components.__main__ import main as steps_command
from components.command_line import is_parameter, load_step, passed_on, step_names
from components.core.parameters import CHOICES, RANGES
from pipelines.commands.main import main as lus
from pipelines.compile import PIPELINES, compile_pipeline, documents
from pipelines.resource_file import read_table
from pipelines.resources import KUBEFLOW, VERTEX, Placement
from pipelines.training import STEPS, training
from tests.pipelines.compiled_yaml import check_yaml

GOLDEN_FOLDER = Path(__file__).parents[1] / "golden"
GOLDEN = GOLDEN_FOLDER / "training.yaml"
KFP_TYPES = {"String": "STRING", "Integer": "NUMBER_INTEGER", "Float": "NUMBER_DOUBLE", "Boolean": "BOOLEAN"}


def compiled_text(folder: Path, platform: str, pipeline: str = "training") -> str:
    path = folder / f"{platform}.yaml"
    compile_pipeline(pipeline, Placement(platform, read_table(platform)), path)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, typing.Any]:
    return documents(compiled_text(tmp_path_factory.mktemp("compiled"), KUBEFLOW))[0]


@pytest.mark.parametrize("step", step_names())
def test_help_shows_every_input_and_output_of_the_step(step: str) -> None:
    result = CliRunner().invoke(steps_command, [step, "--help"], terminal_width=200)
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    spec = load_step(step).component_spec
    inputs = spec.inputs or {}
    nested = [(name, passed_on(name, value) or {name: value}) for name, value in inputs.items()]
    for name, value in (pair for _, options in nested for pair in options.items()):
        assert f"--{name.replace('_', '-')} " in text
        assert " ".join(value.description.split()) in text
        if value.optional and value.default not in ("", None):
            assert f"[default: {value.default}]" in text
    for name, value in (spec.outputs or {}).items():
        assert f"{name}: " in text
        assert " ".join(value.description.split()) in text


@pytest.mark.parametrize("component", STEPS, ids=lambda component: component.name)
def test_the_yaml_holds_the_interface_of_the_step(component: typing.Any, compiled: dict[str, typing.Any]) -> None:
    inputs = compiled["components"][f"comp-{component.name}"]["inputDefinitions"]
    parameters, artifacts = inputs.get("parameters", {}), inputs.get("artifacts", {})
    for name, spec in component.component_spec.inputs.items():
        if is_parameter(spec):
            assert parameters[name]["parameterType"] == KFP_TYPES[spec.type]
            assert parameters[name].get("defaultValue", None) == (spec.default if spec.optional else None)
            assert parameters[name]["description"] == spec.description
        else:
            assert artifacts[name]["artifactType"]["schemaTitle"] == spec.type.split("@")[0]
    assert set(parameters) | set(artifacts) == set(component.component_spec.inputs)


@pytest.mark.parametrize("step", step_names())
def test_everything_is_described(step: str) -> None:
    spec = load_step(step).component_spec
    assert spec.description
    for value in [*(spec.inputs or {}).values(), *(spec.outputs or {}).values()]:
        assert value.description


def test_every_numeric_parameter_has_a_range() -> None:
    numeric = {
        name
        for step in step_names()
        for name, spec in (load_step(step).component_spec.inputs or {}).items()
        if spec.type in ("Integer", "Float")
    }
    assert numeric == set(RANGES)


def test_run_offers_every_parameter_of_the_pipeline_with_its_help_and_the_default_of_its_step() -> None:
    text = " ".join(CliRunner().invoke(lus, ["run", "--help"], terminal_width=200).output.split())
    defaults = {name: spec for step in reversed(STEPS) for name, spec in step.component_spec.inputs.items()}
    for name, spec in training.component_spec.inputs.items():
        assert f"--{name.replace('_', '-')} " in text
        assert spec.description in text
        assert spec.default == defaults[name].default


@pytest.mark.parametrize(
    ("name", "pipeline", "platform"),
    [
        ("training.yaml", "training", KUBEFLOW),
        ("training-vertex.yaml", "training", VERTEX),
        ("architecture_search.yaml", "architecture_search", KUBEFLOW),
    ],
)
def test_the_pipeline_is_the_golden_one(tmp_path: Path, name: str, pipeline: str, platform: str) -> None:
    """After an intended change, and read the diff:

    lus compile --pipeline PIPELINE --platform PLATFORM -o tests/golden/NAME
    """
    expected, now = (
        [document for document in yaml.safe_load_all(text) if document.pop("sdkVersion", True)]
        for text in ((GOLDEN_FOLDER / name).read_text(encoding="utf-8"), compiled_text(tmp_path, platform, pipeline))
    )
    assert now == expected


def test_the_search_trains_every_architecture_in_parallel_and_compares_them(tmp_path: Path) -> None:
    tasks = documents(compiled_text(tmp_path, KUBEFLOW, "architecture_search"))[0]["root"]["dag"]["tasks"]
    trained = {
        task["inputs"]["parameters"]["architecture"]["runtimeValue"]["constant"]: name
        for name, task in tasks.items()
        if task["componentRef"]["name"].startswith("comp-train")
    }
    assert set(trained) == set(CHOICES["architecture"])
    assert all(tasks[name]["dependentTasks"] == ["importer"] for name in trained.values())
    storages = [tasks[name]["inputs"]["parameters"]["storage"] for name in trained.values()]
    assert storages == [{"componentInputParameter": "storage"}] * len(trained), "where a training that was ended goes on"
    models = {key: value["taskOutputArtifact"]["producerTask"] for key, value in tasks["compare"]["inputs"]["artifacts"].items()}
    assert models == {**trained, "dataset": "importer"}
    # Where a display name differs, Kubeflow backends do not find the producer of an input (kubeflow/pipelines #11106, #11173).
    assert all(task["taskInfo"]["name"] == name for name, task in tasks.items())


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_pipeline_has_the_parameters_of_its_steps_and_gives_each_step_its_own(tmp_path: Path, pipeline: str) -> None:
    """As the help of the steps has them; a name that two steps share is of the first one."""
    spec = documents(compiled_text(tmp_path, KUBEFLOW, pipeline))[0]
    known = spec["root"]["inputDefinitions"]["parameters"]
    for name, value in known.items():
        declared = [load_step(step).component_spec.inputs.get(name) for step in step_names()]
        assert (pipeline == "architecture_search" and name == "dataset_uri") or any(
            other and value.get("defaultValue") in (other.default, None) and KFP_TYPES[other.type] == value["parameterType"]
            for other in declared
        ), name
    for task in _tasks_with_containers(spec):
        step = task["componentRef"]["name"].removeprefix("comp-").rstrip("-0123456789").replace("-", "_")
        parameters = {name for name, value in load_step(step).component_spec.inputs.items() if is_parameter(value)}
        assert set(task["inputs"]["parameters"]) == parameters
        for name, source in task["inputs"]["parameters"].items():
            taken = source.get("componentInputParameter", "").removeprefix("pipelinechannel--")
            assert taken in (name, "", "ingest-videos_uri"), f"{name} of {step}"


def _tasks_with_containers(spec: dict[str, typing.Any]) -> Iterator[dict[str, typing.Any]]:
    for dag in (spec["root"]["dag"], *(component["dag"] for component in spec["components"].values() if "dag" in component)):
        for task in dag["tasks"].values():
            label = spec["components"][task["componentRef"]["name"]].get("executorLabel", "")
            if "container" in spec["deploymentSpec"]["executors"].get(label, {}):
                yield task


def test_retraining_collects_once_and_remembers_a_training_that_came_to_its_end(tmp_path: Path) -> None:
    spec = documents(compiled_text(tmp_path, KUBEFLOW, "retraining"))[0]
    steps = [task["taskInfo"]["name"] for task in _tasks_with_containers(spec)]
    assert sorted(steps) == sorted([*(step.name for step in STEPS), "decide-training", "record-training", "notify"])
    remembered = next(task for task in _tasks_with_containers(spec) if task["taskInfo"]["name"] == "record-training")
    assert set(remembered["dependentTasks"]) == {"evaluate", "promote"}
    assert remembered["inputs"]["artifacts"]["evaluation"]["taskOutputArtifact"]["producerTask"] == "evaluate"


def test_compiling_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    assert compiled_text(tmp_path, KUBEFLOW) == compiled_text(tmp_path / "again", KUBEFLOW)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: comp-train", "name: comp-trained", "'comp-trained', which does not exist"),
        ("outputArtifactKey: dataset", "outputArtifactKey: data", "'data', which does not exist"),
        ("producerTask: prune", "producerTask: shrink", "'shrink', which does not exist"),
        ("componentInputParameter: patience", "componentInputParameter: zeal", "'zeal', which does not exist"),
        ("executorLabel: exec-train", "executorLabel: exec-none", "'exec-none' does not exist"),
        ("schemaVersion:", "schemaVersions:", "schemaVersions"),
    ],
)
def test_a_dangling_reference_is_found(old: str, new: str, message: str) -> None:
    text = GOLDEN.read_text(encoding="utf-8")
    assert old in text
    with pytest.raises(Exception, match=message):
        check_yaml(text.replace(old, new))


def test_signatures_hold_no_annotation_that_kfp_cannot_read() -> None:
    for step in step_names():
        for parameter in inspect.signature(load_step(step).python_func).parameters.values():
            assert not isinstance(parameter.annotation, str)
