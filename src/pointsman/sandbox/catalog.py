"""What is not a model call: lists of models, probes, embeddings, plain completions, and an echo for everything else."""

from __future__ import annotations

import hashlib
from typing import Any

from aiohttp import web

from pointsman.sandbox import models
from pointsman.sandbox.log import Record
from pointsman.sandbox.reading import as_json
from pointsman.sandbox.reply import token

CREATED = 1_780_000_000
"""Epoch seconds given as the birth of every listed model."""


def serve(http: web.Request, record: Record) -> web.StreamResponse:
    """Answer a request that is no model call."""
    record.json = as_json(record.raw, record.headers)
    path = http.path.rstrip("/")
    if "upgrade" in http.headers.get("connection", "").lower():
        return web.json_response(
            {"error": "this provider speaks plain HTTP"}, status=426, headers={"upgrade": "HTTP/1.1", "connection": "Upgrade"}
        )
    if http.method == "HEAD" or path.endswith("/api/hello"):
        return web.Response(status=200)
    if http.method == "GET" and path.endswith("/models"):
        return web.json_response(listing(http))
    if http.method == "GET" and "/models/" in path:
        return one(http, path.split("/models/", 1)[1])
    if http.method == "POST" and path.endswith("/embeddings"):
        return web.json_response(embeddings(record.json))
    if http.method == "POST" and path.endswith("/completions"):
        return web.json_response(completion(record.json))
    return web.json_response(echo(http, record))


def listing(http: web.Request) -> dict[str, Any]:
    """The list of models in the form of whoever is asked: Anthropic by its version header, Google by its path, else OpenAI."""
    if "anthropic-version" in http.headers:
        rows = [_anthropic(name) for name in models.listed() if name.startswith("claude")]
        return {"data": rows, "has_more": False, "first_id": rows[0]["id"], "last_id": rows[-1]["id"]}
    if "/v1beta/" in http.path:
        return {"models": [{"name": f"models/{name}", "displayName": name} for name in ("gemini-2.5-pro", "gemini-4-argon")]}
    if "client_version" in http.query:
        return {"models": []}
    return {"object": "list", "data": [_openai(name) for name in models.listed()]}


def one(http: web.Request, name: str) -> web.Response:
    """One model, or a 404."""
    if models.find(name) is None:
        return web.json_response(
            {"error": {"message": f"The model '{name}' does not exist", "type": "invalid_request_error"}}, status=404
        )
    return web.json_response(_anthropic(name) if "anthropic-version" in http.headers else _openai(name))


def _anthropic(name: str) -> dict[str, Any]:
    row = models.find(name)
    assert row is not None, name
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": "2026-06-01T00:00:00Z",
        "max_input_tokens": row.window,
        "max_tokens": row.max_output,
    }


def _openai(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "sandbox"}


def embeddings(body: Any) -> dict[str, Any]:
    """Eight numbers per input that follow from its text."""
    given = body.get("input", "") if isinstance(body, dict) else ""
    rows = given if isinstance(given, list) else [given]
    data = [
        {"object": "embedding", "index": n, "embedding": [byte / 255 for byte in hashlib.sha256(str(row).encode()).digest()[:8]]}
        for n, row in enumerate(rows)
    ]
    tokens = sum(-(-len(str(row)) // 4) for row in rows)
    model = body.get("model", "") if isinstance(body, dict) else ""
    return {"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}


def completion(body: Any) -> dict[str, Any]:
    """A fill-in-the-middle completion."""
    given = body if isinstance(body, dict) else {}
    tokens = -(-len(str(given.get("prompt", ""))) // 4)
    return {
        "id": "cmpl-" + token(str(given), 24),
        "object": "text_completion",
        "created": CREATED,
        "model": given.get("model", ""),
        "choices": [{"text": "pass", "index": 0, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": tokens, "completion_tokens": 1, "total_tokens": tokens + 1},
    }


def echo(http: web.Request, record: Record) -> dict[str, Any]:
    """What came in: for paths that a gateway must pass through untouched."""
    return {
        "method": http.method,
        "path": http.path,
        "query": dict(http.query),
        "headers": record.headers,
        "bytes": len(record.raw),
        "sha256": hashlib.sha256(record.raw).hexdigest(),
    }
