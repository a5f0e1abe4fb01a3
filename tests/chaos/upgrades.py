"""What a person changes in a service that runs, under load."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx

import serve_app
from loadtest.answers import Margins, margins_of, revisions, short_texts
from loadtest.configs import DEV
from loadtest.generator import Stream
from loadtest.ray_service import CLASSIFIER, GATEWAY, RayService, seconds_until
from loadtest.scale.verdicts import Verdict
from loadtest.traffic import Traffic, by_revision
from tests.chaos.outcome import Row, in_time, row
from tests.chaos.stage import stage_of

RATE: Final = 10.0
LOAD_S: Final = 45.0
BEFORE_S: Final = 5.0
CHANGE_S: Final = 60.0
TEXTS: Final = 300
MAX_TEXTS: Final = 99
NEW_VERSION: Final = "9.9.9"


def upgrades() -> list[Row]:
    """Change tunables, the model and the code of a service on one machine."""
    with tempfile.TemporaryDirectory() as directory:
        first, second = revisions(Path(directory), short_texts(TEXTS))
        known = margins_of(first, second)
        stage = stage_of(
            DEV,
            {"model": first.source, "cache": "memory://"},
            gateway={"cache_memory_entries": 50},
        )
        before = _replicas(stage)
        tuned = _change(
            stage,
            known,
            "a tunable is changed",
            lambda: stage.deployment(GATEWAY)["user_config"].update(max_texts=MAX_TEXTS),
            lambda: _info(stage)["limits"]["max_texts"] == MAX_TEXTS,
            revisions_seen={first.name},
        )
        same = Verdict("no replica restarts", "the same processes", _replicas(stage) == before)
        return [
            tuned._replace(verdicts=[*tuned.verdicts, same]),
            _change(
                stage,
                known,
                "the model is changed",
                lambda: stage.application["args"].update(model=second.source),
                lambda: _info(stage)["revision"] == second.name and _renewed(stage, before),
                revisions_seen={first.name, second.name},
            ),
            _change(
                stage,
                known,
                "the code is changed",
                lambda: stage.application.update(runtime_env=_new_code(Path(directory))),
                lambda: _version(stage) == NEW_VERSION,
                revisions_seen={second.name},
            ),
        ]


def _change(
    stage: RayService,
    known: Margins,
    fault: str,
    change: Callable[[], object],
    done: Callable[[], bool],
    *,
    revisions_seen: set[str],
) -> Row:
    """Change a service under load."""
    new_already = done()
    with Traffic(stage.url, known, Stream("steady", RATE, LOAD_S, texts=3)) as traffic:
        time.sleep(BEFORE_S)
        change()
        stage.submit()
        took = seconds_until(done, CHANGE_S)
    # Scores of another revision than it names make an answer wrong.
    seen = by_revision(traffic.records)
    return row(
        fault,
        traffic.records,
        in_time("it was not in effect before, and is", took, besides=not new_already),
        Verdict(
            f"answers by {' and '.join(sorted(revisions_seen))} were seen, and by no other",
            ", ".join(f"{count} of {name}" for name, count in sorted(seen.items())),
            set(seen) == revisions_seen and seen.total() == len(traffic.records),
        ),
        lossless=True,
    )


def _new_code(directory: Path) -> dict[str, dict[str, str]]:
    """Return what makes replicas import another version of the package."""
    package = Path(serve_app.__file__).parent
    copy = Path(shutil.copytree(package, directory / "new" / package.name))
    init = copy / "__init__.py"
    init.write_text(f"{init.read_text()}\n__version__ = {NEW_VERSION!r}\n")
    shutil.copytree(package.parent / "models", directory / "new" / "models")
    return {"env_vars": {"PYTHONPATH": f"{copy.parent}:{os.environ['PYTHONPATH']}"}}


def _replicas(stage: RayService) -> set[int]:
    return {*stage.pids(GATEWAY), *stage.pids(CLASSIFIER)}


def _renewed(stage: RayService, before: set[int]) -> bool:
    return not _replicas(stage) & before


def _info(stage: RayService) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{stage.base_url}/project/info").json()
    return found


def _version(stage: RayService) -> str:
    document = httpx.get(f"{stage.base_url}/project/openapi.json").json()
    return str(document["info"]["version"])
