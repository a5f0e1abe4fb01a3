"""Runs the service in this process."""

import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Final

import ray
from ray import serve
from ray.serve._private import constants
from ray.serve._private.api import serve_start
from ray.serve._private.client import ServeControllerClient
from ray.serve.schema import ApplicationStatus, ServeDeploySchema

from serve_app.app_args import AppArgs
from serve_app.console import say
from serve_app.engine.tokenizer import Tokenizer
from serve_app.errors import PortTaken, StartupError
from serve_app.export.prepare import resolve_engine
from serve_app.model.store import resolve
from serve_app.ray_serve.config import LabApplication, ServeConfig, StrictHttpOptions, load, read

POLL_S: Final = 0.25
# Ray's names of the ports that it does not choose itself.
HAPROXY_PORTS: Final = (
    "RAY_SERVE_HAPROXY_METRICS_PORT",
    "RAY_SERVE_HAPROXY_STATS_PORT",
    "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT",
)
LOG_HINT: Final = "the whole story is in /tmp/ray/session_latest/logs/serve"


def run(path: Path) -> None:
    """Serve a configuration file until interrupted, or until the launcher is gone.

    Args:
        path: The configuration file.

    Raises:
        StartupError: The service cannot start; says why.
        KeyboardInterrupt: SIGINT.
    """
    started = time.monotonic()
    launcher = os.getppid()
    config = load(path)
    for host, port, key in ports(config):
        check_port(host, port, key)
    check_model(config.applications[0].args)
    say("starting Ray Serve")
    try:
        client = deploy(path, config)
        url = base_url(config.http_options)
        say(f"ready after {time.monotonic() - started:.0f} s; documentation: {url}/project/docs")
        if config.metrics_port:
            say(f"metrics for Prometheus: http://127.0.0.1:{config.metrics_port}/metrics")
        say("try it:")
        say(f"""  curl {url}/project/predict -d '{{"text": ["I love this!", "What a waste."]}}'""")
        say("Ctrl-C ends it")
        awaited = config.applications[1]
        if awaited:
            deploy_all(client, path)
        while os.getppid() == launcher:
            if awaited and (line := outcome(awaited, url)):
                say(line)
                awaited = None
            time.sleep(POLL_S)
    finally:
        say("stopping")
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # Ray reports actors that are ended on purpose as if they had failed.
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            # Serve would start a Ray of its own to shut down what is not there.
            if ray.is_initialized():
                serve.shutdown()
                ray.shutdown()


def ports(config: ServeConfig) -> Iterator[tuple[str, int, str]]:
    """Yield the addresses and ports that are fixed, and where each can be changed.

    Ray takes free ports for everything else.
    """
    yield config.http_options.host, config.http_options.port, "http_options.port"
    if config.metrics_port:
        yield "127.0.0.1", config.metrics_port, "metrics_port"
    if constants.RAY_SERVE_ENABLE_HA_PROXY:
        for name in HAPROXY_PORTS:
            yield "0.0.0.0", getattr(constants, name), f"environment.{name}"


def check_port(host: str, port: int, key: str) -> None:
    """Make sure that nobody listens where the service is to listen.

    Args:
        host: The address.
        port: The port.
        key: Where the configuration names the port.

    Raises:
        PortTaken: Somebody does.
    """
    with socket.socket() as probe:
        # Connections of an earlier run that linger must not count as somebody listening.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(
                f"cannot listen on {host}:{port}: {error.strerror}",
                f"end the process that listens there, or change {key}",
            ) from None


def check_model(args: AppArgs) -> None:
    """Prepare the model where that has not been done, in sight of the user.

    Raises:
        StartupError: The model or the cache URL is unusable.
    """
    args.cache_url()
    model = resolve(args.model_source())
    engine = resolve_engine(model, args.engine, say)
    Tokenizer(model, model.path / "tokenizer.json" if engine == "simulated" else None)
    scheme = args.cache.partition("://")[0]
    say(f"model {model.model_id} {model.revision}, engine {engine}, cache {scheme}")


def deploy(path: Path, config: ServeConfig) -> ServeControllerClient:
    """Start Ray and the service, and wait until it runs.

    Raises:
        StartupError: The service failed to start; its message says why.
    """
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    try:
        ray.init(
            include_dashboard=False,
            namespace="serve",
            logging_level=logging.WARNING,
            _metrics_export_port=config.metrics_port,
        )
    except OSError as error:
        raise StartupError(
            f"Ray does not start: {' '.join(str(error).split())}",
            "it needs a directory that can be written, in $TMPDIR or /tmp",
        ) from error
    # What `serve run` does, but with the log level applied to Serve's own processes too.
    client = serve_start(
        http_options=config.http_options.model_dump(),
        proxy_location=config.proxy_location,
        global_logging_config=config.logging_config.model_dump(),
    )
    check_cpus(config, ray.cluster_resources().get("CPU", 0))
    schema = ServeDeploySchema.model_validate(read(path))
    service = schema.model_copy(update={"applications": schema.applications[:1]})
    client.deploy_apps(service, _blocking=False)
    while not running(config.applications[0].name):
        time.sleep(POLL_S)
    return client


def deploy_all(client: ServeControllerClient, path: Path) -> None:
    """Start what is configured beside the service, without waiting for it.

    The lab comes after the service, whose start would have to share the machine's cores with it.
    """
    client.deploy_apps(ServeDeploySchema.model_validate(read(path)), _blocking=False)


def outcome(lab: LabApplication, url: str) -> str:
    """Return a line about the lab once it runs or has failed, until then an empty one.

    Args:
        lab: The application, which was deployed.
        url: Where the service is.
    """
    try:
        ready = running(lab.name)
    except StartupError as error:
        return f"the lab does not start, the service goes on without it: {error.problem}"
    return f"the lab, to try it in a browser: {url}{lab.route_prefix}" if ready else ""


def check_cpus(config: ServeConfig, cpus: float) -> None:
    """Make sure that the least number of replicas fits this machine.

    Raises:
        StartupError: It does not, so that Ray would wait for more nodes for ever.
    """
    needed = sum(
        deployment.autoscaling_config.min_replicas * (deployment.ray_actor_options.num_cpus or 0)
        for deployment in config.applications[0].deployments
    )
    if needed > cpus:
        raise StartupError(
            f"the replicas need {needed:g} CPUs, this machine has {cpus:g}",
            "lower min_replicas or num_cpus",
        )


def running(name: str) -> bool:
    """Tell whether an application runs.

    Args:
        name: The application, which was deployed.

    Raises:
        StartupError: It has failed. Serve would retry a replica for minutes; whoever has just
            started the service wants to know at once.
    """
    application = serve.status().applications[name]
    replicas = [deployment.message for deployment in application.deployments.values()]
    lost = [message for message in replicas if "failed to start" in message]
    if lost or application.status == ApplicationStatus.DEPLOY_FAILED:
        raise StartupError(_reason(lost or [application.message]), LOG_HINT)
    return application.status == ApplicationStatus.RUNNING


def base_url(http: StrictHttpOptions) -> str:
    """Return where a person on this machine reaches the service."""
    host = "127.0.0.1" if http.host == "0.0.0.0" else http.host
    return f"http://{host}:{http.port}"


def _reason(messages: list[str]) -> str:
    lines = [line.strip() for message in messages for line in message.splitlines()]
    return next((line for line in reversed(lines) if line), "an application failed to start")
