"""What the application is: its model, its engine, its cache.

Secrets come from the environment alone.
"""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from serve_app.errors import InvalidConfig
from serve_app.settings import DEFAULT_COST, EngineChoice, Settings, SimulatedCost
from serve_app.telemetry.logs import LogForm

PINNED: Final = re.compile(r"[^@]+@[0-9a-f]{40}")


class AppArgs(Settings):
    """Identity of the application; changing it restarts the replicas.

    Attributes:
        model: `embedded`, a directory in Hugging Face form, `hub-id@revision`, or `env:NAME`
            to read one of these from the environment.
        engine: `auto` takes the int8 engine where it passes its fidelity check, else fp32.
            `simulated` computes nothing: for tests of scaling.
        cache: `memory://`, `redis://…`, `rediss://…`, or `env:NAME` to read the URL from the
            environment, which is the only way to give one with a password.
        production: Refuses what only development may do: a hub model without a revision, and
            the simulated engine.
        simulated: What the simulated engine's passes cost.
    """

    model: Annotated[str, Field(min_length=1)] = "embedded"
    engine: EngineChoice = "auto"
    cache: str = "memory://"
    production: bool = False
    simulated: SimulatedCost = DEFAULT_COST

    @field_validator("model", "cache")
    @classmethod
    def _variable_has_a_name(cls, value: str) -> str:
        if value.startswith("env:") and not value.removeprefix("env:").isidentifier():
            raise ValueError("env: must be followed by the name of an environment variable")
        return value

    @field_validator("cache")
    @classmethod
    def _cache_is_known_and_has_no_password(cls, value: str) -> str:
        if value.startswith("env:"):
            return value
        check_cache_url(value)
        if urlsplit(value).password or urlsplit(value).query:
            raise ValueError(
                "a password or option does not belong in a configuration file: "
                "put the URL into an environment variable and write env:NAME"
            )
        return value

    @property
    def log_form(self) -> LogForm:
        """Form of the service's logs: for programs in production, else for a person."""
        return "json" if self.production else "text"

    @model_validator(mode="after")
    def _production_computes(self) -> Self:
        if self.production and self.engine == "simulated":
            raise ValueError("production needs an engine that computes, not the simulated one")
        return self

    def model_source(self) -> str:
        """Return where the model comes from, read from the environment where so configured.

        Raises:
            InvalidConfig: The variable is not set, or production is to serve a hub model whose
                revision is not pinned.
        """
        source = _from_environment(self.model, "embedded")
        is_local = source == "embedded" or is_directory(source)
        if self.production and not is_local and not PINNED.fullmatch(source):
            raise InvalidConfig(
                f"production needs a pinned revision of {source}: "
                "what a hub name, a branch or a tag stands for can change",
                f"write {source.partition('@')[0]}@<commit of 40 hexadecimal digits>",
            )
        return source

    def cache_url(self) -> str:
        """Return the cache URL, read from the environment where so configured.

        Raises:
            InvalidConfig: The variable is not set or holds no cache URL.
        """
        url = _from_environment(self.cache, "rediss://user:password@host:10000/0")
        try:
            check_cache_url(url)
        except ValueError as error:
            raise InvalidConfig(
                f"{self.cache}: {error}", "correct the variable and start again"
            ) from None
        return url


def _from_environment(value: str, example: str) -> str:
    if not value.startswith("env:"):
        return value
    name = value.removeprefix("env:")
    found = os.environ.get(name)
    if not found:
        raise InvalidConfig(
            f"the configuration reads ${name}, which is not set", f"export {name}={example}"
        )
    return found


def is_directory(source: str) -> bool:
    """Tell whether a model's source names a directory; other names are those of a hub."""
    return source.startswith((".", "/", "~")) or Path(source).is_dir()


def check_cache_url(url: str) -> None:
    """Accept `memory://`, `redis://host…` and `rediss://host…`.

    Raises:
        ValueError: The URL is of another form. The message does not repeat it, since it may
            hold a password.
    """
    if url == "memory://":
        return
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in {"redis", "rediss"} and parts.hostname and parts.port != 0:
            return
    raise ValueError("a cache URL is memory://, redis://host:port/db or rediss://host:port/db")
