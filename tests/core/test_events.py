"""Events survive the ledger: what is encoded as JSON decodes to the same value, and the unknown is refused in words."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.core.codec import decode, encode
from pointsman.core.decisions import BreakEven, Decision
from pointsman.core.events import KINDS, Event, Finished, Pinned, Routed
from pointsman.core.later import Later
from pointsman.core.types import Config, Place, Rates, Request, Usage
from pointsman.errors import LedgerError

numbers = st.floats(allow_nan=False, allow_infinity=False)
st.register_type_strategy(float, numbers)
st.register_type_strategy(
    Usage, st.builds(Usage, st.integers(0, 9), st.integers(0, 9), st.just(((300, 4),)), extra=st.just((("m", Usage(1)),)))
)
st.register_type_strategy(Later, st.lists(st.from_type(BreakEven)).map(lambda points: Later(lambda: tuple(points))))


@pytest.mark.parametrize("kind", sorted(KINDS))
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_every_event_survives_the_ledger(kind: str, data: st.DataObject) -> None:
    event: Event = data.draw(st.from_type(KINDS[kind]))
    assert decode(kind, json.loads(json.dumps(encode(event)))) == event


def test_defaults_are_left_out_so_that_rows_stay_small() -> None:
    row = encode(Finished(1.0, "s", "r1", 200, "final", 0.0, 1.0, usage=Usage(fresh=3)))
    assert row == {
        "ts": 1.0, "session": "s", "id": "r1", "status": 200, "stop": "final", "started": 0.0, "ended": 1.0,
        "usage": {"fresh": 3},
    }  # fmt: skip


def test_no_text_of_a_prompt_reaches_an_event() -> None:
    request = Request("messages", "/v1/messages", "m")
    decision = Decision("r1", Place("s", "main", "main", "new"), Config("m"), Config("m"), "stay", "asked", "Stay.")
    row = json.dumps(encode(Routed(1.0, "s", "r1", request, 0, decision)))
    assert "content" not in row and "text" not in row


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        ("Teleported", {}, "newer pointsman"),
        ("Pinned", {"ts": 1.0, "colour": "red"}, "Pinned"),
        ("Pinned", {"ts": 1.0}, "Pinned"),
        ("Routed", {"ts": 1.0, "decision": 7}, "Routed"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_kind(kind: str, value: dict[str, object], says: str) -> None:
    with pytest.raises(LedgerError, match=says):
        decode(kind, value)


def test_a_pin_keeps_its_config_and_rates_their_lifetimes() -> None:
    pin = Pinned(1.0, None, Config("opus", "high"), "always", "cli", "/home/me")
    assert decode("Pinned", encode(pin)) == pin
    rates = Rates(4e-6, 2e-7, 2e-5, 2e-5, ((300, 5e-6), (3600, 8e-6)))
    assert (rates.write(300), rates.write(3600), rates.write(86_400)) == (5e-6, 8e-6, 8e-6)
    assert Rates(1.32e-6, 4.4e-8, 3.96e-6, 3.96e-6).write(300) == 1.32e-6
