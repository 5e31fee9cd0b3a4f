"""What a model refuses: each rule is a 400 in the vendor's words, taken from the model's row.

Every check reads one field of ``models.toml``; ``tests/sandbox/test_rules.py`` enumerates the rows against them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Container
from typing import Any

from pointsman.sandbox import takes
from pointsman.sandbox.answering import ADVISOR_TOOL, max_output
from pointsman.sandbox.effort import misplaced
from pointsman.sandbox.errors import Refused
from pointsman.sandbox.incoming import Incoming, is_result
from pointsman.sandbox.models import Model, find
from pointsman.sandbox.prompt import as_blocks, mark_s
from pointsman.sandbox.rules_google import GEMINI
from pointsman.sandbox.thinking import prefix_names, seal, thinking_blocks

MARKS = 4
"""Cache marks a request may carry (Anthropic prompt-caching guide)."""

EFFORT_BETAS = ("mid-conversation-output-config-2026-07-01", "per-turn-control-2026-07-01")
"""Betas under which a message may carry an effort: the documented one, and the one Claude Code 2.1.330 sends."""

ADVISOR_BETA = "advisor-tool-2026-03-01"
NOT_FOR_SONNET = frozenset({"claude-opus-4-8", "claude-opus-4-7", "claude-sonnet-5", "claude-haiku-5-5"})
"""Models that Sonnet 5.5 takes no advice of."""

BOUND = "The block is bound to a different conversation."
Check = Callable[[Incoming, Model], None]


def unknown_model(request: Incoming) -> Refused:
    """The 404 for a model that the table does not have."""
    if request.protocol == "messages":
        return Refused(404, f"model: {request.model}")
    if request.protocol == "gemini":
        return Refused(404, f"models/{request.model} is not found for API version v1beta")
    message = f"The model `{request.model}` does not exist or you do not have access to it."
    return Refused(404, message, param="model", code="model_not_found")


def check(request: Incoming, row: Model, issued: Container[str] = ()) -> None:
    """Raise ``Refused`` for the first rule the request breaks.

    ``issued`` names the signatures this provider gave out: only those are held to the prefix they were given for, since
    the history of a scrubbed recording is no longer what its blocks were written after.
    """
    checks = {"messages": MESSAGES, "chat": OPENAI, "responses": OPENAI, "gemini": GEMINI}[request.protocol]
    for rule in checks:
        rule(request, row)
    if request.protocol == "messages":
        _signatures(request, row, issued)
    elif request.protocol == "responses":
        _encrypted(request, issued)


def fits(request: Incoming, row: Model, prompt: int) -> None:
    """Raise ``Refused`` when the prompt, or on some models the prompt and the output limit, do not fit the window."""
    if prompt > row.window:
        if request.protocol == "messages":
            raise Refused(400, f"prompt is too long: {prompt} tokens > {row.window} maximum")
        message = f"Your input exceeds the context window of this model: {prompt} tokens of {row.window}."
        raise Refused(400, message, param="input", code="context_length_exceeded")
    limit = max_output(request) or 0
    if request.protocol == "messages" and prompt + limit > row.window and row.overflow == "refuse":
        raise Refused(400, f"input length and `max_tokens` exceed context limit: {prompt} + {limit} > {row.window}")


# ---- Anthropic
def _shape(request: Incoming, row: Model) -> None:
    if not isinstance(request.body.get("max_tokens"), int):
        raise Refused(400, "max_tokens: Field required")
    if not request.messages:
        raise Refused(400, "messages: at least one message is required")


def _marks(request: Incoming, row: Model) -> None:
    """At most four marks, and longer lifetimes first."""
    body = request.body
    blocks = [*(body.get("tools") or []), *as_blocks(body.get("system"))]
    for message in request.messages:
        for block in as_blocks(message.get("content")):
            blocks.append(block)
            blocks.extend(as_blocks(block.get("content")))
    found = [ttl for ttl in map(mark_s, blocks) if ttl is not None]
    found += [ttl for ttl in [mark_s(body)] if ttl is not None]
    if len(found) > MARKS:
        raise Refused(400, f"A maximum of {MARKS} blocks with cache_control may be provided. Found {len(found)}.")
    if found != sorted(found, reverse=True):
        raise Refused(400, "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block")


def _thinking(request: Incoming, row: Model) -> None:
    kind = (request.body.get("thinking") or {}).get("type")
    if kind is None:
        return
    if kind not in row.thinking:
        raise Refused(400, f'"thinking.type.{kind}" is not supported for this model. Supported: {", ".join(row.thinking)}.')
    limit = dict(row.up_to).get(kind)
    effort = (request.body.get("output_config") or {}).get("effort") or row.default_effort
    if limit is not None and effort in row.efforts and row.efforts.index(effort) > row.efforts.index(limit):
        raise Refused(400, f'"thinking.type.{kind}" is only supported up to effort {limit!r} on this model, not {effort!r}.')
    if kind == "enabled":
        budget = (request.body.get("thinking") or {}).get("budget_tokens")
        if not isinstance(budget, int) or budget < 1024:
            raise Refused(400, "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
        if budget >= (max_output(request) or 0):
            raise Refused(400, "`max_tokens` must be greater than `thinking.budget_tokens`.")


def _effort(request: Incoming, row: Model) -> None:
    effort = (request.body.get("output_config") or {}).get("effort")
    if effort is None:
        return
    if not row.efforts:
        raise Refused(400, "This model does not support the effort parameter.")
    if effort not in row.efforts:
        raise Refused(
            400, f"output_config.effort: {effort!r} is not supported on this model. Supported: {', '.join(row.efforts)}."
        )


def _thinks(request: Incoming, row: Model) -> bool:
    return row.thinks((request.body.get("thinking") or {}).get("type"))


def _allowed(when: str, thinks: bool) -> bool:
    return when == "always" or (when == "thinking_off" and not thinks)


def _sampling(request: Incoming, row: Model) -> None:
    """Temperature 1 and top_p 1 are the defaults and always accepted."""
    used = [name for name, usual in (("temperature", 1), ("top_p", 1), ("top_k", None)) if request.body.get(name, usual) != usual]
    if used and not _allowed(row.sampling, _thinks(request, row)):
        why = (
            "may only be set to its default when thinking is enabled"
            if row.sampling == "thinking_off"
            else "is not supported on this model"
        )
        raise Refused(400, f"`{used[0]}` {why}.")


def _forced_tool(request: Incoming, row: Model) -> None:
    kind = (request.body.get("tool_choice") or {}).get("type")
    if kind in ("any", "tool") and not _allowed(row.forced_tool, _thinks(request, row)):
        why = (
            "Thinking may not be enabled when tool_choice forces tool use."
            if row.forced_tool == "thinking_off"
            else (f"tool_choice.{kind} (forced tool use) is not supported on this model.")
        )
        raise Refused(400, why)


def _prefill(request: Incoming, row: Model) -> None:
    if request.messages[-1].get("role") == "assistant" and not _allowed(row.prefill, _thinks(request, row)):
        raise Refused(
            400, "This model does not support assistant message prefill. The conversation must end with a user message."
        )


def _system_messages(request: Incoming, row: Model) -> None:
    for n, message in enumerate(request.messages):
        if message.get("role") not in ("user", "assistant", "system"):
            raise Refused(400, f"messages.{n}.role: Input should be 'user' or 'assistant'")
        if message.get("role") == "system" and not row.system_messages:
            raise Refused(
                400,
                f'messages.{n}: Unexpected role "system". The Messages API accepts a top-level `system` parameter on this model.',
            )
        allowed = row.effort_messages and any(beta in request.headers.get("anthropic-beta", "") for beta in EFFORT_BETAS)
        if "output_config" in message and not allowed:
            raise Refused(400, f"messages.{n}.output_config: Extra inputs are not permitted")
        told = (message.get("output_config") or {}).get("effort")
        if told is not None and told not in row.efforts:
            raise Refused(400, f"messages.{n}.output_config.effort: {told!r} is not supported on this model")
        if message.get("role") == "system" and not message.get("content") and told is None:
            raise Refused(400, f"messages.{n}: system messages must have content or an output_config")
    wrong = misplaced(request.messages)
    if wrong is not None:
        raise Refused(
            400, f"messages.{wrong}: system messages with content must follow a user message, and end or precede an assistant one"
        )


def _limit(request: Incoming, row: Model) -> None:
    limit = max_output(request) or 0
    if limit > row.max_output:
        raise Refused(
            400,
            f"max_tokens: {limit} > {row.max_output}, which is the maximum allowed number of output tokens for {request.model}",
        )


def _names(ids: set[Any]) -> str:
    return ", ".join(sorted(map(str, ids)))


def _tool_pairs(request: Incoming, row: Model) -> None:
    """Every tool_use is answered in the next user message, every tool_result answers one in the message before."""
    rows = [(n, message) for n, message in enumerate(request.messages) if message.get("role") != "system"]
    for (n, message), (_, before) in zip(rows[1:], rows, strict=False):
        wanted = (
            {b.get("id") for b in as_blocks(before.get("content")) if b.get("type") == "tool_use"}
            if before.get("role") == "assistant"
            else set()
        )
        got = {b.get("tool_use_id") for b in as_blocks(message.get("content")) if b.get("type") == "tool_result"}
        if wanted - got:
            raise Refused(
                400, f"messages.{n}: `tool_use` ids were found without `tool_result` blocks right after: {_names(wanted - got)}."
            )
        if got - wanted:
            raise Refused(400, f"messages.{n}: unexpected `tool_use_id` found in `tool_result` blocks: {_names(got - wanted)}.")


def _signatures(request: Incoming, row: Model, issued: Container[str]) -> None:
    """A signature must be one of ours; on models that bind, its prefix must be the one it was written after."""
    drop = ((request.body.get("thinking") or {}).get("block_binding") or {}).get("prefix_mismatch_behavior") == "drop_block"
    before = None
    for n, k, block in thinking_blocks(request):
        found = seal(block.get("signature"))
        if found is None:
            raise Refused(400, f"messages.{n}.content.{k}: Invalid `signature` in `thinking` block")
        bound = row.binds and row.reads_blocks_of(found.model, request.model) and not drop and found.name in issued
        moved = found.prefix != prefix_names(request)[n] or (before is not None and found.link != before)
        if bound and moved:
            raise Refused(400, f"messages.{n}.content.{k}: Invalid `signature` in `thinking` block. {BOUND}")
        before = found.name


def unreadable(request: Incoming, row: Model) -> frozenset[tuple[int, int]]:
    """(message, block) of the thinking blocks that this model cannot read: dropped unbilled, for this request only."""
    if request.protocol != "messages":
        return frozenset()
    found = ((n, k, seal(block.get("signature"))) for n, k, block in thinking_blocks(request))
    return frozenset((n, k) for n, k, s in found if s is not None and not row.reads_blocks_of(s.model, request.model))


def _advisor(request: Incoming, row: Model) -> None:
    """Anthropic's advisor tool: its beta and blocks, its smallest answer, the pairs it refuses (advisor page, August 2026)."""
    beta = ADVISOR_BETA in request.headers.get("anthropic-beta", "")
    offered = any(tool.get("type") == ADVISOR_TOOL for tool in request.body.get("tools") or [])
    for n, message in enumerate(request.messages):
        if any(block.get("type") == "advisor_tool_result" for block in as_blocks(message.get("content"))):
            if not beta:
                raise Refused(400, f"messages.{n}: advisor_tool_result blocks need the beta {ADVISOR_BETA}")
            if not offered:
                raise Refused(400, f"messages.{n}: advisor_tool_result blocks need the tool {ADVISOR_TOOL}")
    for tool in request.body.get("tools") or []:
        if tool.get("type") != ADVISOR_TOOL:
            continue
        advisor = find(str(tool.get("model")))
        if not beta:
            raise Refused(400, f"tools: {ADVISOR_TOOL} needs the beta {ADVISOR_BETA}")
        if advisor is None or advisor.vendor != "anthropic" or not advisor.efforts:
            raise Refused(400, f"tools: {tool.get('model')} cannot be an advisor")
        if "claude-sonnet-5-5" in row.names and set(advisor.names) & NOT_FOR_SONNET:
            raise Refused(400, f"tools: {tool.get('model')} cannot advise this model")
        if int(tool.get("max_tokens") or 1_024) < 1_024:
            raise Refused(400, "tools: max_tokens of an advisor must be at least 1024")


MESSAGES: tuple[Check, ...] = (
    _advisor,
    _shape,
    _marks,
    _effort,
    _thinking,
    _sampling,
    _forced_tool,
    _limit,
    _system_messages,
    _prefill,
    _tool_pairs,
    takes.tool_search,
    takes.speed,
    takes.betas,
)


# ---- OpenAI
def _openai_effort(request: Incoming, row: Model) -> None:
    effort = (request.body.get("reasoning") or {}).get("effort") or request.body.get("reasoning_effort")
    if effort is None or effort in row.efforts:
        return
    name = "reasoning.effort" if request.protocol == "responses" else "reasoning_effort"
    if not row.efforts:
        raise Refused(
            400, f"Unsupported parameter: '{name}' is not supported with this model.", param=name, code="unsupported_parameter"
        )
    supported = ", ".join(repr(e) for e in row.efforts)
    raise Refused(
        400,
        f"Unsupported value: '{effort}' is not supported with the '{request.model}' model. Supported values are: {supported}.",
        param=name,
        code="unsupported_value",
    )


def _openai_sampling(request: Incoming, row: Model) -> None:
    if row.sampling == "always":
        return
    for name, usual in (("temperature", 1), ("top_p", 1), ("presence_penalty", 0), ("frequency_penalty", 0)):
        if request.body.get(name, usual) not in (usual, None):
            raise Refused(
                400,
                f"Unsupported value: '{name}' does not support {request.body[name]} with this model: only the default ({usual}).",
                param=name,
                code="unsupported_value",
            )
    if request.protocol == "chat" and row.vendor == "openai" and "max_tokens" in request.body:
        raise Refused(
            400,
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            param="max_tokens",
            code="unsupported_parameter",
        )


def _openai_limit(request: Incoming, row: Model) -> None:
    limit = max_output(request) or 0
    if limit > row.max_output:
        raise Refused(
            400,
            f"max_tokens is too large: {limit}. This model supports at most {row.max_output} completion tokens.",
            param="max_tokens",
            code="invalid_value",
        )


def _openai_pairs(request: Incoming, row: Model) -> None:
    """Every tool output answers a call that stands before it, and every call is answered."""
    calls: list[str] = []
    outputs: set[str] = set()
    for message in request.messages:
        calls += [str(call.get("id")) for call in message.get("tool_calls") or []]
        if str(message.get("type", "")).endswith("_call") and message.get("call_id"):
            calls.append(str(message["call_id"]))
        if is_result(message):
            answers = str(message.get("tool_call_id") or message.get("call_id"))
            if answers not in calls:
                where = "tool_call_id" if request.protocol == "chat" else "input"
                raise Refused(400, f"No tool call found for function call output with call_id {answers}.", param=where)
            outputs.add(answers)
    missing = [name for name in calls if name not in outputs]
    if missing:
        raise Refused(
            400,
            f"No tool output found for function call {missing[0]}.",
            param="input" if request.protocol == "responses" else "messages",
        )


def _encrypted(request: Incoming, issued: Container[str]) -> None:
    """Encrypted reasoning is bound to its organisation."""
    for item in request.messages:
        content = item.get("encrypted_content")
        if item.get("type") != "reasoning" or not content:
            continue
        try:
            parts = base64.b64decode(str(content), validate=True).decode().split("|")
        except (binascii.Error, UnicodeDecodeError):
            parts = []
        known = len(parts) == 4 and parts[0] == "pme1"
        if not known or (str(content) in issued and parts[2] != request.credential):
            raise Refused(
                400,
                f"The encrypted content for item {item.get('id')} could not be verified.",
                param="input",
                code="invalid_encrypted_content",
            )


def _configuration(request: Incoming, row: Model) -> None:
    for item in request.messages:
        if item.get("type") != "configuration_update":
            continue
        told = (item.get("reasoning") or {}).get("effort")
        if not row.effort_messages or request.protocol != "responses":
            raise Refused(400, "Invalid value: 'configuration_update'.", param="input", code="invalid_value")
        if told not in row.efforts:
            raise Refused(400, f"Invalid value: {told!r}.", param="input", code="invalid_value")


def _vision(request: Incoming, row: Model) -> None:
    """A text-only model refuses images."""
    if row.vision:
        return
    for n, item in enumerate(request.messages):
        if any(block.get("type") in ("image_url", "input_image") for block in as_blocks(item.get("content"))):
            raise Refused(400, f"messages[{n}]: unknown variant `image_url`, expected `text`", param="messages")


OPENAI: tuple[Check, ...] = (_vision, _openai_effort, _openai_sampling, _openai_limit, _openai_pairs, _configuration)
