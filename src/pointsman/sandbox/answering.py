"""From a script's reply to an answer: the bill completed with the output, the reply cut to the request's limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from pointsman.sandbox import speak_chat, speak_gemini, speak_messages, speak_responses
from pointsman.sandbox.incoming import Incoming, Protocol
from pointsman.sandbox.models import Model, find
from pointsman.sandbox.reply import Answer, Bill, Call, Consult, Frame, Part, Reply, Text, Thinking
from pointsman.sandbox.thinking import last_link, prefix_names

ADVISOR_TOOL = "advisor_20260301"


@dataclass(frozen=True, slots=True)
class Speaker:
    """How one protocol puts an answer: one body, or the frames of a stream; and the usage it reports."""

    body: Callable[[Answer], dict[str, Any]]
    frames: Callable[[Answer], Iterator[Frame]]
    used: Callable[[Answer], dict[str, Any]]


SPEAKERS: dict[Protocol, Speaker] = {
    "messages": Speaker(speak_messages.body, speak_messages.frames, lambda a: speak_messages.usage(a.bill)),
    "chat": Speaker(speak_chat.body, speak_chat.frames, lambda a: speak_chat.usage(a.bill, a.vendor)),
    "responses": Speaker(speak_responses.body, speak_responses.frames, lambda a: speak_responses.usage(a.bill)),
    "gemini": Speaker(speak_gemini.body, speak_gemini.frames, lambda a: speak_gemini.usage(a.bill)),
}


def speaker(protocol: Protocol) -> Speaker:
    """The speaker of a protocol."""
    return SPEAKERS[protocol]


def answer_for(
    request: Incoming, row: Model, given: Reply, prompt: Bill, *, seed: str, now: float, skipped: frozenset[tuple[int, int]]
) -> Answer:
    """The answer to ``request``: ``prompt`` is the bill of its input; the output ends at its limit, or where the window does."""
    room = row.window - prompt.prompt
    limit = max_output(request)
    reply = limited(given, row, room if limit is None else min(limit, room))
    reasoning = sum(_tokens(row, part) for part in reply.parts if isinstance(part, Thinking))
    output = reply.output_tokens if reply.output_tokens is not None else sum(_tokens(row, part) for part in reply.parts)
    echo: dict[str, Any] = {"service_tier": request.body.get("service_tier")}
    if request.protocol == "messages":
        full = reply is not given and (limit is None or room < limit)
        echo |= {"prefix": prefix_names(request)[-1], "link": last_link(request), "stop": "window" if full else ""}
    elif request.protocol == "responses":
        echo |= {name: request.body.get(name) for name in speak_responses.ECHOED} | {"organisation": request.credential}
    return Answer(
        reply,
        replace(
            prompt, output=max(output, 1 if reply.parts else 0), reasoning=reasoning, advisor=_advised(request, reply, prompt)
        ),  # fmt: skip
        request.model,
        row.vendor,
        seed,
        int(now),
        include_usage=request.protocol != "chat" or bool((request.body.get("stream_options") or {}).get("include_usage")),
        hide_thinking=(request.body.get("thinking") or {}).get("display") == "omitted",
        echo=echo,
        dropped=tuple(f"messages.{n}.content.{k}" for n, k in sorted(skipped)),
    )


def _advised(request: Incoming, reply: Reply, prompt: Bill) -> tuple[str, int, int] | None:
    """What the server's own advisor is billed: it reads the whole transcript, in its own tokens."""
    advice = next((part.advice for part in reply.parts if isinstance(part, Consult) and not part.asked), None)
    tool = next((tool for tool in request.body.get("tools") or [] if tool.get("type") == ADVISOR_TOOL), None)
    row = find(str(tool.get("model"))) if tool is not None else None
    if advice is None or tool is None or row is None:
        return None
    return str(tool["model"]), prompt.prompt, row.tokens(len(advice))


def seals_of(protocol: Protocol, answer: Answer) -> Iterator[str]:
    """The names of the signatures, or the encrypted reasoning, that an answer gives out."""
    for n, part in enumerate(answer.reply.parts):
        if isinstance(part, Thinking) and protocol == "messages":
            yield speak_messages.signature_id(speak_messages.signature(answer, n))
        elif isinstance(part, Thinking) and protocol == "responses":
            yield speak_responses.encrypted(answer, n)


def max_output(request: Incoming) -> int | None:
    """The output limit the request sets, in tokens, or None."""
    body = request.body
    found = next(
        (body[k] for k in ("max_tokens", "max_completion_tokens", "max_output_tokens") if isinstance(body.get(k), int)), None
    )
    if found is None:
        found = (body.get("generationConfig") or {}).get("maxOutputTokens")
    return found if isinstance(found, int) else None


def _tokens(row: Model, part: Part) -> int:
    """Output tokens of one part: its characters as the model counts them."""
    if isinstance(part, Thinking) and part.tokens is not None:
        return part.tokens
    name = part.name if isinstance(part, Call) else ""
    return row.tokens(len(part.text) + len(name))


def limited(reply: Reply, row: Model, limit: int | None) -> Reply:
    """The reply cut where the output limit falls: the text it falls into is shortened, what follows is left out."""
    if limit is None or sum(_tokens(row, part) for part in reply.parts) <= limit:
        return reply
    kept: list[Part] = []
    left = limit
    for part in reply.parts:
        cost = _tokens(row, part)
        if cost > left:
            if isinstance(part, Text) and left > 0:
                kept.append(Text(part.text[: int(left * 4 / row.factor)]))
            break
        kept.append(part)
        left -= cost
    return Reply(tuple(kept), stop="length", seconds=reply.seconds)
