"""Writes the manifests that derive from other files: `python -m kuberay.generate`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from serve_app.errors import InvalidConfig
from serve_app.ray_serve.config import ServeConfig, read
from serve_app.rollout.manifest import to_yaml

ROOT: Final = Path(__file__).parents[1]
CONFIG: Final = ROOT / "configs" / "prod.yaml"
RULES: Final = ROOT / "monitoring" / "rules.yaml"
OVERLAYS: Final = ("dev", "prod")

_HEAD: Final = "/spec/rayClusterConfig/headGroupSpec"
_WORKERS: Final = "/spec/rayClusterConfig/workerGroupSpecs/0"

Mapping = dict[str, Any]


def serve_config(config: Mapping, replicas: Mapping) -> Mapping:
    """Lay an overlay's numbers of replicas over the deployments of a Serve configuration.

    Args:
        config: A configuration file's content.
        replicas: For each deployment, the keys that differ.

    Raises:
        InvalidConfig: There is no such deployment.
        pydantic.ValidationError: The result is no valid configuration.
    """
    names = {each["name"] for app in config["applications"] for each in app["deployments"]}
    if unknown := set(replicas) - names:
        raise InvalidConfig(f"no deployment is called {', '.join(sorted(unknown))}")
    applications = [
        app | {"deployments": [_merged(d, replicas.get(d["name"], {})) for d in app["deployments"]]}
        for app in config["applications"]
    ]
    result = config | {"applications": applications}
    ServeConfig.model_validate(result)
    return result


def serve_patch(config: Mapping) -> list[Mapping]:
    """Return the JSON patch that makes a RayService serve a configuration.

    Args:
        config: What to serve. Ray does not know its block `environment`: these variables have to
            be in the environment of the processes, on head and workers alike.
    """
    served = {key: value for key, value in config.items() if key != "environment"}
    text = yaml.safe_dump(served, sort_keys=False)
    variables = [
        {
            "op": "add",
            "path": f"{group}/template/spec/containers/0/env/-",
            "value": {"name": name, "value": value},
        }
        for group in (_HEAD, _WORKERS)
        for name, value in config.get("environment", {}).items()
    ]
    return [{"op": "replace", "path": "/spec/serveConfigV2", "value": text}, *variables]


def prometheus_rule(rules: Mapping) -> Mapping:
    """Return the Prometheus operator's object for a Prometheus rules file.

    Args:
        rules: The file's content, with `groups` as its one key.
    """
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "sentiment"},
        "spec": {"groups": rules["groups"]},
    }


def generated() -> Iterator[tuple[Path, str]]:
    """Yield each generated file with its content."""
    config = read(CONFIG)
    for overlay in OVERLAYS:
        directory = ROOT / "kuberay" / "overlays" / overlay
        replicas = directory / "replicas.yaml"
        patch = serve_patch(serve_config(config, read(replicas)))
        yield directory / "serve.patch.yaml", _text(patch, CONFIG, replicas)
    rule = ROOT / "kuberay" / "components" / "monitoring" / "prometheusrule.yaml"
    yield rule, _text(prometheus_rule(read(RULES)), RULES)


def main() -> None:
    """Write the generated files."""
    for path, content in generated():
        path.write_text(content)


def _text(content: Any, *sources: Path) -> str:
    names = " and ".join(str(source.relative_to(ROOT)) for source in sources)
    body = to_yaml(content, sort_keys=False)
    return f"# Generated from {names} by `make manifests`.\n{body}"


def _merged(base: Mapping, over: Mapping) -> Mapping:
    merged = dict(base)
    for key, value in over.items():
        merged[key] = _merged(base.get(key, {}), value) if isinstance(value, dict) else value
    return merged


if __name__ == "__main__":
    main()
