"""The predictor against the embedded provider, which shares no code with it: predicted and billed cache reads side by side."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import aiohttp
import pytest

from pointsman import wire
from pointsman.core import cache, sizes
from pointsman.core.book import Book
from pointsman.core.types import Protocol, Request, Usage
from pointsman.core.warmth import Warm, Warmth
from pointsman.sandbox import Clock, Provider, say
from pointsman.shell.prices import load_book

KEY = {"authorization": "Bearer k"}
MARK = {"cache_control": {"type": "ephemeral"}}
PATHS: dict[Protocol, str] = {"messages": "/v1/messages", "chat": "/v1/chat/completions"}


@dataclass
class Talk:
    """One agent's requests: what was predicted for each, and what the provider billed."""

    provider: Provider
    clock: Clock
    http: aiohttp.ClientSession
    book: Book
    protocol: Protocol
    held: dict[str, Warmth] = field(default_factory=dict)
    last: tuple[Request, Usage, str] | None = None
    ratios: dict[str, sizes.Ratios] = field(default_factory=dict)

    async def ask(self, model: str, body: dict[str, Any]) -> tuple[Warm, int, Usage]:
        """Send ``body`` to ``model``: what was predicted (prefix, prompt tokens), and what was billed."""
        raw = json.dumps({"model": model, **body}).encode()
        path, now = PATHS[self.protocol], self.clock()
        request = wire.read(self.protocol, path, {}, raw, run=None, memo=None, titles=False)
        prompt = self._prompt(model, request)
        warm = cache.predict(self.held.get(model), request, prompt, self.book.rule(model), now)
        async with self.http.post(self.provider.url + path, data=io.BytesIO(raw), headers=KEY) as answer:
            payload = await answer.json()
        assert answer.status == 200, payload
        usage = wire.usage(self.protocol, payload["usage"])
        ttl_s = request.ttl_s or self.book.rule(model).ttl_s
        self.held[model] = cache.touch(self.held.get(model), request, usage, now, ttl_s)
        known = self.ratios.get(model) or sizes.prior(self.book.chars_per_token(model))
        self.ratios[model] = sizes.learn(known, sizes.chars_of(request.messages, request.head_chars), usage.prompt)
        self.last = (request, usage, model)
        return warm, prompt, usage

    def _prompt(self, model: str, request: Request) -> int:
        if self.last is None:
            believed = sizes.prior(self.book.chars_per_token(model))
            return sizes.prompt_tokens(request, 0, None, None, model, self.ratios, believed=believed)
        before, usage, last_model = self.last
        kept = cache.common(before.messages, request.messages)
        factor = self.book.token_factor(last_model, model)
        return sizes.prompt_tokens(request, kept, usage, last_model, model, self.ratios, factor, before=len(before.messages))


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book(today=date(2026, 11, 22))


@pytest.fixture
async def talk(book: Book) -> AsyncIterator[Talk]:
    clock = Clock()
    answering = Provider(clock=clock, script=lambda request: say("ok " * 100), seed=7)
    async with answering as provider, aiohttp.ClientSession() as http:
        yield Talk(provider, clock, http, book, "messages")


def text(i: int, size: int) -> str:
    return f"{i} " + "lorem ipsum " * (size // 12)


def turns(n: int, size: int = 4_000) -> Iterator[dict[str, Any]]:
    """``n`` prompts with the answers between them."""
    for i in range(n):
        yield {"role": "user", "content": [{"type": "text", "text": text(i, size)}]}
        if i < n - 1:
            yield {"role": "assistant", "content": [{"type": "text", "text": "ok " * 100}]}


def marked(messages: list[dict[str, Any]], system: str = "be brief ") -> dict[str, Any]:
    """A Messages body as Claude Code marks it: the system text and the last block."""
    last = {**messages[-1], "content": [*messages[-1]["content"][:-1], {**messages[-1]["content"][-1], **MARK}]}
    head = [{"type": "text", "text": system * 1_000, **MARK}]
    return {"max_tokens": 500, "system": head, "messages": [*messages[:-1], last]}


def close(warm: Warm, billed: int, per_cent: float = 3.0) -> bool:
    return abs(warm.likely - billed) <= per_cent / 100 * max(billed, 1)


async def test_a_growing_conversation(talk: Talk) -> None:
    """Cold once; then every prefix is predicted as it is billed, and every prompt within 3 %."""
    for n in range(1, 8):
        warm, prompt, usage = await talk.ask("claude-sonnet-4-5", marked(list(turns(n))))
        talk.clock.advance(60)
        assert warm.likely == usage.cache_read and (n == 1) == (usage.cache_read == 0)
        assert n == 1 or prompt == pytest.approx(usage.prompt, rel=0.03)


@pytest.mark.parametrize(("gap", "hit"), [(299, True), (300, False), (3_000, False)])
async def test_the_lifetime_ends_when_the_provider_says_so(talk: Talk, gap: float, hit: bool) -> None:
    await talk.ask("claude-sonnet-4-5", marked(list(turns(3))))
    talk.clock.advance(gap)
    warm, _, usage = await talk.ask("claude-sonnet-4-5", marked(list(turns(4))))
    assert warm.likely == usage.cache_read and (usage.cache_read > 0) == hit


async def test_another_system_text_loses_everything(talk: Talk) -> None:
    await talk.ask("claude-sonnet-4-5", marked(list(turns(3))))
    warm, _, usage = await talk.ask("claude-sonnet-4-5", marked(list(turns(4)), "be long! "))
    assert warm.likely == usage.cache_read == 0


async def test_an_edited_history_keeps_the_part_before_the_edit(talk: Talk) -> None:
    await talk.ask("claude-sonnet-4-5", marked(list(turns(1))))
    await talk.ask("claude-sonnet-4-5", marked(list(turns(2))))
    history = list(turns(3))
    history[1] = {"role": "assistant", "content": [{"type": "text", "text": "no " * 100}]}
    warm, _, usage = await talk.ask("claude-sonnet-4-5", marked(history))
    assert usage.cache_read > 0 and close(warm, usage.cache_read)


@pytest.mark.parametrize("away", [1, 4, 15])
async def test_returning_to_a_model_left_behind(talk: Talk, away: int) -> None:
    """Within the look-back the whole old prefix is read; after too many messages only the system text is."""
    here, there = "claude-sonnet-4-5", "claude-opus-4-5"
    await talk.ask(here, marked(list(turns(3))))
    for n in range(away):
        warm, _, usage = await talk.ask(there, marked(list(turns(4 + n))))
        assert warm.likely == usage.cache_read
    warm, prompt, usage = await talk.ask(here, marked(list(turns(4 + away))))
    assert usage.cache_read > 0 and close(warm, usage.cache_read)
    assert prompt == pytest.approx(usage.prompt, rel=0.03)


async def test_a_switch_between_tokenizers(talk: Talk) -> None:
    """Sonnet 4.5 to Opus 5.5: the same text has 1.3 times the tokens, all of them cold."""
    await talk.ask("claude-sonnet-4-5", marked(list(turns(3))))
    warm, prompt, usage = await talk.ask("claude-opus-5-5", marked(list(turns(4))))
    assert warm.likely == usage.cache_read == 0
    assert prompt == pytest.approx(usage.prompt, rel=0.03)


@pytest.mark.parametrize("model", ["gpt-6.1-sol", "gpt-5.6-terra", "gpt-5.5", "gpt-5.4", "gpt-5-mini"])
async def test_automatic_caches(talk: Talk, model: str) -> None:
    """OpenAI before and after 5.6: the prefix is found without a mark, by 128, by 512 less 128, or to the message."""
    talk.protocol = "chat"
    for n in range(1, 6):
        messages = [{"role": "system", "content": "be brief " * 1_000}, *turns(n)]
        warm, prompt, usage = await talk.ask(model, {"messages": messages})
        talk.clock.advance(60)
        assert (n == 1) == (usage.cache_read == 0)
        assert close(warm, usage.cache_read), (warm, usage)
        assert n == 1 or prompt == pytest.approx(usage.prompt, rel=0.05)


def with_lifetime(body: dict[str, Any], head: str) -> dict[str, Any]:
    """The body with another lifetime on its system text."""
    control = {"cache_control": {"type": "ephemeral", "ttl": head}}
    return {**body, "system": [{**body["system"][0], **control}]}


async def test_an_hour_on_the_system_text_outlives_five_minutes_on_the_history(talk: Talk) -> None:
    """Two lifetimes in one request: after ten minutes the head is read and the history is not; after an hour, neither."""
    model = "claude-sonnet-4-5"
    await talk.ask(model, with_lifetime(marked(list(turns(3))), "1h"))
    talk.clock.advance(120)
    warm, _, usage = await talk.ask(model, with_lifetime(marked(list(turns(4))), "1h"))
    assert close(warm, usage.cache_read) and warm.likely > 4_000, "within five minutes: all of it"
    talk.clock.advance(600)
    warm, _, usage = await talk.ask(model, with_lifetime(marked(list(turns(5))), "1h"))
    assert 0 < usage.cache_read < 3_000 and close(warm, usage.cache_read, 10), (warm, usage)
    talk.clock.advance(3_600)
    warm, _, usage = await talk.ask(model, with_lifetime(marked(list(turns(6))), "1h"))
    assert warm.likely == usage.cache_read == 0


async def test_a_rewind_and_the_way_back_to_the_longer_branch(talk: Talk) -> None:
    """Back to the second prompt and on from there; then the first branch again: it is still warm to its end."""
    model = "claude-sonnet-4-5"
    for n in (2, 3, 4):
        await talk.ask(model, marked(list(turns(n))))
    longer = list(turns(5))
    other = [*list(turns(2)), {"role": "assistant", "content": [{"type": "text", "text": "no " * 90}]}]
    other.append({"role": "user", "content": [{"type": "text", "text": text(77, 4_000)}]})
    warm, _, usage = await talk.ask(model, marked(other))
    assert close(warm, usage.cache_read) and usage.cache_read > 2_000
    talk.clock.advance(200)
    warm, _, usage = await talk.ask(model, marked(longer))
    assert close(warm, usage.cache_read) and usage.cache_read > 6_000, (warm, usage)
