"""What comes in over HTTP: encodings, sizes, paths, probes, garbage; and what the log keeps of it."""

from __future__ import annotations

import gzip
import io
import json
import sys
from typing import Any

import pytest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ASK = {"model": "claude-sonnet-4-5", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}
PLAIN = json.dumps(ASK).encode()


@pytest.mark.parametrize(
    ("encoding", "packed"), [("gzip", gzip.compress(PLAIN)), ("zstd", zstd.compress(PLAIN)), ("identity", PLAIN)]
)
async def test_packed_bodies(wire: Any, encoding: str, packed: bytes) -> None:
    """Read in any encoding; the log keeps the bytes as they came."""
    headers = {"content-encoding": encoding, "content-type": "application/json"}
    async with wire.http.post(wire.provider.url + "/v1/messages", data=packed, headers=headers) as answer:
        assert answer.status == 200
    assert (wire.provider.requests[0].raw, wire.provider.requests[0].json) == (packed, ASK)


async def test_fifty_megabytes_and_long_headers(wire: Any) -> None:
    """Neither is refused for its size (the prompt is too long for the model, which says so)."""
    body = json.dumps(ASK | {"messages": [{"role": "user", "content": "x" * 50_000_000}]}).encode()
    async with wire.http.post(wire.provider.url + "/v1/messages", data=io.BytesIO(body)) as answer:
        assert "prompt is too long" in (await answer.json())["error"]["message"]
    async with wire.http.post(wire.provider.url + "/v1/messages", json=ASK, headers={"x-long": "y" * 60_000}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff\xfe{}", b"null"])
async def test_garbage_is_a_400_in_the_protocols_form(wire: Any, body: bytes) -> None:
    """A sentence, no traceback."""
    for path, field in (("/v1/messages", "type"), ("/v1/chat/completions", "error"), ("/v1/responses", "error")):
        async with wire.http.post(wire.provider.url + path, data=body) as answer:
            assert answer.status == 400 and field in await answer.json()
    async with wire.http.post(wire.provider.url + "/v1/messages", data=b"x", headers={"content-encoding": "gzip"}) as answer:
        assert answer.status == 400


async def test_any_prefix_before_the_path(wire: Any) -> None:
    """Base paths of gateways, runs and subscription back ends."""
    for prefix in ("", "/run/abc", "/proxy/anthropic", "/a/b/c"):
        assert (await wire.post(prefix + "/v1/messages?beta=true", ASK))["status"] == 200
    assert (await wire.post("/backend-api/codex/responses", {"model": "gpt-5.5", "input": "hi"}))["object"] == "response"


async def test_probes_lists_and_the_echo(wire: Any) -> None:
    """HEAD, models in three forms, 426 to an upgrade, embeddings, and an echo for the rest."""
    url = wire.provider.url
    async with wire.http.head(url + "/api/hello") as answer:
        assert answer.status == 200
    async with wire.http.get(url + "/v1/models") as answer:
        assert (await answer.json())["object"] == "list"
    async with wire.http.get(url + "/v1/models?limit=1000", headers={"anthropic-version": "2023-06-01"}) as answer:
        assert (await answer.json())["has_more"] is False
    upgrade = {"connection": "Upgrade", "upgrade": "websocket"}
    async with wire.http.get(url + "/v1/responses", headers=upgrade) as answer:
        assert answer.status == 426 and answer.headers["upgrade"]
    vectors = await wire.post("/v1/embeddings", {"model": "text-embedding-3", "input": ["a", "b"]})
    assert [len(row["embedding"]) for row in vectors["data"]] == [8, 8]
    echoed = await wire.post("/v9/unknown?x=1", {"a": 1})
    assert (echoed["method"], echoed["path"], echoed["query"], echoed["bytes"]) == ("POST", "/v9/unknown", {"x": "1"}, 8)
    assert wire.provider.requests == []


async def test_the_log_redacts_credentials(wire: Any) -> None:
    """Equal keys look equal, and neither is readable."""
    for key in ("secret-one", "secret-one", "secret-two"):
        await wire.post("/v1/messages", ASK, key, x_api_key=key)
    first, again, other = wire.provider.log
    assert "secret" not in str(first.headers) + str(other.headers)
    assert first.headers["x-api-key"] == again.headers["x-api-key"] != other.headers["x-api-key"]
    assert (first.method, first.path, first.status, first.model) == ("POST", "/v1/messages", 200, "claude-sonnet-4-5")
    assert first.usage["input_tokens"] == 1 and first.started <= first.ended


async def test_equal_seeds_give_equal_answers(wire: Any) -> None:
    """Ids and signatures follow from the seed and the request's number."""
    from pointsman.sandbox import Clock, Provider, say

    async with Provider(clock=Clock(), script=lambda request: say("ok"), seed=7) as twin:
        async with wire.http.post(twin.url + "/v1/messages", json=ASK) as answer:
            there = await answer.json()
    here = await wire.post("/v1/messages", ASK)
    assert here | {"status": 0} == there | {"status": 0}


async def test_half_a_surrogate_pair_is_no_accident(wire: Any) -> None:
    """JSON may escape what UTF-8 cannot hold; it is counted like any character."""
    body = json.dumps(ASK).replace("hi", "\\ud83d").encode()
    for path, model in (
        ("/v1/messages", "claude-opus-5-5"),
        ("/v1/chat/completions", "gpt-4o"),
        ("/v1/chat/completions", "deepseek-v4"),
    ):
        data = body.replace(b"claude-sonnet-4-5", model.encode())
        async with wire.http.post(wire.provider.url + path, data=data) as answer:
            assert answer.status == 200
