"""Configuration files: every key known, every value possible, or a reason that names the place."""

from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from serve_app.config_schema import ServeConfig
from serve_app.errors import InvalidConfig

_START_FROM: Final = "start from a copy of configs/dev.yaml"


def load(path: Path) -> ServeConfig:
    """Read a configuration file.

    Raises:
        InvalidConfig: It is not there, no YAML, or breaks the schema; names each key's path.
    """
    try:
        return ServeConfig.model_validate(read(path))
    except ValidationError as error:
        places = "; ".join(_place(detail) for detail in error.errors())
        raise InvalidConfig(f"{path}: {places}", "correct the file and start again") from None


def read(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Raises:
        InvalidConfig: It is not there or of another form.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InvalidConfig(f"cannot read {path}: {error.strerror}", _START_FROM) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InvalidConfig(f"{path} is no YAML: {reason}", _START_FROM) from None
    if not isinstance(content, dict):
        raise InvalidConfig(f"{path} is no mapping of keys to values", _START_FROM)
    return content


def _place(detail: Any) -> str:
    path = ".".join(map(str, detail["loc"])) or "the file"
    return f"{path}: {detail['msg'].removeprefix('Value error, ')}"
