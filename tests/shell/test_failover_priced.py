"""What was predicted for a request that ended elsewhere: the audit compares the bill with the price of what really ran."""

from __future__ import annotations

from pathlib import Path

import pytest

from pointsman.core.audit import audit, input_usd
from pointsman.core.events import FailedOver, Finished, Routed
from pointsman.core.timeline import Timeline
from pointsman.core.types import Config
from pointsman.sandbox import Provider, faults
from pointsman.shell.ledger import read_events
from shell.support import events
from shell.test_failover import MODEL, OTHER
from shell.test_failover_ways import ask, before, spare_for

MARK = {"cache_control": {"type": "ephemeral"}}


def rows(path: Path) -> Timeline:
    timeline = Timeline(keep=True)
    for _, event in read_events(path):
        timeline.apply(event)
    return timeline


async def test_a_cold_spare_is_predicted_cold_and_a_warm_one_warm(tmp_path: Path) -> None:
    """The first provider would have read 20,000 tokens; the spare writes them at first, and reads them the second time."""
    path = tmp_path / "l.db"
    text = "Mend the test. " * 6_000
    async with Provider() as first, Provider() as spare:
        async with before(first.url, path, **spare_for("anthropic", spare.url)) as (gateway, http):
            talk = [{"role": "user", "content": [{"type": "text", "text": text, **MARK}]}]
            assert (await ask(http, gateway, messages=talk))[0] == 200
            for n in range(2):
                first.fault(faults.status(500))
                talk += [{"role": "assistant", "content": f"Done {n}."}]
                talk += [{"role": "user", "content": [{"type": "text", "text": f"Go on, {n}.", **MARK}]}]
                assert (await ask(http, gateway, messages=talk))[0] == 200
    routed, hops, done = (events(path, kind) for kind in (Routed, FailedOver, Finished))
    for n, (hop, bill) in enumerate(zip(hops, done[1:], strict=True)):
        old = routed[n + 1].decision.row(Config(MODEL))
        assert hop.row is not None and hop.row.config == bill.served and old is not None
        billed = input_usd(bill)
        assert hop.row.cache_read == pytest.approx(bill.usage.cache_read, rel=0.02), "the cache of the deployment that answered"
        assert hop.row.cache_write == pytest.approx(bill.usage.written, rel=0.02, abs=40)
        assert hop.row.input_usd == pytest.approx(billed, rel=0.5), "its average price: a turn's start may be cold"
        shown = rows(path).request(bill.id)
        assert shown is not None and shown.expected_usd == hop.row.input_usd
        assert shown.predicted == (hop.row.prompt, hop.row.cache_read, hop.row.cache_write)
        if n == 0:
            assert billed > 5 * old.input_usd, "what the first provider's cache would have made of it is no prediction"
    found = audit(event for _, event in read_events(path))
    assert found is not None and found.requests == 2 and found.p90 < 0.5


async def test_another_model_that_takes_over_is_compared_with_its_own_price(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    async with Provider() as first:
        async with before(first.url, path, fallbacks={MODEL: [OTHER]}) as (gateway, http):
            first.fault(faults.status(529))
            assert (await ask(http, gateway))[0] == 200
    hop, bill = events(path, FailedOver)[0], events(path, Finished)[0]
    assert hop.row is not None and hop.row.model == OTHER == bill.served.model
    shown = rows(path).request(bill.id)
    assert shown is not None and shown.expected_usd == hop.row.input_usd


async def test_a_refused_change_is_compared_with_the_asked_models_price(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    async with Provider() as provider:
        async with before(provider.url, path, schedule=f"1:{OTHER}") as (gateway, http):
            provider.fault(faults.status(400), when=lambda request: request.model == OTHER)
            assert (await ask(http, gateway))[0] == 200
    routed, bill = events(path, Routed)[0], events(path, Finished)[0]
    row = routed.decision.row(Config(MODEL))
    assert bill.resent and bill.served.model == MODEL and row is not None
    shown = rows(path).request(bill.id)
    assert shown is not None and shown.expected_usd == row.input_usd
