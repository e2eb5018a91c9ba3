"""Executes a compiled pipeline on this machine as a cluster would: every executor's own command, conditions, nested DAGs, exit handlers.

The commands are run in this environment instead of in their containers. Artifacts are local paths.
"""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SUCCEEDED, FAILED, SKIPPED = "SUCCEEDED", "FAILED", "SKIPPED"
COMPLETED = "ALL_UPSTREAM_TASKS_COMPLETED"


@dataclasses.dataclass
class Outcome:
    """What became of a task: its state, and its outputs by name."""

    state: str
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)
    artifacts: dict[str, Any] = dataclasses.field(default_factory=dict)
    error: str = ""


class Interpreter:
    """Executes one run.

    Attributes:
        states: of every task, in the order in which they ended; nested ones as `outer/inner`.
        log: all that the steps wrote.
    """

    def __init__(self, pipeline: dict[str, Any], folder: Path, environment: dict[str, str] | None = None, stop_at: str = "") -> None:
        """`stop_at` names a step that is not started: the run counts as failed there."""
        self._pipeline, self._folder, self._stop_at = pipeline, folder, stop_at
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            **(environment or {}),
        }
        self.states: dict[str, str] = {}
        self.log = ""

    def run(self, parameters: dict[str, Any]) -> str:
        """Runs the pipeline; returns its state."""
        return self._run_dag(self._pipeline["root"], self._with_defaults(self._pipeline["root"], parameters), {}, "").state

    def _with_defaults(self, component: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        specs = component.get("inputDefinitions", {}).get("parameters", {})
        defaults = {name: spec["defaultValue"] for name, spec in specs.items() if "defaultValue" in spec}
        absent = {name for name, spec in specs.items() if not spec.get("isOptional")} - set(defaults) - set(given)
        assert not absent, f"required parameters are absent: {absent}"
        assert set(given) <= set(specs), f"unknown parameters: {set(given) - set(specs)}"
        return {**defaults, **given}

    def _run_dag(self, component: dict[str, Any], parameters: dict[str, Any], artifacts: dict[str, Any], prefix: str) -> Outcome:
        tasks = dict(component["dag"]["tasks"])
        done: dict[str, Outcome] = {}
        while tasks:
            name = next(name for name, task in tasks.items() if set(task.get("dependentTasks", [])) <= set(done))
            task = tasks.pop(name)
            upstream = [done[other].state for other in task.get("dependentTasks", [])]
            policy = task.get("triggerPolicy", {})
            if policy.get("strategy") != COMPLETED and set(upstream) - {SUCCEEDED}:
                done[name] = Outcome(SKIPPED)
            else:
                inputs = self._parameters(task, parameters, done), self._artifacts(task, artifacts, done)
                if "condition" in policy and not _holds(policy["condition"], inputs[0]):
                    done[name] = Outcome(SKIPPED)
                else:
                    done[name] = self._run_task(task, *inputs, prefix + name)
            self.states[prefix + name] = done[name].state
        failed = [outcome for outcome in done.values() if outcome.state == FAILED]
        if failed:
            return Outcome(FAILED, error=failed[0].error)
        outputs = component["dag"].get("outputs", {})
        return Outcome(
            SUCCEEDED,
            artifacts={
                name: done[selector["producerSubtask"]].artifacts[selector["outputArtifactKey"]]
                for name, output in outputs.get("artifacts", {}).items()
                for selector in output["artifactSelectors"]
                if done[selector["producerSubtask"]].state == SUCCEEDED
            },
        )

    def _parameters(self, task: dict[str, Any], parameters: dict[str, Any], done: dict[str, Outcome]) -> dict[str, Any]:
        values = {}
        for name, source in task.get("inputs", {}).get("parameters", {}).items():
            if "componentInputParameter" in source:
                values[name] = parameters[source["componentInputParameter"]]
            elif "taskOutputParameter" in source:
                producer = source["taskOutputParameter"]
                values[name] = done[producer["producerTask"]].parameters[producer["outputParameterKey"]]
            elif "taskFinalStatus" in source:
                producer = source["taskFinalStatus"]["producerTask"]
                error = {"error": {"code": 13, "message": done[producer].error}} if done[producer].error else {}
                values[name] = {
                    "state": done[producer].state,
                    "pipelineJobResourceName": "runs/local",
                    "pipelineTaskName": producer,
                    **error,
                }
            else:
                values[name] = source["runtimeValue"]["constant"]
        return values

    def _artifacts(self, task: dict[str, Any], artifacts: dict[str, Any], done: dict[str, Outcome]) -> dict[str, Any]:
        values = {}
        for name, source in task.get("inputs", {}).get("artifacts", {}).items():
            if "componentInputArtifact" in source:
                values[name] = artifacts[source["componentInputArtifact"]]
            else:
                producer = source["taskOutputArtifact"]
                values[name] = done[producer["producerTask"]].artifacts[producer["outputArtifactKey"]]
        return values

    def _run_task(self, task: dict[str, Any], parameters: dict[str, Any], artifacts: dict[str, Any], path: str) -> Outcome:
        component = self._pipeline["components"][task["componentRef"]["name"]]
        parameters = self._with_defaults(component, parameters)
        if "dag" in component:
            return self._run_dag(component, parameters, artifacts, f"{path}/")
        if path.rsplit("/", 1)[-1] == self._stop_at:
            return Outcome(FAILED, error=f"stopped at {self._stop_at}")
        return self._run_executor(component, parameters, artifacts, self._folder / path)

    def _run_executor(self, component: dict[str, Any], parameters: dict[str, Any], artifacts: dict[str, Any], folder: Path) -> Outcome:
        folder.mkdir(parents=True)
        definitions = component.get("outputDefinitions", {})
        outputs = {
            name: {"name": name, "type": spec["artifactType"], "uri": str(folder / name), "metadata": {}}
            for name, spec in definitions.get("artifacts", {}).items()
        }
        executor_input = {
            "inputs": {
                "parameterValues": _as_sent(parameters),
                "artifacts": {name: {"artifacts": [artifact]} for name, artifact in artifacts.items()},
            },
            "outputs": {
                "parameters": {name: {"outputFile": str(folder / name)} for name in definitions.get("parameters", {})},
                "artifacts": {name: {"artifacts": [artifact]} for name, artifact in outputs.items()},
                "outputFile": str(folder / "executor_output.json"),
            },
        }
        container = self._pipeline["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        command = [part.replace("{{$}}", json.dumps(executor_input)) for part in (*container["command"], *container["args"])]
        result = subprocess.run(command, cwd=folder, env=self._environment, capture_output=True, text=True, check=False)
        self.log += result.stdout + result.stderr
        if result.returncode:
            return Outcome(FAILED, error=result.stderr.strip().splitlines()[-1])
        output_path = folder / "executor_output.json"
        said = json.loads(output_path.read_text()) if output_path.exists() else {}
        for name, value in said.get("artifacts", {}).items():
            outputs[name]["metadata"] = value["artifacts"][0].get("metadata", {})
        written = {name: (folder / name).read_text() for name in definitions.get("parameters", {}) if (folder / name).exists()}
        return Outcome(SUCCEEDED, {**written, **said.get("parameterValues", {})}, outputs)


def _as_sent(parameters: dict[str, Any]) -> dict[str, Any]:
    """Returns the values as the driver sends them: Go writes the double 2.0 of a protocol buffer as 2."""
    return {name: int(value) if isinstance(value, float) and value.is_integer() else value for name, value in parameters.items()}


def _holds(condition: str, parameters: dict[str, Any]) -> bool:
    """Evaluates the one form of condition that `dsl.If(parameter == value)` gives."""
    match = re.fullmatch(r"inputs\.parameter_values\['([^']+)'\]\s*==\s*(\S+)", condition)
    assert match, f"a condition of another form: {condition}"
    return bool(parameters[match[1]] == json.loads(match[2]))
