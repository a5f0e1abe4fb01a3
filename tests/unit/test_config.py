from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from serve_app.errors import InvalidConfig
from serve_app.ray_serve.config import load, read

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_configuration_is_valid_for_us_and_for_ray(path: Path) -> None:
    assert load(path).applications[0].name == "sentiment"
    assert ServeDeploySchema.model_validate(read(path)).applications[0].route_prefix == "/"


def test_development_stays_on_this_machine() -> None:
    config = load(CONFIGS / "dev.yaml")
    assert config.http_options.host == "127.0.0.1"
    assert config.applications[0].args.cache == "memory://"
    assert config.applications[0].args.model == "embedded"


def test_production_takes_its_secret_from_the_environment_and_runs_haproxy() -> None:
    config = load(CONFIGS / "prod.yaml")
    args = config.applications[0].args
    assert (args.production, args.engine) == (True, "onnx-int8")
    assert args.cache == "env:SENTIMENT_CACHE_URL"
    # Without HAProxy, the throughput settings would leave worker nodes without a proxy.
    assert config.environment["RAY_SERVE_THROUGHPUT_OPTIMIZED"] == "1"
    assert config.environment["RAY_SERVE_ENABLE_HA_PROXY"] == "1"


def test_production_on_gpus_differs_from_production_by_its_engine_and_sizes_alone() -> None:
    cpu, gpu = read(CONFIGS / "prod.yaml"), read(CONFIGS / "gpu.yaml")
    for config in (cpu, gpu):
        del config["applications"][0]["args"]["engine"]
        for deployment in config["applications"][0]["deployments"]:
            del deployment["user_config"]
            del deployment["ray_actor_options"]
        classifier = config["applications"][0]["deployments"][1]["autoscaling_config"]
        del classifier["min_replicas"], classifier["max_replicas"]
    assert gpu == cpu


@pytest.fixture
def changed(tmp_path: Path) -> Callable[..., Path]:
    """Write the development configuration with one key changed, named by its path."""

    def change(*keys: str | int, to: Any) -> Path:
        content: Any = read(CONFIGS / "dev.yaml")
        place = content
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = to
        path = tmp_path / "changed.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return change


GATEWAY = ("applications", 0, "deployments", 0)
CLASSIFIER = ("applications", 0, "deployments", 1)
POLICY = ("applications", 0, "autoscaling_policy")
LAB = ("applications", 1, "deployments", 0)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("proxy_locations",), "HeadOnly"),
        (("http_options", "prot"), 1),
        (("http_options", "port"), "http"),
        (("http_options", "request_timeout_s"), 1),
        (("environment",), {"SENTIMENT_CACHE_URL": "rediss://:hunter2@h"}),
        (("environment",), {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}),
        (("logging_config", "level"), "INFO"),
        (("applications", 0, "args", "modle"), "embedded"),
        (("applications", 0, "args", "engine"), "onnx-int4"),
        (("applications", 0, "import_path"), "os:system"),
        ((*GATEWAY, "user_config", "max_text"), 1),
        ((*GATEWAY, "user_config", "max_texts"), -1),
        ((*GATEWAY, "replicas"), 1),
        ((*GATEWAY, "max_queued_requests"), -1),
        ((*GATEWAY, "name"), "Classifier"),
        ((*GATEWAY, "ray_actor_options", "num_cpu"), 1),
        ((*CLASSIFIER, "autoscaling_config", "min_replica"), 1),
        ((*CLASSIFIER, "autoscaling_config", "policy"), {"policy_function": "os:system"}),
        ((*POLICY, "policy_function"), "os:system"),
        ((*POLICY, "policy_kwargs"), {"classifier": {"target_wait": 1}}),
        (("applications", 0, "args", "simulated"), {"batch_s": 1}),
        ((*CLASSIFIER, "user_config", "max_batch_tokens"), 0),
        (("applications", 1, "route_prefix"), "/project"),
        ((*LAB, "ray_actor_options", "num_cpus"), 1),
        ((*LAB, "num_replica"), 1),
        ((*CLASSIFIER, "user_config", "max_batch_requests"), "many"),
    ],
    ids=str,
)
def test_what_is_unknown_or_impossible_is_refused_with_its_path(
    changed: Callable[..., Path], keys: tuple[str | int, ...], value: Any
) -> None:
    with pytest.raises(InvalidConfig, match=r"\.".join(map(str, keys))):
        load(changed(*keys, to=value))


def test_batches_that_do_not_fit_a_replica_are_refused(changed: Callable[..., Path]) -> None:
    with pytest.raises(
        InvalidConfig, match="max_ongoing_requests must be at least max_batch_requests"
    ):
        load(changed(*CLASSIFIER, "max_ongoing_requests", to=63))


def test_a_gateway_whose_requests_would_wait_unseen_is_refused(
    changed: Callable[..., Path],
) -> None:
    with pytest.raises(InvalidConfig, match="max_ongoing_requests is 2048, not above"):
        load(changed(*GATEWAY, "max_ongoing_requests", to=2048))


@pytest.mark.parametrize(("key", "value"), [("target_ongoing_requests", 257), ("min_replicas", 0)])
def test_autoscaling_that_cannot_work_is_refused(
    changed: Callable[..., Path], key: str, value: int
) -> None:
    with pytest.raises(InvalidConfig, match=key):
        load(changed(*CLASSIFIER, "autoscaling_config", key, to=value))


def test_rays_own_policy_can_be_chosen(changed: Callable[..., Path]) -> None:
    application = load(changed(*POLICY, to=None)).applications[0]
    assert application.autoscaling_policy is None


def test_thresholds_that_would_oscillate_are_refused(changed: Callable[..., Path]) -> None:
    thresholds = {"target_utilization": 0.5, "release_utilization": 0.5}
    with pytest.raises(InvalidConfig, match="release_utilization must be below"):
        load(changed(*POLICY, "policy_kwargs", to={"classifier": thresholds}))


@pytest.mark.parametrize("deployment", [GATEWAY, CLASSIFIER], ids=str)
def test_a_report_that_is_stale_before_the_next_is_refused(
    changed: Callable[..., Path], deployment: tuple[str | int, ...]
) -> None:
    with pytest.raises(InvalidConfig, match="is 10, at most twice its metrics_interval_s of 5"):
        load(
            changed(
                *deployment,
                "autoscaling_config",
                to={"metrics_interval_s": 5, "look_back_period_s": 15},
            )
        )


def test_intervals_that_tell_no_rate_of_arrivals_are_refused(
    changed: Callable[..., Path],
) -> None:
    interval = (*GATEWAY, "autoscaling_config", "metrics_interval_s")
    with pytest.raises(InvalidConfig, match="too few samples to measure the rate of arrivals"):
        load(changed(*interval, to=2))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_a_full_gateway_cannot_overflow_the_classifiers_queue(path: Path) -> None:
    gateway, classifier = load(path).applications[0].deployments
    # A call carries one text or more, and a gateway probes with one call at a time.
    calls = gateway.user_config.max_pending_texts + 1
    assert classifier.max_queued_requests >= calls


def test_a_queue_that_a_full_gateway_overflows_is_refused_with_its_numbers(
    changed: Callable[..., Path],
) -> None:
    with pytest.raises(InvalidConfig, match=r"Classifier is 512.* full Gateway makes 2049 calls"):
        load(changed(*CLASSIFIER, "max_queued_requests", to=512))
    assert load(changed(*CLASSIFIER, "max_queued_requests", to=-1))


def test_production_does_not_stop_a_gateway_before_its_requests_end(tmp_path: Path) -> None:
    content = read(CONFIGS / "prod.yaml")
    content["applications"][0]["deployments"][0]["graceful_shutdown_timeout_s"] = 20
    path = tmp_path / "prod.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(InvalidConfig, match="Gateway is 20, below its deadline_s of 30"):
        load(path)


def test_a_request_larger_than_the_queue_is_refused(changed: Callable[..., Path]) -> None:
    with pytest.raises(InvalidConfig, match="max_pending_texts must be at least max_texts"):
        load(changed(*GATEWAY, "user_config", "max_texts", to=5000))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_the_lab_takes_no_cpu_of_the_replicas(path: Path) -> None:
    _, lab = load(path).applications
    assert lab
    assert lab.deployments[0].ray_actor_options.num_cpus == 0
    assert ServeDeploySchema.model_validate(read(path)).applications[1].route_prefix == "/lab"


def test_in_production_the_lab_stays_off_the_head() -> None:
    _, lab = load(CONFIGS / "prod.yaml").applications
    assert lab
    assert lab.deployments[0].ray_actor_options.label_selector == {
        "ray.io/node-group": "!headgroup"
    }


def test_the_lab_may_be_left_out(changed: Callable[..., Path]) -> None:
    service = read(CONFIGS / "dev.yaml")["applications"][0]
    assert load(changed("applications", to=[service])).applications[1] is None


def test_two_labs_are_refused(changed: Callable[..., Path]) -> None:
    service, lab = read(CONFIGS / "dev.yaml")["applications"]
    with pytest.raises(InvalidConfig, match="applications"):
        load(changed("applications", to=[service, lab, lab]))


def test_a_deployment_that_is_missing_is_refused(changed: Callable[..., Path]) -> None:
    with pytest.raises(InvalidConfig, match="deployments"):
        load(changed("applications", 0, "deployments", to=[]))


@pytest.mark.parametrize("content", [b"", b"- a", b"a: [", b"\xff\xfe\xff"])
def test_what_is_no_configuration_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(InvalidConfig) as caught:
        load(path)
    assert str(path) in caught.value.problem
    assert "\n" not in caught.value.problem


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"cannot read .*nowhere\.yaml"):
        load(tmp_path / "nowhere.yaml")
