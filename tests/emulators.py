"""Object stores on this machine, that boto3 and the Google client talk to over HTTP."""

import contextlib
import os
import socket
import threading
import uuid
from collections.abc import Iterator

# Before cloudpathlib or google-cloud-storage is imported: no search for credentials on the network.
os.environ.setdefault("NO_GCE_CHECK", "true")

# Which variable of the environment says where the client finds the store of a scheme.
ENDPOINTS = {"s3": "AWS_ENDPOINT_URL", "gs": "STORAGE_EMULATOR_HOST"}
S3_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}


@contextlib.contextmanager
def gs_emulator() -> Iterator[str]:
    """Gives the URL of a server that plays Google Cloud Storage."""
    from gcp_storage_emulator.server import create_server

    from tests.gs_preconditions import honour_preconditions

    honour_preconditions()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = create_server("127.0.0.1", port, in_memory=True)
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@contextlib.contextmanager
def s3_emulator() -> Iterator[str]:
    """Gives the URL of a server that plays S3."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    class Handler(MotoRequestHandler):
        disable_nagle_algorithm = True  # it holds a body back for 40 ms

    # One request at a time: moto checks the condition of a conditional write and then writes, without a lock.
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, application, threaded=False, request_handler=Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()


def new_bucket(scheme: str) -> str:
    """Returns the URI of a new bucket in the store that the environment names."""
    from components.core.storage.object_stores import client_of

    name = f"lus-{uuid.uuid4().hex}"
    if scheme == "gs":
        from google.cloud.storage import Client

        Client.create_anonymous_client().create_bucket(name)
    else:
        import boto3

        boto3.client("s3").create_bucket(Bucket=name)
    client_of.cache_clear()
    return f"{scheme}://{name}"
