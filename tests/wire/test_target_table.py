"""Every row of the table of what models take: violated it is a 400 of the sandbox provider, converted it is accepted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from fnmatch import fnmatchcase
from typing import Any

import msgspec
import pytest

from pointsman.core.book import Book
from pointsman.core.foreign import native_of
from pointsman.core.targets import EFFORTS, Target
from pointsman.core.types import Config, Protocol
from pointsman.sandbox import models, rules
from pointsman.sandbox.errors import Refused
from pointsman.sandbox.incoming import Incoming
from pointsman.shell.prices import load_book, tables
from pointsman.wire import read, write
from pointsman.wire.betas import taken
from pointsman.wire.binding import unbound
from pointsman.wire.natives import fit

BOOK = load_book(today=date(2026, 11, 22))
BETA = {"anthropic-beta": "mid-conversation-output-config-2026-07-01"}
ROWS = [row["models"] for row in tables()["targets"]["targets"]]
PATHS = {"messages": "/v1/messages", "responses": "/v1/responses", "chat": "/v1/chat/completions"}


def named(key: str) -> Iterator[tuple[int, str]]:
    """The models that the ladders name under ``key``, that have a price and a row in the sandbox, each with its row here."""
    for vendor in tables()["ladders"].values():
        for name in (name for tier in vendor["tiers"] for name in tier.get(key, ())):
            row = next((n for n, patterns in enumerate(ROWS) if any(fnmatchcase(name.lower(), p) for p in patterns)), None)
            if row is not None and BOOK.has(name) and models.find(name) is not None:
                yield row, name


SAMPLES: dict[int, list[str]] = {}
for _row, _name in named("members"):
    SAMPLES.setdefault(_row, []).append(_name)
for _row, _name in named("also"):  # rows of models that are not offered by themselves: one of each
    SAMPLES.setdefault(_row, [_name])
ALL = [name for names in SAMPLES.values() for name in names]

Body = dict[str, Any]


def checked(protocol: Protocol, model: str, body: Body, headers: dict[str, str] | None = None, prompt: int = 100) -> None:
    """What the provider does with a request before it answers. Raises Refused."""
    row = models.find(model)
    assert row is not None, model
    sent = headers or {}
    if "" in body:
        body, sent = {name: value for name, value in body.items() if name}, {"anthropic-beta": body[""]}
    request = Incoming(protocol, PATHS.get(protocol, "/"), model, False, sent, body)
    rules.check(request, row)
    rules.fits(request, row, prompt)


def violations(target: Target) -> Iterator[tuple[str, Body, int]]:
    """(what is violated, a request that does, its prompt tokens) for every fact of a target that refuses something."""
    make = {"messages": _claude, "responses": _openai, "chat": _chat, "gemini": _gemini}[native_of(target.vendor)]
    yield from ((said, body, 100) for said, body in make(target))
    if target.window:
        yield "window", _plain(target), target.window + 1


def _plain(target: Target) -> Body:
    user = {"role": "user", "content": "hi"}
    return {
        "messages": {"model": target.model, "max_tokens": 5_000, "messages": [user]},
        "responses": {"model": target.model, "input": [{"type": "message", **user}]},
        "chat": {"model": target.model, "messages": [user]},
        "gemini": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
    }[native_of(target.vendor)]  # type: ignore[return-value]  # a dict of dicts


def _claude(target: Target) -> Iterator[tuple[str, Body]]:
    base, user = _plain(target), {"role": "user", "content": "hi"}
    forms = {"adaptive": "adaptive", "enabled": "enabled", "disabled": "none", "between_tools": "between_tools"}
    for kind, form in forms.items():
        budget = {"budget_tokens": 2_000} if kind == "enabled" else {}
        if form not in target.thinking:
            yield f"thinking {kind}", {**base, "thinking": {"type": kind, **budget}}
        elif form in ("none", "between_tools") and target.thinking_off_up_to:
            above = EFFORTS[EFFORTS.index(target.thinking_off_up_to) + 1]
            yield f"thinking {kind} at {above}", {**base, "thinking": {"type": kind}, "output_config": {"effort": above}}
    for effort in EFFORTS:
        if effort not in target.efforts:
            yield f"effort {effort}", {**base, "output_config": {"effort": effort}}
    thinks = {"thinking": {"type": "adaptive"}} if "adaptive" in target.thinking else {}
    told = {"role": "system", "content": "x"}
    for fact, body in (
        ("sampling", {**base, "temperature": 0.5}),
        ("forced_tool", {**base, "tools": [{"name": "f", "input_schema": {}}], "tool_choice": {"type": "any"}}),
        ("prefill", {**base, **thinks, "messages": [user, {"role": "assistant", "content": "so"}]}),
        ("system_messages", {**base, "messages": [user, told]}),
        ("effort_messages", {**base, "messages": [user, {**told, "output_config": {"effort": "low"}}]}),
        ("tool_reference", {**base, "tools": [{"name": "f", "input_schema": {}, "defer_loading": True}]}),
        ("fast", {**base, "speed": "fast"}),
    ):
        if not getattr(target, fact):
            yield fact, body
    yield "max_output", {**base, "max_tokens": (target.max_output or 0) + 1}
    yield from ((f"beta {beta}", {**base, "": beta}) for beta in target.refuses)  # the test's own field: it is a header


def _openai(target: Target) -> Iterator[tuple[str, Body]]:
    base = _plain(target)
    yield from ((f"effort {e}", {**base, "reasoning": {"effort": e}}) for e in EFFORTS if e not in target.efforts)
    if not target.sampling:
        yield "sampling", {**base, "temperature": 0.5}
    if not target.effort_messages:
        update = {"type": "configuration_update", "reasoning": {"effort": "low"}}
        yield "effort_messages", {**base, "input": [*base["input"], update]}
    yield "max_output", {**base, "max_output_tokens": (target.max_output or 0) + 1}


def _chat(target: Target) -> Iterator[tuple[str, Body]]:
    base = _plain(target)
    yield from ((f"effort {e}", {**base, "reasoning_effort": e}) for e in EFFORTS if e not in target.efforts)
    if not target.vision:
        image = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]
        yield "vision", {**base, "messages": [{"role": "user", "content": image}]}
    yield "max_output", {**base, "max_tokens": (target.max_output or 0) + 1}


def _gemini(target: Target) -> Iterator[tuple[str, Body]]:
    base = _plain(target)
    for effort in EFFORTS:
        if effort not in target.efforts:
            yield f"effort {effort}", {**base, "generationConfig": {"thinkingConfig": {"thinkingLevel": effort}}}
    if not target.sampling:
        yield "sampling", {**base, "generationConfig": {"temperature": 0.5}}
    yield "max_output", {**base, "generationConfig": {"maxOutputTokens": (target.max_output or 0) + 1}}


def test_every_row_has_a_model_that_the_sandbox_knows() -> None:
    left = [ROWS[n] for n in range(len(ROWS)) if n not in SAMPLES]
    assert left == [["claude-*"], ["gpt-*", "chatgpt-*"]] or left == [["claude-*"]], left  # older than anything on a ladder


@pytest.mark.parametrize("model", ALL)
def test_a_violated_row_is_a_400(model: str) -> None:
    target = BOOK.target(model)
    protocol = native_of(target.vendor)
    checked(protocol, model, _plain(target))
    seen = []
    for said, body, prompt in violations(target):
        with pytest.raises(Refused) as refused:
            checked(protocol, model, body, BETA, prompt)
            pytest.fail(f"{model} accepts a violation of its row: {said}")
        assert refused.value.status == 400, said
        seen.append(said)
    assert len(seen) >= 3, seen


def _greedy(model: str, thinking: Body | None, effort: str | None) -> Body:
    """A Claude request with everything that can be converted."""
    body: Body = {
        "model": model, "max_tokens": 128_000, "temperature": 0.7, "top_k": 5, "speed": "fast",
        "tools": [{"name": "f", "input_schema": {}},
                  {"name": "DeferredToolPlaceholder", "input_schema": {}, "defer_loading": True}],
        "messages": [{"role": "user", "content": "hi"}, {"role": "system", "content": "x", "output_config": {"effort": "xhigh"}},
                     {"role": "assistant", "content": "so"}, {"role": "user", "content": "on"}],
    }  # fmt: skip
    return {**body, **({"thinking": thinking} if thinking else {}), **({"output_config": {"effort": effort}} if effort else {})}


@pytest.mark.parametrize("model", [name for name in ALL if name.startswith("claude")])
def test_what_a_claude_row_does_not_take_is_converted(model: str) -> None:
    asked, target = "claude-opus-5" if model != "claude-opus-5" else "claude-opus-5-5", BOOK.target(model)
    forms: list[Body | None] = [None, {"type": "adaptive"}, {"type": "enabled", "budget_tokens": 31_999}, {"type": "disabled"}]
    for thinking in forms:
        for effort in (None, "low", "max"):
            body = msgspec.json.encode(_greedy(asked, thinking, effort))
            request = read("messages", PATHS["messages"], BETA, body)
            assert target.accepts(request, 1_000) is None
            for chosen in (Config(model, target.nearest_effort(request.effort)), Config(model, target.nearest_effort("low"))):
                new, _ = write("messages", PATHS["messages"], body, request, chosen, target)
                checked("messages", model, msgspec.json.decode(unbound(new, {})[0]), BETA)


@pytest.mark.parametrize("model", [name for name in ALL if name.startswith("gpt-")])
def test_what_a_gpt_row_does_not_take_is_converted(model: str) -> None:
    asked = "gpt-6.1-sol" if model != "gpt-6.1-sol" else "gpt-6-luna"
    update = {"type": "configuration_update", "reasoning": {"effort": "max"}}
    body = msgspec.json.encode({
        "model": asked, "input": [{"role": "user", "content": "hi"}, update, {"role": "user", "content": "on"}],
        "reasoning": {"effort": "max"}, "temperature": 0.5, "max_output_tokens": 900_000,
    })  # fmt: skip
    request, target = read("responses", PATHS["responses"], {}, body), BOOK.target(model)
    assert target.accepts(request, 1_000) is None
    new, _ = write("responses", PATHS["responses"], body, request, Config(model, target.nearest_effort("max")), target)
    checked("responses", model, msgspec.json.decode(new))


@pytest.mark.parametrize("model", ALL)
def test_a_translated_body_is_fitted_to_every_model(model: str) -> None:
    for effort in (None, *EFFORTS):
        _fitted(model, effort)


def _fitted(model: str, effort: str | None) -> None:
    target = BOOK.target(model)
    native = native_of(target.vendor)
    body = {**_plain(target), "temperature": 0.5, "user": "u", "reasoning_effort": "max", "reasoning": {"effort": "max"},
            "output_config": {"effort": "ludicrous"}, "thinking": {"type": "enabled", "budget_tokens": 9}}  # fmt: skip
    limit = {"messages": "max_tokens", "responses": "max_output_tokens", "chat": "max_completion_tokens"}.get(native)
    if limit:
        body[limit] = 10_000_000
    else:
        body["generationConfig"] = {"max_output_tokens": 10_000_000, "temperature": 0.5}
        for name in ("thinking", "output_config", "reasoning", "reasoning_effort", "temperature", "user"):
            body.pop(name)
    checked(native, model, fit(native, body, target, target.nearest_effort(effort), "pm-1", False))


def test_the_book_and_the_sandbox_agree_on_windows_and_limits(book: Book = BOOK) -> None:
    """The context fit is right only where both count the same."""
    for name in ALL:
        target, row = book.target(name), models.find(name)
        assert row is not None and (target.window, target.max_output) == (row.window, row.max_output), name


EVERY = ",".join(row["beta"] for row in tables()["targets"]["betas"])


@pytest.mark.parametrize("model", [name for name in ALL if name.startswith("claude")])
def test_the_betas_that_are_left_are_taken(model: str) -> None:
    """Of all bound betas together each model gets those it knows, and any other as the client sent it."""
    target = BOOK.target(model)
    assert set(target.refuses) <= set(EVERY.split(","))
    left = taken({"Anthropic-Beta": f"{EVERY}, some-new-thing-2027-01-01"}, target.refuses)
    assert "some-new-thing-2027-01-01" in left["Anthropic-Beta"]
    checked("messages", model, _plain(target), {"anthropic-beta": left["Anthropic-Beta"]})


def test_betas_that_nobody_refuses_are_the_clients_own_bytes() -> None:
    given = {"anthropic-beta": "a-1, b-2", "x": "y"}
    assert taken(given, ()) is given and taken(given, ("c-3",)) is given and taken({}, ("c-3",)) == {}
    assert taken(given, ("a-1",)) == {"anthropic-beta": "b-2", "x": "y"} and taken(given, ("a-1", "b-2")) == {"x": "y"}
    assert BOOK.target("gpt-6-luna").refuses == ()
