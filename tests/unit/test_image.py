import fnmatch
import re
import tomllib
from pathlib import Path
from typing import Any

from serve_app.ray_serve.config import load, read
from serve_app.ray_serve.launch import HAPROXY

ROOT = Path(__file__).parents[2]
DOCKERFILE = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
IGNORED = (ROOT / ".dockerignore").read_text().splitlines()
CONTAINER = ROOT / "configs" / "container.yaml"


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name} (.*)$", DOCKERFILE, flags=re.MULTILINE)


def test_every_stage_stands_on_the_pinned_base_or_on_another_stage() -> None:
    stages = [re.fullmatch(r"(\S+) AS (\S+)", line) for line in instructions("FROM")]
    assert all(stages)
    known = {"scratch", "${BASE}"}
    for stage in stages:
        assert stage and stage[1] in known
        known.add(stage[2])
    assert "BASE" in instructions("ARG"), "a default base would go stale without notice"


def test_the_default_target_is_for_cpu() -> None:
    assert instructions("FROM")[-1].endswith(" AS cpu")


def test_whatever_is_copied_exists_and_reaches_the_build() -> None:
    reached = [line.removeprefix("!") for line in IGNORED if line.startswith("!")]
    for line in instructions("COPY"):
        *sources, _ = line.split()
        if sources[0].startswith("--from="):
            continue
        for source in sources:
            assert (ROOT / source).exists()
            assert any(fnmatch.fnmatch(source, pattern) for pattern in reached), source


def test_every_installation_is_held_to_the_constraints() -> None:
    installations = re.findall(r"pip --python \S+ install ([^&\n]*)", DOCKERFILE)
    assert len(installations) == 3
    for options in installations:
        assert "--constraint constraints.txt" in options or "--no-deps" in options


def test_the_container_serves_what_development_serves_but_to_the_outside() -> None:
    def differing(config: dict[str, Any]) -> dict[str, Any]:
        config["http_options"]["host"] = config["applications"][0]["args"]["model"] = None
        return config

    container = load(CONTAINER)
    assert differing(read(CONTAINER)) == differing(read(ROOT / "configs" / "dev.yaml"))
    assert container.http_options.host == "0.0.0.0"
    assert container.applications[0].args.model == "env:SENTIMENT_MODEL"
    assert f":{container.http_options.port}/project/ready" in DOCKERFILE
    assert instructions("EXPOSE") == [str(container.http_options.port)]


def test_ray_starts_our_haproxy_in_every_container() -> None:
    program = Path(HAPROXY["RAY_SERVE_HAPROXY_BINARY_PATH"])
    assert (
        program.name in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    )
    assert f"RAY_SERVE_HAPROXY_BINARY_PATH=/opt/venv/bin/{program.name}\n" in DOCKERFILE
