"""Refusals in the form each protocol gives them."""

from __future__ import annotations

from typing import Any

KINDS = {
    400: ("invalid_request_error", "INVALID_ARGUMENT"),
    401: ("authentication_error", "UNAUTHENTICATED"),
    403: ("permission_error", "PERMISSION_DENIED"),
    404: ("not_found_error", "NOT_FOUND"),
    413: ("request_too_large", "INVALID_ARGUMENT"),
    429: ("rate_limit_error", "RESOURCE_EXHAUSTED"),
    500: ("api_error", "INTERNAL"),
    503: ("api_error", "UNAVAILABLE"),
    529: ("overloaded_error", "UNAVAILABLE"),
}
"""Status to Anthropic's error type and Google's status name."""

WORDS = {429: "Rate limit reached", 500: "Internal server error", 503: "Service unavailable", 529: "Overloaded"}


class Refused(Exception):
    """The provider refuses the request: a status, a sentence and, for OpenAI, the parameter and a code."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        self.status, self.message, self.param, self.code = status, message, param, code
        super().__init__(message)


def error_body(protocol: str, refused: Refused, request_id: str) -> dict[str, Any]:
    """The JSON body of a refusal."""
    kind, google = KINDS.get(refused.status, ("api_error", "UNKNOWN"))
    match protocol:
        case "messages":
            return {"type": "error", "error": {"type": kind, "message": refused.message}, "request_id": request_id}
        case "gemini":
            return {"error": {"code": refused.status, "message": refused.message, "status": google}}
    openai = {429: "rate_limit_exceeded", 500: "server_error", 503: "server_error", 529: "server_error"}.get(
        refused.status, "invalid_request_error"
    )
    return {"error": {"message": refused.message, "type": openai, "param": refused.param, "code": refused.code}}
