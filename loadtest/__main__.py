"""Runs a k6 scenario against a service and reports on it: `python -m loadtest SCENARIO`."""

import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

from loadtest import k6_process
from loadtest.observer import Observer
from loadtest.redis_server import RedisServer
from loadtest.report.report import report
from loadtest.results import SUMMARY, USAGE
from loadtest.service import Running, running, started
from serve_app.console import fail, say
from serve_app.errors import StartupError
from serve_app.ray_serve.config import read

SIGNALLED = 128

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def load(
    scenario: Annotated[str, typer.Argument(help=f"One of {', '.join(k6_process.NAMES)}.")],
    url: Annotated[
        str, typer.Option(envvar="URL", help="A service that runs; without it, one is started.")
    ] = "",
    config: Annotated[Path, typer.Option(help="What to serve.")] = Path("configs/dev.yaml"),
    redis: Annotated[
        bool,
        typer.Option("--redis", envvar="REDIS", help="Start a redis-server too, and cache in it."),
    ] = False,
    results: Annotated[Path, typer.Option(help="Where the directory of the run goes.")] = Path(
        "results"
    ),
) -> None:
    """Run a k6 scenario, observe the service meanwhile, and report on both.

    Ctrl-C ends the load early, and the report is on what there was. The status is that of k6: 99
    where a threshold is broken. Settings of a scenario are environment variables: docs/loadtest.md
    has them with their defaults.
    """
    k6_process.check(scenario)
    signal.signal(signal.SIGTERM, _leave)
    target = running(url.rstrip("/")) if url else None
    content = {} if target else read(config)
    directory = results / f"{scenario}-{time.strftime('%Y%m%d-%H%M%S')}"
    directory.mkdir(parents=True)
    with ExitStack() as stack:
        cache = stack.enter_context(RedisServer()) if redis and not target else None
        service = target or stack.enter_context(_started(content, cache, directory))
        status = apply_load(scenario, service, directory)
    if (directory / SUMMARY).exists():
        say(f"report: {report([directory], directory)}")
    sys.exit(status)


def apply_load(scenario: str, service: Running, directory: Path) -> int:
    """Run a scenario to its end while the service is observed.

    Returns:
        Exit status of k6.
    """
    with Observer(service.url, directory / USAGE, service.roots) as observer:
        k6 = k6_process.start(scenario, service.url, directory, serves=bool(service.roots))
        observer.watch_load_generator(k6.pid)
        # Ctrl-C reaches k6 too, which then ends its requests and writes its summary.
        signal.signal(signal.SIGINT, lambda *_: None)
        try:
            return k6.wait()
        finally:
            k6.terminate()
            k6.wait()
            signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def _started(
    content: Mapping[str, Any], cache: RedisServer | None, directory: Path
) -> Iterator[Running]:
    with ExitStack() as stack:
        try:
            service = stack.enter_context(started(content, cache, directory))
        except StartupError as error:
            port = content["http_options"]["port"]
            raise StartupError(
                error.problem,
                f"{error.hint}, or load a service that runs: URL=http://127.0.0.1:{port}",
            ) from None
        yield service


def _leave(signum: int, _: FrameType | None) -> NoReturn:
    sys.exit(SIGNALLED + signum)


if __name__ == "__main__":
    try:
        app(prog_name="python -m loadtest")
    except StartupError as error:
        fail(error)
