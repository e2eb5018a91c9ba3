"""The one place where a container image URI is made.

The registry and tag come from LUS_IMAGE_REGISTRY and LUS_IMAGE_TAG when components are imported, that is when a pipeline is compiled.
"""

import os

DEFAULT_REGISTRY = "lung-ultrasound-pipeline"
DEFAULT_TAG = "0.1.0"


def image_uri(name: str) -> str:
    """Returns the URI of one of the images that docker/Dockerfile builds: ingest, preprocess, train, predict or dicom."""
    registry = os.environ.get("LUS_IMAGE_REGISTRY", DEFAULT_REGISTRY)
    tag = os.environ.get("LUS_IMAGE_TAG", DEFAULT_TAG)
    return f"{registry}/{name}:{tag}"


def relocated(uri: str, registry: str, tag: str) -> str:
    """Returns the URI of the same image in another registry or with another tag; what is empty stays."""
    old_registry, _, name = uri.rpartition("/")
    name, _, old_tag = name.partition(":")
    return f"{registry or old_registry}/{name}:{tag or old_tag}"


def cuda_variant(uri: str) -> str:
    """Returns the URI of the image that is built with CUDA libraries."""
    return f"{uri}-cuda"


INGEST = image_uri("ingest")
PREPROCESS = image_uri("preprocess")
TRAIN = image_uri("train")
PREDICT = image_uri("predict")
DICOM = image_uri("dicom")
