"""A provider that fails before its first content byte: the next deployment, then the next model, priced and recorded."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pointsman.core.events import FailedOver, Finished, Noted
from pointsman.errors import SettingsError
from pointsman.sandbox import Provider, faults
from pointsman.settings import Settings
from pointsman.shell.failover.breaker import Breaker
from pointsman.shell.failover.failures import hops, seconds
from pointsman.shell.failover.fallbacks import Fallbacks
from pointsman.shell.gateway import Gateway
from pointsman.shell.vendors import Upstreams
from shell.support import PATHS, body, client, events, headers, only

MODEL, OTHER = "claude-sonnet-4-5", "claude-haiku-4-5"


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def deployed(url: str, **more: Any) -> dict[str, Any]:
    return {"deployments": {"spare": {"url": url, "vendor": "anthropic", **more}}, "fallbacks": {"anthropic": ["spare"]}}


Bench = tuple[Provider, Provider, Gateway, aiohttp.ClientSession]


@asynccontextmanager
async def two(tmp_path: Path, clock: Any = None, **more: Any) -> AsyncIterator[Bench]:
    """A provider, a spare deployment of the same vendor, the gateway between, and a client."""
    async with Provider() as first, Provider() as spare:
        settings = Settings(**(more or deployed(spare.url)))
        values = {"clock": clock} if clock else {}
        async with Gateway(settings, upstream=first.url, ledger=tmp_path / "ledger.db", say=lambda s: None, **values) as g:
            async with client() as c:
                yield first, spare, g, c


async def ask(c: aiohttp.ClientSession, g: Gateway, **more: Any) -> tuple[int, bytes]:
    async with c.post(g.url + PATHS["messages"], data=body("messages", **more), headers=headers("messages")) as answer:
        return answer.status, await answer.read()


@pytest.mark.parametrize("fault", [
    faults.status(500), faults.status(529), faults.status(429), faults.status(429, retry_after=120),
    faults.cut("headers", times=2), faults.error_event(at="start"), faults.cut("start"), faults.quiet_end("start"),
], ids=lambda fault: f"{fault.kind}-{fault.status or fault.at}")  # fmt: skip
async def test_a_failure_before_the_first_content_goes_to_the_other_deployment(tmp_path: Path, fault: faults.Fault) -> None:
    async with two(tmp_path) as (first, spare, g, c):
        first.fault(fault)
        status, got = await ask(c, g, stream=True)
        assert status == 200 and b"message_stop" in got and got.count(b"event: message_start") == 1
        assert spare.requests[0].raw == body("messages", stream=True)
    moved, done = only(events(tmp_path / "ledger.db", FailedOver)), only(events(tmp_path / "ledger.db", Finished))
    assert (moved.upstream, moved.to_upstream) == (first.url, spare.url) and moved.config == moved.to
    assert done.status == 200 and done.usage and done.served and done.served.model == MODEL


async def test_once_content_has_begun_the_line_is_dropped_and_nobody_else_is_asked(tmp_path: Path) -> None:
    async with two(tmp_path) as (first, spare, g, c):
        first.fault(faults.hang("text", seconds=0.3))
        with pytest.raises(aiohttp.ClientError):
            await ask(c, g, stream=True)
        assert not spare.requests
    assert not events(tmp_path / "ledger.db", FailedOver)


async def test_a_short_wait_that_the_provider_asks_for_is_the_clients_to_keep(tmp_path: Path) -> None:
    async with two(tmp_path) as (first, spare, g, c):
        first.fault(faults.status(429, retry_after=2))
        assert (await ask(c, g))[0] == 429
        assert not spare.requests


async def test_when_everybody_fails_the_client_hears_the_first_ones_words(tmp_path: Path) -> None:
    said = {"type": "error", "error": {"type": "overloaded_error", "message": "the first one's own words"}}
    async with two(tmp_path) as (first, spare, g, c):
        first.fault(faults.status(529, body=said))
        spare.fault(faults.status(500))
        status, got = await ask(c, g)
        assert status == 529 and json.loads(got) == said
    assert only(events(tmp_path / "ledger.db", Finished)).status == 529


async def test_a_model_takes_over_where_no_deployment_can_and_the_price_is_recorded(tmp_path: Path) -> None:
    async with two(tmp_path, fallbacks={MODEL: [OTHER]}) as (first, _, g, c):
        first.fault(faults.status(529))
        assert (await ask(c, g))[0] == 200
        assert [r.model for r in first.requests] == [MODEL, OTHER]
    moved = only(events(tmp_path / "ledger.db", FailedOver))
    assert (moved.config.model, moved.to.model, moved.status) == (MODEL, OTHER, 529)
    assert moved.extra_usd is not None and moved.extra_usd < 0
    assert only(events(tmp_path / "ledger.db", Finished)).served == moved.to


async def test_a_pinned_model_is_not_left_for_another_one(tmp_path: Path) -> None:
    async with two(tmp_path, fallbacks={MODEL: [OTHER]}) as (first, _, g, c):
        await ask(c, g)
        session = next(iter(g.desk.router.sessions))
        g.desk.router.pin(MODEL, session=session, now=g.desk.clock())
        first.fault(faults.status(529))
        assert (await ask(c, g, turns=2))[0] == 529
    assert "pinned" in only(events(tmp_path / "ledger.db", Noted)).text


@pytest.mark.parametrize(("rule", "said"), [
    ({"floor": [MODEL]}, f"below the floor {MODEL}"), ({"protect": {"paths": ["billing/**"]}}, "billing/** is protected"),
])  # fmt: skip
async def test_a_weaker_model_does_not_take_over_what_the_users_rules_keep(
    tmp_path: Path, rule: dict[str, Any], said: str
) -> None:
    async with two(tmp_path, fallbacks={MODEL: [OTHER]}, **rule) as (first, _, g, c):
        first.fault(faults.status(529))
        sent = body("messages", text="please mend src/billing/invoice.py")
        async with c.post(g.url + PATHS["messages"], data=sent, headers=headers("messages")) as got:
            assert got.status == 529
    assert not events(tmp_path / "ledger.db", FailedOver)
    assert said in only(events(tmp_path / "ledger.db", Noted)).text


async def test_after_three_failures_the_provider_is_left_alone_and_tried_again_later(tmp_path: Path) -> None:
    clock = Clock()
    async with two(tmp_path, clock) as (first, spare, g, c):
        first.fault(faults.status(500, times=3))
        for turn in range(4):
            assert (await ask(c, g, turns=turn + 1))[0] == 200
        assert (len(first.requests), len(spare.requests)) == (3, 4)
        clock.now += 31
        assert (await ask(c, g, turns=6))[0] == 200
        assert (len(first.requests), len(spare.requests)) == (4, 4)


async def test_a_key_goes_to_its_own_deployment_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARE_KEY", "sk-spare")
    async with Provider() as first, Provider() as spare:
        settings = Settings(**deployed(spare.url, key_env="SPARE_KEY"))
        async with Gateway(settings, upstream=first.url, ledger=tmp_path / "l.db", say=lambda s: None) as g, client() as c:
            first.fault(faults.status(500))
            assert (await ask(c, g))[0] == 200
    sent, other = ({k.lower(): v for k, v in p.requests[0].headers.items()} for p in (first, spare))
    assert other["x-api-key"].startswith("(8 characters") and "authorization" not in other  # the sandbox keeps no secrets
    assert sent.get("x-api-key") != other["x-api-key"]
    assert "sk-spare" not in (tmp_path / "l.db").read_bytes().decode("latin-1")


async def test_a_subscription_login_never_leaves_its_upstream(tmp_path: Path) -> None:
    async with two(tmp_path) as (first, spare, g, c):
        first.fault(faults.status(529))
        login = {**dict(headers("messages")), "authorization": "Bearer sk-ant-oat01-x"}
        login.pop("x-api-key", None)
        async with c.post(g.url + PATHS["messages"], data=body("messages"), headers=login) as answer:
            assert answer.status == 529
        assert not spare.requests


async def test_after_its_deadline_a_request_goes_nowhere_else(tmp_path: Path) -> None:
    async with Provider() as first, Provider() as spare:
        settings = Settings(**deployed(spare.url), deadline_s=0.001)
        async with Gateway(settings, upstream=first.url, ledger=tmp_path / "l.db", say=lambda s: None) as g, client() as c:
            first.fault(faults.status(500))
            assert (await ask(c, g))[0] == 500
            assert not spare.requests


def graph(fallbacks: dict[str, list[str]], **more: Any) -> Fallbacks:
    settings = Settings(fallbacks=fallbacks, **more)
    return Fallbacks(settings, Upstreams("http://127.0.0.1:9"), Clock(), lambda model: "anthropic", {})


def test_the_way_goes_through_every_deployment_before_the_next_model() -> None:
    spare = {"spare": {"url": "http://127.0.0.1:8", "vendor": "anthropic"}}
    found = graph({"anthropic": ["spare"], "a": ["b", "c"], "b": ["d"]}, deployments=spare)
    ways = [(to.model, to.place) for to in found.after("a", "anthropic", "http://127.0.0.1:9", subscription=False)]
    assert ways == [(None, "spare"), ("b", ""), ("b", "spare"), ("c", ""), ("c", "spare"), ("d", ""), ("d", "spare")]


EU = {"url": "http://127.0.0.1:8", "vendor": "anthropic"}


@pytest.mark.parametrize(("fallbacks", "more", "said"), [
    ({"a": ["b"], "b": ["c"], "c": ["a"]}, {}, "leads in a circle, a → b → c → a"),
    ({"anthropic": ["nowhere"]}, {}, "cannot take over: see [deployments]"),
    ({"openai": ["eu"]}, {"deployments": {"eu": EU}}, "eu serves anthropic"),
    ({"anthropic": ["eu"]}, {"deployments": {"eu": {**EU, "key_env": "NO"}}}, "NO, which is not set"),
])  # fmt: skip
def test_fallbacks_that_cannot_be_meant_are_refused_before_serving(fallbacks: Any, more: Any, said: str) -> None:
    with pytest.raises(SettingsError, match="fallbacks|given") as error:
        graph(fallbacks, **more)
    assert said in str(error.value)


def test_the_breaker_honours_a_retry_after_and_forgets_after_a_success() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    breaker.failed("u", retry_after=60)
    assert not breaker.usable("u")
    clock.now += 61
    assert breaker.usable("u") and breaker.enter("u") and not breaker.enter("u")
    breaker.worked("u")
    assert breaker.usable("u") and not breaker.open()


def test_a_clock_that_is_set_back_does_not_keep_a_provider_shut_out() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    breaker.failed("u", retry_after=60)
    clock.now -= 86_400
    assert breaker.usable("u") and not breaker.open() and breaker.enter("u")


def test_retry_after_may_be_seconds_or_a_date() -> None:
    assert seconds("Mon, 01 Jan 0001 00:00:00 -0000", 0.0) in (None, 978_307_200.0) and seconds("-1", 0.0) == 0.0
    assert seconds("inf", 0.0) == float("inf") and hops(429, float("inf"))
    assert seconds("7", 0.0) == 7.0 and seconds("Thu, 01 Jan 1970 00:01:00 GMT", 30.0) == 30.0
    assert seconds("soon", 0.0) is None and seconds(None, 0.0) is None
    assert hops(429, 11.0) and not hops(429, 3.0) and hops(503, None) and not hops(400, None)
