"""What the provider refuses in Gemini's protocol, and what real clients send that it has to take."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from pointsman.sandbox import Clock, Provider

CALL = {"functionCall": {"name": "read", "args": {}}}
SIGNED = {**CALL, "thoughtSignature": "skip_thought_signature_validator"}
ANSWER = {"functionResponse": {"name": "read", "response": {"output": "x"}}}


def said(role: str, *parts: dict[str, Any]) -> dict[str, Any]:
    """One content of the history."""
    return {"role": role, "parts": list(parts)}


ASKS = said("user", {"text": "go"})

FEWER = "number of function response parts"
BOTH = {"thinkingLevel": "low", "thinkingBudget": 9}

CASES: dict[str, tuple[str, list[dict[str, Any]], dict[str, Any], str]] = {
    "plain": ("gemini-2.5-pro", [ASKS], {}, ""),
    "a call and its response": ("gemini-2.5-pro", [ASKS, said("model", CALL), said("user", ANSWER)], {}, ""),
    "each response twice": ("gemini-2.5-pro", [ASKS, said("model", CALL), said("user", ANSWER, ANSWER)], {}, ""),
    "two calls, one response": ("gemini-2.5-pro", [ASKS, said("model", CALL, CALL), said("user", ANSWER)], {}, FEWER),
    "a response to nothing": ("gemini-2.5-pro", [ASKS, said("model", {"text": "hi"}), said("user", ANSWER)], {}, FEWER),
    "an unsigned call": ("gemini-4-argon", [ASKS, said("model", CALL), said("user", ANSWER)], {}, "thought_signature"),
    "a signed call": ("gemini-4-argon", [ASKS, said("model", SIGNED), said("user", ANSWER)], {}, ""),
    "level and budget": ("gemini-4-argon", [ASKS], {"thinkingConfig": BOTH}, "only one of"),
    "no such level": ("gemini-4-argon", [ASKS], {"thinkingConfig": {"thinkingLevel": "ultra"}}, "Thinking level"),
    "a level": ("gemini-4-argon", [ASKS], {"thinkingConfig": {"thinkingLevel": "low"}}, ""),
    "too long an answer": ("gemini-2.5-pro", [ASKS], {"maxOutputTokens": 65_537}, "maxOutputTokens"),
}


@pytest.mark.parametrize("name", CASES)
async def test_each_rule_is_a_400_in_googles_words(name: str) -> None:
    model, contents, config, wanted = CASES[name]
    async with Provider(clock=Clock()) as provider, aiohttp.ClientSession() as client:
        body = {"contents": contents, "generationConfig": config}
        async with client.post(f"{provider.url}/v1beta/models/{model}:generateContent", json=body) as answer:
            told = await answer.json()
    assert answer.status == (400 if wanted else 200), told
    assert wanted in str(told.get("error", {}).get("message", ""))
