"""A Kubeflow Pipelines API server for faults that a real one cannot be made to show: real sockets, in memory, strict about what it gets.

tests/cluster asks it and a real one the same questions and compares the answers' shapes.

It speaks /apis/v2beta1 as kfp_server_api's models describe it: a body with an unknown field or a value of the wrong type is refused, and
so are unknown ids, repeated names, a cron without seconds, a file that is no pipeline, missing and unknown parameters, and callers
without the right credentials. Faults can be set: see `Faults`.
"""

import dataclasses
import datetime
import email
import email.policy
import itertools
import json
import re
import threading
import urllib.parse
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import kfp_server_api
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

PREFIX, PREFIX_1 = "/apis/v2beta1", "/apis/v1beta1"
NATIVE = {"str": str, "bool": bool, "int": int, "float": (int, float), "datetime": str, "object": dict}


class Refusal(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclasses.dataclass
class Faults:
    """What goes wrong.

    Attributes:
        answers: statuses that the next requests are answered with, before anything is done.
        down_after: after so many more requests, which are carried out, even the last one, whose answer is lost, nobody is at home.
        everything: an answer to every request, (status, content type, text).
        forgets_canceling: whether a run's history does not tell that it was asked to end, as when its workflow is written at that moment.
    """

    answers: list[int] = dataclasses.field(default_factory=list)
    down_after: int | None = None
    everything: tuple[int, str, str] | None = None
    forgets_canceling: bool = False


class KubeflowServer:
    """The server and its state.

    Attributes:
        script: the states of the run that is started next, one a look: ("RUNNING", {"ingest": "RUNNING"}).
        requests: method and path of all requests, in order.
    """

    def __init__(self, token: str = "", cookie: str = "", namespaces: tuple[str, ...] = ()) -> None:
        self.token, self.cookie, self.namespaces = token, cookie, namespaces
        self.faults = Faults()
        self.script: list[tuple[str, dict[str, str]]] = [("SUCCEEDED", {})]
        self.run_error = ""
        # Before Kubeflow Pipelines 2.16, a recurring run could not be deleted without its runs.
        self.knows_policies = True
        self.experiments: dict[str, dict[str, Any]] = {}
        self.pipelines: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.recurring_runs: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        self._scripts: dict[str, Iterator[tuple[str, dict[str, str]]]] = {}
        self._asked_to_end: set[str] = set()
        self._clock = itertools.count()
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self.host = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def everything_stored(self) -> str:
        """Returns all that the server keeps, as text."""
        return json.dumps([self.experiments, self.pipelines, self.versions, self.runs, self.recurring_runs])

    def now(self) -> str:
        """Returns a later time at each call."""
        start = datetime.datetime(2026, 1, 5, 3, 0, tzinfo=datetime.UTC)
        return (start + datetime.timedelta(seconds=60 * next(self._clock))).strftime("%Y-%m-%dT%H:%M:%SZ")

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> dict[str, Any] | None:
        """Carries out one request; None means that the connection is dropped."""
        url = urllib.parse.urlsplit(target)
        query = dict(urllib.parse.parse_qsl(url.query))
        with self._lock:
            self.requests.append(f"{method} {url.path}")
            if self.faults.down_after is not None:
                self.faults.down_after -= 1
                if self.faults.down_after < 0:
                    return None
            if self.faults.answers:
                raise Refusal(self.faults.answers.pop(0), "not now")
            self._check_caller(headers)
            result = self._route(method, url.path, query, headers, body)
            return None if self.faults.down_after == 0 else result

    def _check_caller(self, headers: Any) -> None:
        if self.token and headers.get("authorization") != f"Bearer {self.token}":
            raise Refusal(401, "Unauthenticated")
        if self.cookie and headers.get("Cookie") != self.cookie:
            raise Refusal(401, "Unauthenticated")

    def _check_namespace(self, namespace: str) -> None:
        if self.namespaces and not namespace:
            raise Refusal(400, "In multi-user mode, a namespace is required")
        if not self.namespaces and namespace:
            raise Refusal(400, "In single-user mode, a namespace must be empty")
        if self.namespaces and namespace not in self.namespaces:
            raise Refusal(403, f"User is not authorized for the namespace {namespace}")

    def _route(self, method: str, path: str, query: dict[str, str], headers: Any, body: bytes) -> dict[str, Any]:
        routes: list[tuple[str, str, Callable[..., dict[str, Any]]]] = [
            ("GET", "/healthz", self._health),
            ("GET", "/experiments", lambda: self._listed("experiments", self.experiments, query, self._in_namespace(query))),
            ("POST", "/experiments", lambda: self._create_experiment(self._body("V2beta1Experiment", body))),
            ("GET", "/pipelines", lambda: self._listed("pipelines", self.pipelines, query, self._in_namespace(query))),
            ("POST", "/pipelines", lambda: self._create_pipeline(self._body("V2beta1Pipeline", body))),
            ("POST", "/pipelines/upload_version", lambda: self._upload_version(query, headers, body)),
            ("GET", "/pipelines/([^/]+)/versions", lambda key: self._list_versions(key, query)),
            ("POST", "/runs", lambda: self._create_run(self._body("V2beta1Run", body))),
            ("GET", "/runs", lambda: self._listed("runs", self.runs, query, self._in_experiment(query))),
            ("GET", "/runs/([^/:]+)", self._look_at_run),
            ("POST", "/runs/([^/:]+):terminate", self._terminate),
            ("DELETE", "/runs/([^/:]+)", lambda key: self._deleted(self.runs, key)),
            ("GET", f"{PREFIX_1}/runs/([^/:]+)", self._as_version_1),
            ("GET", "/recurringruns", lambda: self._list_recurring(query)),
            ("POST", "/recurringruns", lambda: self._create_recurring(self._body("V2beta1RecurringRun", body))),
            ("POST", "/recurringruns/([^/:]+):(enable|disable)", self._switch),
            ("DELETE", "/recurringruns/([^/:]+)", lambda key: self._delete_recurring(key, query)),
        ]
        for known_method, pattern, action in routes:
            match = re.fullmatch(pattern if pattern.startswith(PREFIX_1) else PREFIX + pattern, path)
            if match and method == known_method:
                return action(*match.groups())
        raise Refusal(404, "Not Found")

    def _body(self, model: str, body: bytes) -> dict[str, Any]:
        fields = json.loads(body)
        _check_model(fields, model, model)
        return fields

    def _listed(
        self, name: str, members: dict[str, dict[str, Any]], query: dict[str, str], wanted: Callable[[Any], bool]
    ) -> dict[str, Any]:
        found = [member for member in members.values() if wanted(member)]
        if "filter" in query:
            for predicate in json.loads(query["filter"])["predicates"]:
                assert predicate["operation"] in ("EQUALS", 1)
                found = [member for member in found if member[predicate["key"]] == predicate["stringValue"]]
        if query.get("sort_by") == "created_at desc":
            found.sort(key=lambda member: member["created_at"], reverse=True)
        start, size = int(query.get("page_token") or 0), int(query.get("page_size") or 20)
        more = {"next_page_token": str(start + size)} if start + size < len(found) else {}
        return {name: found[start : start + size], "total_size": len(found), **more}

    def _in_namespace(self, query: dict[str, str]) -> Callable[[Any], bool]:
        self._check_namespace(query.get("namespace", ""))
        return lambda member: member.get("namespace", "") == query.get("namespace", "")

    def _stored(self, members: dict[str, dict[str, Any]], key_name: str, fields: dict[str, Any]) -> dict[str, Any]:
        key = str(uuid.uuid4())
        # The real server leaves out what is empty.
        members[key] = {name: value for name, value in fields.items() if value != ""} | {key_name: key, "created_at": self.now()}
        return members[key]

    def _check_new_name(self, members: dict[str, dict[str, Any]], fields: dict[str, Any], scope: str) -> None:
        if not fields.get("display_name"):
            raise Refusal(400, "the name is empty")
        if any(m["display_name"] == fields["display_name"] and m.get(scope) == fields.get(scope) for m in members.values()):
            raise Refusal(409, f"the name {fields['display_name']} already exists")

    def _create_experiment(self, fields: dict[str, Any]) -> dict[str, Any]:
        self._check_namespace(fields.get("namespace", ""))
        self._check_new_name(self.experiments, fields, "namespace")
        return self._stored(self.experiments, "experiment_id", fields)

    def _create_pipeline(self, fields: dict[str, Any]) -> dict[str, Any]:
        self._check_namespace(fields.get("namespace", ""))
        self._check_new_name(self.pipelines, fields, "namespace")
        return self._stored(self.pipelines, "pipeline_id", fields)

    def _upload_version(self, query: dict[str, str], headers: Any, body: bytes) -> dict[str, Any]:
        if query.get("pipelineid") not in self.pipelines:
            raise Refusal(404, "the pipeline does not exist")
        message = email.message_from_bytes(
            b"Content-Type: " + headers["Content-Type"].encode() + b"\r\n\r\n" + body, policy=email.policy.default
        )
        (part,) = (part for part in message.iter_parts() if part.get_param("name", header="content-disposition") == "uploadfile")
        text = part.get_payload(decode=True).decode()
        try:
            pipeline, *platforms = yaml.load_all(text, Loader=yaml.CSafeLoader)
            json_format.ParseDict(pipeline, pipeline_spec_pb2.PipelineSpec())
            for platform in platforms:
                json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
        except (ValueError, yaml.YAMLError, json_format.ParseError) as error:
            raise Refusal(400, f"not a pipeline: {error}") from None
        fields = {"display_name": query["name"], "name": query["name"], "pipeline_id": query["pipelineid"]}
        self._check_new_name(self.versions, fields, "pipeline_id")
        version = self._stored(self.versions, "pipeline_version_id", {**fields, "description": query.get("description", "")})
        version["pipeline_spec"] = {"pipeline_spec": pipeline, "platform_spec": platforms[0]} if platforms else pipeline
        return version

    def _list_versions(self, key: str, query: dict[str, str]) -> dict[str, Any]:
        if key not in self.pipelines:
            raise Refusal(404, "the pipeline does not exist")
        return self._listed("pipeline_versions", self.versions, query, lambda version: version["pipeline_id"] == key)

    def _check_job(self, fields: dict[str, Any]) -> None:
        """Checks what runs and recurring runs have in common."""
        if fields.get("experiment_id") not in self.experiments:
            raise Refusal(404, f"the experiment {fields.get('experiment_id')} does not exist")
        reference = fields.get("pipeline_version_reference") or {}
        version = self.versions.get(reference.get("pipeline_version_id", ""))
        if not version or version["pipeline_id"] != reference.get("pipeline_id"):
            raise Refusal(404, "the pipeline version does not exist")
        spec = version["pipeline_spec"]
        known = spec.get("pipeline_spec", spec)["root"]["inputDefinitions"]["parameters"]
        given = (fields.get("runtime_config") or {}).get("parameters") or {}
        if unknown := set(given) - set(known):
            raise Refusal(400, f"unknown parameters {sorted(unknown)}")
        if absent := {name for name, spec in known.items() if "defaultValue" not in spec and not spec.get("isOptional")} - set(given):
            raise Refusal(400, f"missing parameters {sorted(absent)}")

    def _create_run(self, fields: dict[str, Any]) -> dict[str, Any]:
        self._check_job(fields)
        run = self._stored(self.runs, "run_id", {**fields, "state": "PENDING"})
        self._scripts[run["run_id"]] = iter(self.script)
        return run

    def _look_at_run(self, key: str) -> dict[str, Any]:
        if key not in self.runs:
            raise Refusal(404, f"the run {key} does not exist")
        run = self.runs[key]
        step = next(self._scripts[key], None)
        if step == ("DELETED", {}):
            self._deleted(self.runs, key)
            raise Refusal(404, f"the run {key} does not exist")
        if step == ("BROKEN", {}):
            raise Refusal(500, "Internal Server Error")
        if step:
            run["state"], tasks = step
            run.setdefault("state_history", []).append({"update_time": run["created_at"], "state": run["state"]})
            details = run.setdefault("run_details", {"task_details": []})["task_details"]
            for name, state in tasks.items():
                task = next((task for task in details if task["display_name"] == name), None)
                if not task:
                    details.append(task := {"display_name": name, "task_id": name, "create_time": self.now(), "start_time": self.now()})
                task["state"] = state
                if state in ("SUCCEEDED", "FAILED"):
                    task["end_time"] = self.now()
            if run["state"] in ("SUCCEEDED", "FAILED", "CANCELED"):
                run["finished_at"] = self.now()
            if run["state"] == "FAILED" and self.run_error:
                run["error"] = {"code": 13, "message": self.run_error}
        return run

    def _health(self) -> dict[str, Any]:
        return {"commit_sha": "unknown", "tag_name": "unknown", "multi_user": bool(self.namespaces), "pipeline_store": "database"}

    def _in_experiment(self, query: dict[str, str]) -> Callable[[Any], bool]:
        if "experiment_id" in query:
            return lambda run: run["experiment_id"] == query["experiment_id"]
        return self._in_namespace(query)

    def _terminate(self, key: str) -> dict[str, Any]:
        """The real server calls a run FAILED that it was asked to end."""
        self._look_at_run(key)
        self._scripts[key] = iter([("FAILED", {})] if self.faults.forgets_canceling else [("CANCELING", {}), ("FAILED", {})])
        self._asked_to_end.add(key)
        return {}

    def _as_version_1(self, key: str) -> dict[str, Any]:
        if key not in self.runs:
            raise Refusal(404, f"the run {key} does not exist")
        run = self.runs[key]
        version = self.versions[run["pipeline_version_reference"]["pipeline_version_id"]]["pipeline_spec"]
        nodes = [node for task in run.get("run_details", {}).get("task_details", []) for node in _nodes_of(task)]
        spec = {"activeDeadlineSeconds": 0} if key in self._asked_to_end else {}
        workflow = {"spec": spec, "status": {"nodes": {node["id"]: node for node in nodes}}}
        return {
            "run": {"id": key, "pipeline_spec": {"pipeline_manifest": yaml.safe_dump(version.get("pipeline_spec", version))}},
            "pipeline_runtime": {"workflow_manifest": json.dumps(workflow)},
        }

    def _list_recurring(self, query: dict[str, str]) -> dict[str, Any]:
        if "experiment_id" in query:
            return self._listed("recurringRuns", self.recurring_runs, query, lambda run: run["experiment_id"] == query["experiment_id"])
        self._check_namespace(query.get("namespace", ""))
        here = {key for key, experiment in self.experiments.items() if experiment.get("namespace", "") == query.get("namespace", "")}
        return self._listed("recurringRuns", self.recurring_runs, query, lambda run: run["experiment_id"] in here)

    def _create_recurring(self, fields: dict[str, Any]) -> dict[str, Any]:
        self._check_job(fields)
        cron = ((fields.get("trigger") or {}).get("cron_schedule") or {}).get("cron", "")
        if len(cron.split()) != 6:
            raise Refusal(400, f"Schedule cron is not supported: expected exactly 6 fields, found {len(cron.split())}: {cron}")
        if not 1 <= int(fields.get("max_concurrency") or 0) <= 10:
            raise Refusal(400, "The max concurrency of the recurring run must be at least 1 and at most 10")
        status = {"ENABLE": "ENABLED", "DISABLE": "DISABLED"}[fields["mode"]]
        # As protocol buffers' JSON writes a 64-bit number.
        numbers = {"max_concurrency": str(fields["max_concurrency"])}
        return self._stored(self.recurring_runs, "recurring_run_id", {**fields, **numbers, "status": status})

    def _switch(self, key: str, to: str) -> dict[str, Any]:
        if key not in self.recurring_runs:
            raise Refusal(404, f"the recurring run {key} does not exist")
        self.recurring_runs[key] |= {"mode": to.upper(), "status": f"{to.upper()}D"}
        return {}

    def _delete_recurring(self, key: str, query: dict[str, str]) -> dict[str, Any]:
        if self.knows_policies and query.get("propagation_policy", "ORPHAN") != "ORPHAN":
            raise Refusal(400, "parsing field propagation_policy: it is not a valid value")
        return self._deleted(self.recurring_runs, key)

    def _deleted(self, members: dict[str, dict[str, Any]], key: str) -> dict[str, Any]:
        if key not in members:
            raise Refusal(404, f"{key} does not exist")
        del members[key]
        return {}


def _nodes_of(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns Argo's nodes of a step: one for all attempts, one for the attempt, and its pod."""
    phase = task["state"].capitalize()
    name = f"run(0).root(0).{task['display_name']}"
    times = {"startedAt": task["start_time"], "finishedAt": task.get("end_time")}
    return [
        {"id": name, "name": name, "type": "Retry", "templateName": "system-container-executor", "phase": phase, **times},
        {"id": f"{name}(0)", "name": f"{name}(0)", "type": "DAG", "templateName": "system-container-executor", "phase": phase, **times},
        {
            "id": f"{name}-1",
            "name": f"{name}(0).executor(0)",
            "type": "Pod",
            "templateName": "system-container-impl",
            "phase": phase,
            "message": "main: Error (exit code 1)" if phase == "Failed" else "",
            **times,
        },
    ]


def _check_model(value: Any, kind: str, where: str) -> None:
    """Checks a JSON value against a type as kfp_server_api's models write it.

    Raises:
        Refusal: a field is unknown, or a value has another type.
    """
    if value is None:
        return
    if match := re.fullmatch(r"list\[(.*)\]", kind):
        _check_type(value, list, where)
        for number, member in enumerate(value):
            _check_model(member, match[1], f"{where}[{number}]")
    elif match := re.fullmatch(r"dict\(str, (.*)\)", kind):
        _check_type(value, dict, where)
        for key, member in value.items():
            if match[1] != "object":
                _check_model(member, match[1], f"{where}.{key}")
    elif kind in NATIVE:
        # The API writes 64-bit numbers as text and takes both, as protocol buffers' JSON does.
        is_number = kind == "str" and isinstance(value, int) and not isinstance(value, bool)
        if not is_number:
            _check_type(value, NATIVE[kind], where)
    else:
        model = getattr(kfp_server_api, kind)
        if not model.openapi_types:
            if value not in model.allowable_values:
                raise Refusal(400, f"{where}: {value!r} is none of {model.allowable_values}")
            return
        _check_type(value, dict, where)
        names = {json_name: name for name, json_name in model.attribute_map.items()}
        for key, member in value.items():
            if key not in names:
                raise Refusal(400, f"{where}: unknown field {key!r}")
            _check_model(member, model.openapi_types[names[key]], f"{where}.{key}")


def _check_type(value: Any, kind: Any, where: str) -> None:
    if not isinstance(value, kind):
        raise Refusal(400, f"{where}: {value!r} has the wrong type")


def _handler_of(server: KubeflowServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if server.faults.everything:
                status, kind, text = server.faults.everything
                self._send(status, kind, text.encode())
                return
            try:
                result = server.answer(self.command, self.path, self.headers, body)
            except Refusal as refusal:
                self._send(refusal.status, "application/json", json.dumps({"code": 0, "message": refusal.message}).encode())
                return
            if result is None:
                self.close_connection = True
                self.connection.close()
            else:
                self._send(200, "application/json", json.dumps(result).encode())

        do_GET = do_POST = do_DELETE = _handle

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    return Handler
