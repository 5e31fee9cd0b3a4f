"""Listeners: whatever the chunks, what comes out is what went in, and the end waits for its row."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.errors import UpstreamError, WireError
from pointsman.shell.bodies import Decoder
from pointsman.shell.streams import Events, Guarded, Listener, Packed, Through, Whole, listener
from pointsman.shell.woven import WovenEvents, WovenWhole
from shell.support import answer_events

STREAM = b"".join(answer_events())
LAST = answer_events()[-1]
ANSWER = json.dumps(
    {
        "type": "message", "model": "m", "stop_reason": "end_turn", "content": [{"type": "text", "text": "≈"}],
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }  # fmt: skip
).encode()


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    """``data`` cut at these places."""
    places = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[a:b] for a, b in zip(places, places[1:], strict=False) if a < b]


def listen(to: Listener, chunks: list[bytes]) -> tuple[bytes, bytes]:
    """All that came out, in order, and that part of it which came out after the commit."""
    out, late = b"", b""
    for chunk in chunks:
        now, last = to.feed(chunk)
        out += now + last
        late += (now if late else b"") + last
    rest = to.rest()
    return out + rest, late + rest


CUTS = st.lists(st.integers(0, 10_000), max_size=30)


@given(CUTS)
@settings(max_examples=60, deadline=None)
def test_a_stream_comes_out_as_it_went_in_and_its_last_event_is_held(cuts: list[int]) -> None:
    events = Events("messages")
    assert listen(events, split(STREAM, cuts)) == (STREAM, LAST)
    assert events.usage is not None and (events.usage.fresh, events.usage.output) == (7, 5)
    assert (events.stop, events.model, events.cut, events.problem) == ("final", "claude-sonnet-4-5", False, None)


@given(CUTS)
@settings(max_examples=40, deadline=None)
def test_a_packed_stream_comes_out_untouched(cuts: list[int]) -> None:
    packed, to = gzip.compress(STREAM), Packed("messages", "gzip")
    out, late = listen(to, split(packed, cuts))
    assert out == packed and late
    assert to.stop == "final" and to.usage is not None and to.usage.output == 5


@given(CUTS)
@settings(max_examples=40, deadline=None)
def test_a_whole_answer_keeps_its_last_bytes_back(cuts: list[int]) -> None:
    to = Whole("messages")
    out, late = listen(to, split(ANSWER, cuts))
    assert out == ANSWER and late
    assert (to.usage and to.usage.output, to.model, to.stop) == (2, "m", "final")


@given(st.integers(1, len(STREAM) - len(LAST)))
@settings(max_examples=60, deadline=None)
def test_a_part_of_an_answer_is_known_for_one(length: int) -> None:
    events = Events("messages")
    out, _ = listen(events, split(STREAM[:length], [3, 40, 500]))
    assert out == STREAM[:length]
    assert events.cut == (events.tap.content_started and events.tap.stop is None)


def test_damage_and_foreign_codings_are_said_and_passed_on() -> None:
    damaged = gzip.compress(STREAM)[:10] + b"\xff" * 70
    to = Packed("messages", "gzip")
    assert listen(to, split(damaged, [10, 50])) == (damaged, b"")
    assert "damaged" in (to.problem or "")
    whole = Whole("messages", "br")
    assert listen(whole, [b"a", b"b"]) == (b"ab", b"b") and whole.usage is None and "'br'" in (whole.problem or "")
    assert isinstance(listener(None, 200, "text/event-stream", ""), Through)
    assert isinstance(listener("chat", 500, "application/json", ""), Through)
    assert isinstance(listener("chat", 200, "Text/Event-Stream; charset=utf-8", ""), Events)
    assert isinstance(listener("chat", 200, "text/event-stream", "gzip"), Packed)
    assert "packed more than once" in (listener("chat", 200, "text/event-stream", "gzip, zstd").problem or "")
    assert "'br'" in (listener("chat", 200, "text/event-stream", "br").problem or "")


class Broken(Through):
    """Fails at its third chunk, with two of them not given back yet."""

    def __init__(self) -> None:
        super().__init__()
        self.chunks = 0

    def feed(self, chunk: bytes) -> tuple[bytes, bytes]:
        self.chunks += 1
        return (b"", b"") if self.chunks < 3 else self.chunks // 0  # type: ignore[return-value]


def test_an_error_of_ours_loses_no_byte_of_the_answer() -> None:
    said: list[Exception] = []
    to = Guarded(Broken(), lambda error: said.append(error) or "why")  # type: ignore[func-returns-value]
    assert [to.feed(chunk) for chunk in (b"a", b"b", b"c", b"d")] == [
        (b"", b""), (b"", b""), (b"abc", b""), (b"d", b"")
    ]  # fmt: skip
    assert (to.rest(), to.stop, to.usage, to.model, to.cut, to.problem) == (b"", None, None, None, False, "why")
    assert len(said) == 1 and isinstance(said[0], ZeroDivisionError)


def test_blanks_that_keep_a_connection_alive_are_not_held() -> None:
    whole = Whole("chat")
    assert [whole.feed(chunk) for chunk in (b"\n", b" \n", b"{")] == [(b"\n", b""), (b" \n", b""), (b"", b"")]


class Altered(Through):
    """Gives back something else than it was fed, and fails at its third chunk."""

    def __init__(self) -> None:
        super().__init__()
        self.chunks = 0

    def feed(self, chunk: bytes) -> tuple[bytes, bytes]:
        self.chunks += 1
        return (b"", chunk.upper()) if self.chunks < 3 else self.chunks // 0  # type: ignore[return-value]


def test_what_was_altered_cannot_be_made_up_for() -> None:
    """After a changed event the provider's own bytes would not fit: the answer breaks off, and the client asks again."""
    to = Guarded(Altered(), lambda error: "why")
    assert [to.feed(b"a"), to.feed(b"b")] == [(b"", b"A"), (b"", b"B")]
    with pytest.raises(UpstreamError):
        to.feed(b"c")


def test_many_small_frames_unpack_in_pieces() -> None:
    frames = gzip.compress(b"ab") * 20_000
    assert Decoder("gzip").feed(frames) == b"ab" * 20_000
    with pytest.raises(WireError, match="more than 0 MiB"):
        Decoder("gzip", 30_000).feed(frames)


def test_what_has_no_end_is_passed_on_and_not_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pointsman.wire.sse.LARGEST", 1_000)
    monkeypatch.setattr("pointsman.shell.woven.BODY_LIMIT", 1_000)
    packed = [gzip.compress(b"data: " + b"a" * 2_000), b"more"]
    for made in (Events("chat"), WovenEvents("chat", "m"), WovenWhole("chat", "m")):
        said: list[Exception] = []
        to = Guarded(made, lambda error, said=said: said.append(error) or "why")  # type: ignore[misc]
        assert listen(to, [b"data: "] + [b"a" * 400] * 4)[0] == b"data: " + b"a" * 1_600
        assert [type(error) for error in said] == [WireError]
    bomb = Packed("chat", "gzip")
    assert listen(bomb, packed)[0] == b"".join(packed) and "larger than" in (bomb.problem or "")
