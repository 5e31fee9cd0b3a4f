"""A request as another vendor's model may see it: same wire format, without what only the client's own vendor understands.

Theory of operation
    Before a request is translated, its copy is reduced to what every vendor has: texts, images, tools, calls and results.
    Reasoning and signatures, cache marks, ids of users and sessions, betas and the tools that the client's vendor runs
    itself are left out; results of such tools become text; calls and results are paired, each id once. The client's own
    bytes are not touched, so the way back needs no undoing. Everything here is a pure function of a message and those
    before it: a longer history begins as the shorter one did, or the other vendor's cache would be lost at every request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from pointsman.core.types import Protocol
from pointsman.errors import WireError
from pointsman.wire import shelling
from pointsman.wire.converting import reminder
from pointsman.wire.heads import BILLING, PLACEHOLDER
from pointsman.wire.pairing import MISSING, Pairs, arguments
from pointsman.wire.tellable import RESPONSES_GONE, RESPONSES_TOLD, SERVER_BLOCKS, is_kept_elsewhere

Json = dict[str, Any]

def for_other_vendor(protocol: Protocol, body: Json) -> Json:
    """The body that may be translated for another vendor. Raises WireError for what no other vendor could be told."""
    return {"messages": _messages, "chat": _chat, "responses": _responses}[protocol](body)


def kept(given: Mapping[str, Any], names: Iterable[str]) -> Json:
    """The fields of ``given`` with these names, those that are null left out."""
    return {name: given[name] for name in names if given.get(name) is not None}


def as_text(value: Any) -> str:
    """Content of any form as text: strings and text blocks as they are, anything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(text for item in value if (text := as_text(item)))
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        return str(value["text"])
    return "" if value is None else msgspec.json.encode(value).decode()


KEPT_ELSEWHERE = "a file that the client's own vendor keeps cannot be told to another vendor's model"

# ---- Anthropic Messages

_MESSAGES = ("model", "max_tokens", "stream", "stop_sequences", "temperature", "top_p", "output_format")


def _messages(body: Json) -> Json:
    out = kept(body, _MESSAGES)
    config = body.get("output_config")
    if isinstance(config, dict) and config.get("format") is not None:
        out["output_format"] = config["format"]
    system = [block for block in _blocks(body.get("system")) if not str(block.get("text", "")).startswith(BILLING)]
    if system:
        out["system"] = [{"type": "text", "text": as_text(block)} for block in system]
    tools = [kept(tool, ("name", "description", "input_schema")) for tool in _own_tools(body.get("tools"))]
    if tools:
        out["tools"] = tools
        choice = body.get("tool_choice")
        if isinstance(choice, dict):
            out["tool_choice"] = choice
    out["messages"] = list(_turns(body.get("messages")))
    return out


def _own_tools(tools: Any) -> Iterator[Json]:
    """The client's own tools; what the vendor runs, or only it knows how to load, is not offered to others."""
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, dict) and "input_schema" in tool and tool.get("name") != PLACEHOLDER:
            yield tool


def _blocks(content: Any) -> list[Json]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _turns(messages: Any) -> Iterator[Json]:
    pairs = Pairs()
    for message in messages if isinstance(messages, list) else ():
        role = message.get("role")
        if role == "system":
            turned = reminder(message, as_user=True)
            if turned is None:
                continue
            message, role = turned, "user"
        blocks = _blocks(message.get("content"))
        if role == "assistant":
            yield from _filled(pairs)
            content = [block for given in blocks for block in _said(given, pairs)]
        else:
            content = _answered(blocks, pairs)
        if content:
            yield {"role": role, "content": content}


def _filled(pairs: Pairs) -> Iterator[Json]:
    """Results for calls that were never answered, as a message of their own."""
    missing = [{"type": "tool_result", "tool_use_id": id, "content": MISSING} for id in pairs.unanswered()]
    if missing:
        yield {"role": "user", "content": missing}


def _said(block: Json, pairs: Pairs) -> Iterator[Json]:
    kind = block.get("type")
    if kind == "tool_use":
        id, given = pairs.call(block.get("id")), block.get("input")
        taken = given if isinstance(given, dict) else msgspec.json.decode(arguments(given or ""))
        yield {"type": "tool_use", "id": id, "name": block.get("name"), "input": taken}
    elif kind not in ("thinking", "redacted_thinking"):
        yield from _shown(block)


def _answered(blocks: list[Json], pairs: Pairs) -> list[Json]:
    """A user message: results first, in the order of their calls; a result without a call becomes text."""
    order = pairs.open
    results: dict[str, Json] = {}
    rest: list[Json] = []
    for block in blocks:
        if block.get("type") != "tool_result":
            rest += _shown(block)
            continue
        id = pairs.result(block.get("tool_use_id"))
        content = [part for inner in _blocks(block.get("content")) for part in _shown(inner)]
        if id is None:
            rest += [{"type": "text", "text": "[Result of an earlier tool call]"}, *content]
        else:
            results[id] = {"type": "tool_result", "tool_use_id": id, "content": content or [{"type": "text", "text": "(empty)"}]}
    if results:  # what the client left out of a message that answers is not answered later
        for id in pairs.unanswered():
            results[id] = {"type": "tool_result", "tool_use_id": id, "content": [{"type": "text", "text": MISSING}]}
    return [*(results[id] for id in order if id in results), *rest]


def _shown(block: Json) -> Iterator[Json]:
    """A block of text or image as any vendor takes it; what the vendor's own tools did becomes text."""
    kind = str(block.get("type"))
    if kind == "text":
        if text := as_text(block):
            yield {"type": "text", "text": text}
    elif kind in ("image", "document") and is_kept_elsewhere(block):
        raise WireError(KEPT_ELSEWHERE)
    elif kind == "image":
        yield {"type": "image", "source": block.get("source")}
    elif kind == "document":
        yield from _document(block)
    elif kind in SERVER_BLOCKS or kind.endswith("_tool_result"):
        yield {"type": "text", "text": f"[{kind}] {server_text(block)}"}
    else:
        raise WireError(f"a block of type {kind!r} cannot be told to another vendor's model")


def _document(block: Json) -> Iterator[Json]:
    raw = block.get("source")
    source: Json = raw if isinstance(raw, dict) else {}
    if source.get("type") in ("text", "content"):
        yield {"type": "text", "text": as_text(source.get("data") or source.get("content"))}
    else:
        yield {"type": "document", **kept(block, ("source", "title"))}


def server_text(block: Json) -> str:
    """What a tool of the vendor's own was asked or has found, without encrypted parts, as JSON."""
    inner = {name: value for name, value in block.items() if name not in ("type", "id", "tool_use_id", "cache_control", "status")}
    return msgspec.json.encode(_readable(inner)).decode()


def _readable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _readable(part) for name, part in value.items() if not name.startswith("encrypted")}
    return [_readable(part) for part in value] if isinstance(value, list) else value


# ---- OpenAI Chat Completions

_CHAT = ("model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "stop", "temperature", "top_p",
         "response_format", "parallel_tool_calls")  # fmt: skip


def _chat(body: Json) -> Json:
    out = kept(body, _CHAT)
    tools = [{"type": "function", "function": kept(tool["function"], ("name", "description", "parameters", "strict"))}
             for tool in body.get("tools") or () if isinstance(tool, dict) and isinstance(tool.get("function"), dict)]
    if tools:
        out["tools"] = tools
        if body.get("tool_choice") is not None:
            out["tool_choice"] = body["tool_choice"]
    out["messages"] = list(_chat_turns(body.get("messages")))
    return out


def _chat_turns(messages: Any) -> Iterator[Json]:
    pairs = Pairs()
    lost: list[Json] = []  # results of nobody's calls: nothing may stand between calls and their results
    for message in messages if isinstance(messages, list) else ():
        role = message.get("role")
        if role == "function":
            raise WireError("results of functions in their form before 2024 cannot be told to another vendor's model")
        if role == "tool":
            id = pairs.result(message.get("tool_call_id"))
            text = as_text(message.get("content"))
            if id is None:
                lost.append({"role": "user", "content": f"[Result of an earlier tool call]\n{text}"})
            else:
                yield {"role": "tool", "tool_call_id": id, "content": text}
            continue
        for id in pairs.unanswered():
            yield {"role": "tool", "tool_call_id": id, "content": MISSING}
        yield from lost
        lost = []
        if role == "assistant":
            yield from _chat_said(message, pairs)
        else:
            content = [part for given in _blocks(message.get("content")) for part in _chat_part(given)]
            if content:
                plain = len(content) == 1 and content[0]["type"] == "text"
                yield {"role": "system" if role == "developer" else role, "content": content[0]["text"] if plain else content}
    for id in pairs.unanswered():  # what comes next will stand behind these, too
        yield {"role": "tool", "tool_call_id": id, "content": MISSING}
    yield from lost


def _chat_said(message: Json, pairs: Pairs) -> Iterator[Json]:
    text = as_text(message.get("content"))
    calls = [
        {"id": pairs.call(call.get("id")), "type": "function",
         "function": {"name": call["function"].get("name"), "arguments": arguments(call["function"].get("arguments") or "")}}
        for call in message.get("tool_calls") or () if isinstance(call, dict) and isinstance(call.get("function"), dict)
    ]  # fmt: skip
    if text or calls:
        yield {"role": "assistant", "content": text or None, **({"tool_calls": calls} if calls else {})}


def _chat_part(part: Json) -> Iterator[Json]:
    kind = part.get("type")
    if kind == "text":
        if part.get("text"):
            yield {"type": "text", "text": part["text"]}
    elif is_kept_elsewhere(part):
        raise WireError(KEPT_ELSEWHERE)
    elif kind in ("image_url", "file"):
        yield kept(part, ("type", "image_url", "file"))
    else:
        raise WireError(f"a part of type {kind!r} cannot be told to another vendor's model")


# ---- OpenAI Responses

_RESPONSES = ("model", "stream", "instructions", "max_output_tokens", "temperature", "top_p", "parallel_tool_calls")


def _responses(body: Json) -> Json:
    if body.get("previous_response_id") or body.get("conversation"):
        raise WireError("the history is kept by the client's own vendor: it cannot be told to another vendor's model")
    out = kept(body, _RESPONSES)
    text = body.get("text")
    if isinstance(text, dict) and isinstance(text.get("format"), dict):
        out["text"] = {"format": text["format"]}
    tools = [tool for _, tool in offered(body)]
    if tools:
        out["tools"] = [kept(tool, ("type", "name", "description", "parameters", "strict", "format")) for tool in tools]
        choice = body.get("tool_choice")
        if choice is not None and not (isinstance(choice, dict) and choice.get("type") not in ("function", "custom")):
            out["tool_choice"] = choice  # a choice among tools that the vendor runs itself is nobody else's
    given = body.get("input")
    items = [{"type": "message", "role": "user", "content": given}] if isinstance(given, str) else given
    out["input"] = list(_items(items))
    return out


def offered(body: Json) -> Iterator[tuple[str | None, Json]]:
    """The client's own tools, those that it offers inside the input too, each with the namespace that its calls must name."""
    given = body.get("input")
    items = [item for item in given if isinstance(item, dict)] if isinstance(given, list) else []
    late = (tool for item in items if item.get("type") == "additional_tools" for tool in item.get("tools") or ())
    for tool in (*(body.get("tools") or ()), *late):
        if not isinstance(tool, dict):
            continue
        inner = tool.get("tools") if tool.get("type") == "namespace" else [tool]
        for own in inner if isinstance(inner, list) else ():
            if isinstance(own, dict) and own.get("type") in ("function", "custom"):
                yield (str(tool.get("name")) if own is not tool else None), own
            elif isinstance(own, dict) and own.get("type") == shelling.NAME:
                yield None, shelling.TOOL


def _items(items: Any) -> Iterator[Json]:
    pairs = Pairs()
    kinds: dict[str, str] = {}
    for item in items if isinstance(items, list) else ():
        kind = str(item.get("type") or "message")
        if kind in RESPONSES_GONE:
            continue
        if kind in ("function_call", "custom_tool_call"):
            id = pairs.call(item.get("call_id"))
            kinds[id] = kind
            told = kept(item, ("type", "name", "arguments", "input"))
            if kind == "function_call":
                told["arguments"] = arguments(item.get("arguments") or "")
            yield {**told, "call_id": id}
        elif kind == shelling.CALL:
            id = pairs.call(item.get("call_id") or item.get("id"))
            kinds[id] = "function_call"
            yield shelling.as_function(item, id)
        elif kind == shelling.OUTPUT:
            yield _output({**item, "type": "function_call_output"}, pairs.result(item.get("call_id") or item.get("id")))
        elif kind in ("function_call_output", "custom_tool_call_output"):
            yield _output(item, pairs.result(item.get("call_id")))
        elif kind in ("message", "agent_message"):
            if item.get("role") != "assistant":  # words of the same answer may follow its calls
                for id in pairs.unanswered():
                    yield {"type": f"{kinds[id]}_output", "call_id": id, "output": MISSING}
            yield from _message(item)
        elif kind in RESPONSES_TOLD:
            yield {"type": "message", "role": "assistant",
                   "content": [{"type": "output_text", "text": f"[{kind}] {server_text(item)}"}]}
        else:
            raise WireError(f"an item of type {kind!r} cannot be told to another vendor's model")


def _output(item: Json, id: str | None) -> Json:
    output = item.get("output")
    parts = [part for part in output if isinstance(part, dict)] if isinstance(output, list) else None
    if id is None:
        return {"type": "message", "role": "user",
                "content": [{"type": "input_text", "text": f"[Result of an earlier tool call]\n{as_text(output)}"}]}
    images = parts is not None and any(part.get("type") == "input_image" for part in parts)
    return {"type": item["type"], "call_id": id, "output": parts if images else as_text(output)}


def _message(item: Json) -> Iterator[Json]:
    role, content = item.get("role") or "user", item.get("content")
    side = "output_text" if role == "assistant" else "input_text"
    if isinstance(content, str):
        content = [{"type": side, "text": content}]
    parts = []
    for part in content if isinstance(content, list) else ():
        kind = part.get("type")
        if kind in ("input_text", "output_text", "text", "refusal", "summary_text"):
            text = part.get("text") or part.get("refusal")
            if text:
                parts.append({"type": side, "text": text})
        elif is_kept_elsewhere(part):
            raise WireError(KEPT_ELSEWHERE)
        elif kind in ("input_image", "input_file"):
            parts.append(kept(part, ("type", "image_url", "detail", "file_data", "filename", "file_url")))
        else:
            raise WireError(f"a part of type {kind!r} cannot be told to another vendor's model")
    if parts:
        yield {"type": "message", "role": role, "content": parts}
