"""What a cluster is told about each step, on both platforms, and what `--resources` may change."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pipelines.commands.main import main as lus
from pipelines.compile import PIPELINES, documents, platform_of, read_compiled
from pipelines.resource_file import num_cpus, num_gigabytes
from pipelines.resources import PLATFORMS
from tests.pipelines.compiled_yaml import check_yaml

CHANGES = """
all:
  image_pull_policy: Always
  image_pull_secrets: [registry]
  secrets: {aws: {access-key: AWS_ACCESS_KEY_ID}}
  config_maps: {proxies: {https: HTTPS_PROXY}}
train:
  gpus: 2
  gpu_type: amd.com/gpu
  spot: false
  node_selector: {pool: gpu}
  tolerations: [{key: team, operator: Equal, value: lungs, effect: NoExecute}]
  labels: {team: lungs}
  shared_memory: 8Gi
  timeout_s: 7200
  cpu: 1.5
  memory: 2.5Gi
  secrets: {tracking: {token: TRACKING_TOKEN}}
notify: {memory: 1e9}
"""


def lus_compile(folder: Path, *options: str, changes: str = "") -> tuple[Result, Path]:
    output = folder / "out.yaml"
    if changes:
        (folder / "resources.yaml").write_text(changes)
        options = (*options, "--resources", str(folder / "resources.yaml"))
    return CliRunner().invoke(lus, ["compile", "-o", str(output), *options]), output


def compiled(folder: Path, *options: str, changes: str = "") -> tuple[dict[str, Any], dict[str, Any]]:
    result, output = lus_compile(folder, *options, changes=changes)
    assert result.exit_code == 0, result.output
    return documents(output.read_text())


def resources_of(pipeline: dict[str, Any], step: str) -> dict[str, Any]:
    return pipeline["deploymentSpec"]["executors"][f"exec-{step}"]["container"]["resources"]


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("name", PIPELINES)
def test_every_pipeline_compiles_for_every_platform(tmp_path: Path, name: str, platform: str) -> None:
    pipeline, kubernetes = compiled(tmp_path, "--pipeline", name, "--platform", platform)
    text = (tmp_path / "out.yaml").read_text()
    check_yaml(text)
    assert platform_of(text) == platform
    # An importer has no container.
    executors = {label: executor for label, executor in pipeline["deploymentSpec"]["executors"].items() if "container" in executor}
    assert all(executor["container"]["resources"]["resourceCpuLimit"] for executor in executors.values())
    assert set(kubernetes) == (set(executors) if platform == "kubeflow" else set())


def test_training_gets_a_gpu_and_the_image_for_it(tmp_path: Path) -> None:
    for platform, gpu in (("kubeflow", "nvidia.com/gpu"), ("vertex", "NVIDIA_L4")):
        pipeline, _ = compiled(tmp_path, "--platform", platform)
        accelerator = resources_of(pipeline, "train")["accelerator"]
        assert (accelerator["resourceType"], accelerator["resourceCount"]) == (gpu, "1")
        executors = pipeline["deploymentSpec"]["executors"]
        with_cuda = {name for name, executor in executors.items() if executor["container"]["image"].endswith("-cuda")}
        assert with_cuda == {"exec-train", "exec-prune"}


def test_without_a_gpu_the_plain_image_is_used(tmp_path: Path) -> None:
    pipeline, kubernetes = compiled(tmp_path, changes="train: {gpus: 0, spot: false}")
    assert "accelerator" not in resources_of(pipeline, "train")
    assert pipeline["deploymentSpec"]["executors"]["exec-train"]["container"]["image"].endswith(":0.1.0")
    assert "tolerations" not in kubernetes["exec-train"]


def test_vertex_is_given_limits_only(tmp_path: Path) -> None:
    pipeline, _ = compiled(tmp_path, "--platform", "vertex")
    for executor in pipeline["deploymentSpec"]["executors"].values():
        assert not [name for name in executor["container"]["resources"] if "request" in name.lower()]


def test_changes_reach_the_pod_and_the_task(tmp_path: Path) -> None:
    pipeline, kubernetes = compiled(tmp_path, changes=CHANGES)
    train = kubernetes["exec-train"]
    assert train["nodeSelector"] == {"labels": {"pool": "gpu"}}
    assert train["tolerations"] == [
        {"key": "amd.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "team", "operator": "Equal", "value": "lungs", "effect": "NoExecute"},
    ]
    (mount,) = train["emptyDirMounts"]
    assert (mount["mountPath"], mount["medium"], mount["sizeLimit"]) == ("/dev/shm", "Memory", "8Gi")
    assert train["podMetadata"]["labels"]["team"] == "lungs"
    assert train["activeDeadlineSeconds"] == "7200"
    assert resources_of(pipeline, "train")["accelerator"]["resourceCount"] == "2"
    # Quantities as Kubernetes takes them, which kfp does not.
    train_resources = resources_of(pipeline, "train")
    assert (train_resources["resourceCpuLimit"], train_resources["resourceMemoryLimit"]) == ("1500m", str(5 * 2**29))
    assert [secret["secretName"] for secret in train.pop("secretAsEnv")] == ["aws", "tracking"]
    assert not any("retryPolicy" in task for task in pipeline["root"]["dag"]["tasks"].values())
    for settings in kubernetes.values():
        assert settings["securityContext"] == {"runAsNonRoot": True}
        assert settings["imagePullPolicy"] == "Always"
        assert settings["imagePullSecret"][0]["secretName"] == "registry"
        if settings is not train:
            (secret,) = settings["secretAsEnv"]
            assert (secret["secretName"], secret["keyToEnv"]) == ("aws", [{"secretKey": "access-key", "envVar": "AWS_ACCESS_KEY_ID"}])
        (config,) = settings["configMapAsEnv"]
        assert (config["configMapName"], config["keyToEnv"]) == ("proxies", [{"configMapKey": "https", "envVar": "HTTPS_PROXY"}])


def test_what_depends_on_the_outside_world_is_never_cached(tmp_path: Path) -> None:
    pipeline, _ = compiled(tmp_path)
    cached = {name for name, task in pipeline["root"]["dag"]["tasks"].items() if task["cachingOptions"].get("enableCache")}
    assert cached == {"preprocess", "train", "prune"}


def test_nothing_is_cached_when_so_asked(tmp_path: Path) -> None:
    result, path = lus_compile(tmp_path, "--no-cache")
    assert result.exit_code == 0, result.output
    assert "enableCache" not in path.read_text()


def test_preprocess_takes_no_artifact_which_would_be_another_one_in_every_run(tmp_path: Path) -> None:
    pipeline, _ = compiled(tmp_path)
    assert "artifacts" not in pipeline["components"]["comp-preprocess"]["inputDefinitions"]
    videos = pipeline["root"]["dag"]["tasks"]["preprocess"]["inputs"]["parameters"]["videos"]
    assert videos["taskOutputParameter"] == {"producerTask": "ingest", "outputParameterKey": "videos_uri"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ("trian: {cpu: '4'}", "unknown step 'trian'; use all, ingest"),
        ("train: {cpus: '4'}", "unknown resource 'cpus' of train; use cpu, memory"),
        ("train: {cpu: two}", "cpu of train must be a number of CPUs as Kubernetes takes it, such as 4, 0.5 or 500m, got 'two'"),
        ("train: {cpu: 0}", "cpu of train must be a number of CPUs"),
        ("train: {cpu: true}", "cpu of train must be a number of CPUs"),
        ("train: {memory: 16 GB}", "memory of train must be a number of bytes as Kubernetes takes it, such as 16G"),
        ("train: {memory: 16}", "memory of train must be a number of bytes"),
        ("train: {memory: .inf}", "memory of train must be a number of bytes"),
        ("train: {retries: 3}", "retries of train is for Vertex AI: Kubeflow brings back lost pods"),
        ("train: {gpus: -1}", "gpus of train must be a whole number, got -1"),
        ("train: {gpus: true}", "gpus of train must be a whole number"),
        ("train: {gpu_type: NVIDIA_L4}", "gpu_type of train is no GPU of kubeflow: got 'NVIDIA_L4', expected a name like 'nvidia.com/gpu'"),
        ("train: {tolerations: [{key: a, efect: NoSchedule}]}", "tolerations of train must be a list of maps"),
        ("train: {secrets: {aws: [key]}}", "secrets of train must be a map"),
        ("train: {secrets: {aws: {key: 'not a name'}}}", "secrets of train must be a map"),
        ("all: {image_pull_policy: Sometimes}", "image_pull_policy of all must be Always, IfNotPresent or Never"),
        ("train: 4", "train must map names to values, got 4"),
        ("[train]", "must map steps to resources"),
        ("train: {", "is not YAML"),
    ],
)
def test_a_wrong_change_is_refused(tmp_path: Path, changes: str, message: str) -> None:
    result, output = lus_compile(tmp_path, changes=changes)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not output.exists()


def test_absent_changes_are_refused(tmp_path: Path) -> None:
    result, output = lus_compile(tmp_path, "--resources", str(tmp_path / "absent.yaml"))
    assert result.exit_code == 2
    assert "absent.yaml' does not exist; give a YAML file that maps steps to resources" in result.stderr
    assert not output.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ("train: {gpu_type: nvidia.com/gpu}", "is no GPU of vertex: got 'nvidia.com/gpu', expected a name like 'NVIDIA_L4'"),
        ("preprocess: {cpu: '128'}", "preprocess asks for 128 CPUs and 8G; a machine of Vertex AI has at most 96 and 624G"),
        ("preprocess: {memory: 600Gi}", "preprocess asks for 4 CPUs and 600Gi"),
        ("all: {node_selector: {pool: gpu}}", "node_selector of ingest is for Kubeflow"),
        ("train: {timeout_s: 60}", "timeout_s of train is for Kubeflow"),
        ("train: {spot: false}", "spot of train is for Kubeflow"),
    ],
)
def test_what_vertex_cannot_do_is_refused(tmp_path: Path, changes: str, message: str) -> None:
    result, _ = lus_compile(tmp_path, "--platform", "vertex", changes=changes)
    assert result.exit_code == 2
    assert message in result.stderr


def test_quantities_mean_what_kubernetes_says() -> None:
    assert [num_cpus(text) for text in ("4", "0.5", "250m")] == [4, 0.5, 0.25]
    assert [num_gigabytes(text) for text in ("2G", "512Mi", "1Gi", "500000000")] == [2, 0.536870912, 1.073741824, 0.5]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("cpuLimit: 4.0", "cpuLimit: 9.0"), "was changed after it was compiled"),
        (lambda text: text.split("\n", 1)[1], "is not a pipeline that `lus compile` wrote"),
        (lambda text: text.replace("pipeline 0.1.0,", "pipeline 0.0.9,", 1), "was compiled by version 0.0.9"),
    ],
)
def test_a_file_from_elsewhere_is_known(tmp_path: Path, change: Any, message: str) -> None:
    _, output = lus_compile(tmp_path)
    text = output.read_text()
    assert read_compiled(output) == text
    assert change(text) != text
    output.write_text(change(text))
    with pytest.raises(Exception, match=message):
        read_compiled(output)


def test_registry_and_tag_name_other_images(tmp_path: Path) -> None:
    pipeline, _ = compiled(tmp_path, "--registry", "registry.example.org/lungs", "--tag", "2.1")
    images = {name: executor["container"]["image"] for name, executor in pipeline["deploymentSpec"]["executors"].items()}
    assert images["exec-ingest"] == "registry.example.org/lungs/ingest:2.1"
    assert images["exec-train"] == "registry.example.org/lungs/train:2.1-cuda"
