"""The configurations of this repository, changed so that several run on one machine."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import yaml

from loadtest.ports import free_port
from serve_app.ray_serve.config import read
from serve_app.ray_serve.run import HAPROXY_PORTS

CONFIGS: Final = Path(__file__).parents[1] / "configs"
DEV: Final = CONFIGS / "dev.yaml"
PROD: Final = CONFIGS / "prod.yaml"
CONFIG: Final = "config.yaml"


def haproxy_ports() -> dict[str, str]:
    """Return free ports for HAProxy, by the variables that name them."""
    return {name: str(free_port()) for name in HAPROXY_PORTS}


def write_config(content: Mapping[str, Any], directory: Path, args: Mapping[str, Any]) -> Path:
    """Write a configuration with other arguments and free ports of this machine."""
    changed: Any = deepcopy(content)
    changed["http_options"] = {"host": "127.0.0.1", "port": free_port()}
    changed["metrics_port"] = free_port()
    changed["applications"][0]["args"] |= args
    path = directory / CONFIG
    path.write_text(yaml.safe_dump(changed, sort_keys=False))
    return path


def configured(
    directory: Path, args: dict[str, Any], *, with_lab: bool = False, **changes: Any
) -> Path:
    """Write the development configuration with other arguments and free ports."""
    content = read(DEV) | changes
    if not with_lab:
        content["applications"] = content["applications"][:1]
    return write_config(content, directory, args)


def haproxy_environment() -> dict[str, str]:
    """Return production's settings of HAProxy, but for what one machine and a hurry want."""
    settings = read(PROD)["environment"]
    return {name: value for name, value in settings.items() if "HAPROXY" in name} | {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "serve_app.ray_serve.proxy:middlewares",
        **haproxy_ports(),
    }
