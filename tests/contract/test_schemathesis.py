"""Requests that Schemathesis derives from the OpenAPI document, with all of its checks."""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings

from serve_app.settings import GatewaySettings
from tests.contract.hash_service import MODEL, READY, HashService
from tests.contract.server import behind_cached_responses

SERVICE = HashService(GatewaySettings(), None, False, READY, MODEL)
APP: Any = behind_cached_responses(SERVICE)
SCHEMA = schemathesis.openapi.from_asgi("/project/openapi.json", APP)


@SCHEMA.parametrize()
@settings(max_examples=60, derandomize=True, suppress_health_check=list(HealthCheck))
def test_whatever_the_document_allows_or_forbids_is_answered_as_it_says(
    case: "schemathesis.Case[Any]",
) -> None:
    for SERVICE.remembers in (True, False):
        case.call_and_validate()
