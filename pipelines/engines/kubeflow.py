"""A Kubeflow Pipelines server as the commands of `lus` see it: kfp's client, with errors in one sentence and retries.

Secrets come from a file or an environment variable and go to the server only.
"""

import contextlib
import io
import itertools
import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import kfp
import kfp_server_api
import urllib3

from components.core.errors import ClusterError, UsageError
from pipelines.compile import documents
from pipelines.engines.authentication import Authentication

# urllib3 tells of each retry; what comes of them is said once, in a sentence.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)

PAGE_SIZE = 100
NUM_RETRIES = 5
# 503 and 429 say that nothing was done, so every request may be sent again; Retry-After is honoured.
RETRIES = urllib3.Retry(
    connect=2,
    read=0,
    other=0,
    redirect=5,
    status=NUM_RETRIES,
    status_forcelist=(429, 503),
    allowed_methods=None,
    backoff_factor=1,
    raise_on_status=False,
)


class _Client(kfp.Client):
    """kfp's client, which tries again when the server is busy."""

    def _load_config(self, *args: Any, **kwargs: Any) -> kfp_server_api.Configuration:
        config = super()._load_config(*args, **kwargs)
        config.retries = RETRIES
        return config

    def is_multi_user(self) -> bool:
        """Asks the server once whether it has several users; the answer of a login page in between, which is not JSON, is an error.

        Servers tell more with every version, so nothing else in the answer is looked at.
        """
        response = self._healthz_api.healthz_service_get_healthz(_preload_content=False)
        return bool(json.loads(response.data).get("multi_user"))


class Kubeflow:
    """A server, a namespace in it, and what this project asks of them.

    Every method raises ClusterError when the server refuses or does not answer.

    Attributes:
        client: kfp's; what is asked of it stands in a block of `failures`.
        namespace: of the user, or None where the server has no users.
    """

    def __init__(self, host: str, namespace: str, auth: Authentication) -> None:
        if not re.match(r"https?://", host):
            raise UsageError(f"the host must start with http:// or https://, got {host!r}.")
        self._host, self._auth = host.rstrip("/"), auth
        self.namespace: str | None = None
        with self.failures("ask for the server's health"), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            # A namespace that is set keeps the client from asking by itself.
            self.client = _Client(host=self._host, namespace=namespace or "default", **auth.arguments)
            is_multi_user = self.client.is_multi_user()
        if is_multi_user and not namespace:
            raise UsageError(f"the server at {self._host} has several users; give your namespace with --namespace.")
        self.namespace = namespace if is_multi_user else None
        self.client._context_setting["namespace"] = self.namespace or ""

    def run_url(self, run_id: str) -> str:
        """Returns the page of a run in the UI."""
        return f"{self._host}/#/runs/details/{run_id}"

    def experiment_id(self, name: str) -> str:
        """Returns the id of an experiment, which is made if there is none."""
        with self.failures(f"find or make the experiment {name!r}"):
            return self.client.create_experiment(name, namespace=self.namespace).experiment_id

    def pipeline_version(self, name: str, version: str, path: Path, description: str) -> tuple[str, str, bool]:
        """Returns the ids of a pipeline and of a version of it, and whether the file was uploaded because there was no such version."""
        pipeline_id = self._pipeline_id(name)
        if found := self._version_id(pipeline_id, version):
            return pipeline_id, found, False
        try:
            with self.failures(f"upload the pipeline {name!r}"):
                uploaded = self.client.upload_pipeline_version(str(path), version, pipeline_id=pipeline_id, description=description)
                return pipeline_id, uploaded.pipeline_version_id, True
        except ClusterError as error:
            # Somebody else was quicker with the same content.
            if error.status == 409 and (found := self._version_id(pipeline_id, version)):
                return pipeline_id, found, False
            raise

    def _pipeline_id(self, name: str) -> str:
        with self.failures(f"look up the pipeline {name!r}"):
            found = self.client.list_pipelines(filter=equal(display_name=name), namespace=self.namespace).pipelines
        if found:
            return found[0].pipeline_id
        body = kfp_server_api.V2beta1Pipeline(display_name=name, name=name, namespace=self.namespace)
        with self.failures(f"make the pipeline {name!r}"):
            return self.client.pipelines.pipeline_service_create_pipeline(body).pipeline_id

    def _version_id(self, pipeline_id: str, version: str) -> str | None:
        with self.failures("look up the versions of the pipeline"):
            found = self.client.list_pipeline_versions(pipeline_id, filter=equal(display_name=version)).pipeline_versions
        return found[0].pipeline_version_id if found else None

    def start(self, **arguments: Any) -> str:
        """Starts a run and returns its id; arguments as of kfp.Client.run_pipeline."""
        with self.failures("start the run"):
            return self.client.run_pipeline(**arguments).run_id

    def run(self, run_id: str) -> kfp_server_api.V2beta1Run:
        """Returns the state of a run."""
        with self.failures(f"look at the run {run_id}"):
            return self.client.get_run(run_id)

    def runs(self, max_runs: int, **arguments: Any) -> list[kfp_server_api.V2beta1Run]:
        """Returns runs of the namespace, the newest first.

        Args:
            max_runs: how many at most.
            arguments: experiment_id, or the field and the value that they must have, such as state="RUNNING".
        """
        experiment_id = arguments.pop("experiment_id", None)
        pages = self.pages(
            "runs",
            self.client.list_runs,
            experiment_id=experiment_id,
            namespace=self.namespace,
            filter=equal(**arguments) if arguments else None,
        )
        return list(itertools.islice((run for page in pages for run in page.runs or []), max_runs))

    def pages(self, what: str, ask: Callable[..., Any], **arguments: Any) -> Iterator[Any]:
        """Yields the pages of a list of the server, whose newest entries come first.

        Args:
            what: is listed, in words.
            ask: the method of kfp.Client.
            arguments: of the method.
        """
        token = ""
        while True:
            with self.failures(f"list the {what}"):
                page = ask(page_token=token, page_size=PAGE_SIZE, sort_by="created_at desc", **arguments)
            yield page
            token = page.next_page_token
            if not token:
                return

    def workflow(self, run_id: str) -> Mapping[str, Any]:
        """Returns the Argo Workflow that a run runs as, with the state of its nodes; an empty one when the server keeps none."""
        text = self._as_version_1(run_id).get("pipeline_runtime", {}).get("workflow_manifest") or "{}"
        with self.failures(f"understand the steps of the run {run_id}"):
            workflow: Mapping[str, Any] = json.loads(text)
        return workflow

    def pipeline(self, run_id: str) -> Mapping[str, Any]:
        """Returns the pipeline of a run as it was compiled; an empty one when the server keeps none."""
        text = self._as_version_1(run_id).get("run", {}).get("pipeline_spec", {}).get("pipeline_manifest") or "{}"
        pipeline: Mapping[str, Any] = documents(text)[0]
        return pipeline

    def _as_version_1(self, run_id: str) -> Mapping[str, Any]:
        """Returns a run as version 1 of the API tells of it, with the Workflow, which version 2 leaves out."""
        try:
            with self.failures(f"look at the steps of the run {run_id}"):
                response = self.client._run_api.api_client.call_api(
                    f"/apis/v1beta1/runs/{run_id}",
                    "GET",
                    header_params={"Accept": "application/json"},
                    auth_settings=["Bearer"],
                    _preload_content=False,
                    _return_http_data_only=True,
                )
                found: Mapping[str, Any] = json.loads(response.data)
        except ClusterError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return {}
            raise
        return found

    def cancel(self, run_id: str) -> None:
        """Asks the server to end a run."""
        with self.failures(f"cancel the run {run_id}"):
            self.client.terminate_run(run_id)

    def experiment(self, name: str) -> str | None:
        """Returns the id of an experiment, or None when there is none."""
        with self.failures(f"find the experiment {name!r}"):
            found = self.client.list_experiments(filter=equal(display_name=name), namespace=self.namespace)
        return found.experiments[0].experiment_id if found.experiments else None

    @contextlib.contextmanager
    def failures(self, action: str) -> Iterator[None]:
        """Turns what the client raises into a ClusterError; keeps what the client prints to itself."""
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        except kfp_server_api.ApiException as error:
            raise self._refusal(action, error) from None
        except urllib3.exceptions.HTTPError as error:
            raise ClusterError(
                f"cannot {action}: no answer from {self._host} ({_reason(error)}); is the address right, and the server up?"
            ) from None
        except ValueError as error:
            # json.JSONDecodeError among them: a login page, or a server of something else.
            raise ClusterError(
                f"cannot {action}: {self._host} does not answer as Kubeflow Pipelines does ({str(error)[:100]}); "
                f"check the address, and the credentials: tried {self._auth.description}."
            ) from None

    def _refusal(self, action: str, error: kfp_server_api.ApiException) -> ClusterError:
        said = _message(error.body)
        if error.status in (401, 403):
            hint = f"tried {self._auth.description}; see `--help` for other ways, and ask who runs the server what you may do"
        elif error.status == 404 and action.startswith("ask for"):
            hint = (
                "there is no API v2beta1; it must be Kubeflow Pipelines 2.0 or later, and a prefix such as /pipeline belongs to the address"
            )
        elif error.status == 404:
            hint = "it does not exist, or was deleted" + (f"; is the namespace {self.namespace!r} right?" if self.namespace else "")
        elif error.status in (429, 503):
            hint = f"the server was busy each of {NUM_RETRIES + 1} times; try again later"
        else:
            hint = "see the server's message"
        return ClusterError(f"cannot {action}: {self._host} answers {error.status}{said and ', '}{said}: {hint}.", status=error.status or 0)


def equal(**fields: str) -> str:
    """Returns a filter of the API for what has these values in its fields."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": key, "stringValue": value} for key, value in fields.items()]})


def _reason(error: Exception) -> str:
    """Returns the innermost reason of an error of urllib3, without the representation of its objects."""
    while isinstance(getattr(error, "reason", None), Exception):
        error = error.reason  # type: ignore[attr-defined]
    return re.sub(r"<[^>]*>:? ?|\w+Connection\([^)]*\): ?|^\(|\)$", "", str(error)) or type(error).__name__


def _message(body: Any) -> str:
    """Returns what the server says, in one line."""
    try:
        fields = json.loads(body)
        text = fields.get("message") or fields.get("error") or ""
    except (AttributeError, TypeError, ValueError):
        text = re.sub(r"<[^>]*>", " ", body.decode(errors="replace") if isinstance(body, bytes) else str(body or ""))
    return " ".join(str(text).split())[:300]
