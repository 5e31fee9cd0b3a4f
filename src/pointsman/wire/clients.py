"""Who is speaking: client, session, agent, turn and purpose of a request. One small function per client, one table.

What each client sends was seen with the versions named in ``wire.dialects`` (design notes, clients.md 2); a field marked
*read* was found in the client's package, not on the wire. Clients that send no ids get none here: lineage then goes by
message hashes. Nothing here is guessed from prose but the client's own fixed markers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2s
from typing import Any

import msgspec

from pointsman.core.messages import Message
from pointsman.core.types import Auth, Protocol, Purpose
from pointsman.wire.digest import Head
from pointsman.wire.heads import is_folder
from pointsman.wire.protocols import bare


@dataclass(frozen=True, slots=True)
class Sight:
    """What of a request tells who sent it. ``headers`` have lower-case keys; ``metadata`` is the protocol's own field."""

    protocol: Protocol
    path: str
    headers: Mapping[str, str]
    system: Head
    tools: Head
    messages: tuple[Message, ...]
    metadata: Mapping[str, Any]
    cache_key: str | None
    json_schema: bool
    max_output: int | None


@dataclass(frozen=True, slots=True)
class Identity:
    """The client's own ids, where it sends them, and what the request is for."""

    session: str | None = None
    agent: str | None = None
    parent: str | None = None
    turn_id: str | None = None
    purpose: Purpose = "turn"
    interactive: bool | None = None
    cwd: str | None = None


AGENTS: tuple[tuple[str, str], ...] = (
    ("claude-cli/", "claude"), ("codex", "codex"), ("opencode/", "opencode"), ("QwenCode/", "qwen"),
    ("GeminiCLI", "gemini"), ("Cline/", "cline"), ("cline/", "cline"), ("aider/", "aider"), ("mini-swe-agent", "mini"),
)  # fmt: skip
"""Beginnings of the user-agent header. Cline 3.0.65, aider and mini-swe-agent send their HTTP library's; see OPENINGS."""

OPENINGS: tuple[tuple[str, str], ...] = (
    ("You are Claude Code", "claude"), ("You are a Claude agent, built on", "claude"), ("You are Codex", "codex"),
    ("You are OpenCode", "opencode"), ("You are opencode", "opencode"), ("You are a title generator", "opencode"),
    ("You are Qwen Code", "qwen"), ("You are Gemini CLI", "gemini"), ("You are Cline", "cline"),
    ("Act as an expert software developer", "aider"), ("Act as an expert code analyst", "aider"),
    ("Act as an expert software engineer", "aider"), ("Act as an expert architect engineer", "aider"),
    ("You are an expert software engineer that generates concise", "aider"),
    ("*Briefly* summarize this partial conversation about programming", "aider"),
    ("You are a helpful assistant that can interact", "mini"),
)  # fmt: skip
"""Beginnings of system prompts, for clients that do not name themselves in a header."""

TITLES = ("You are a title generator", "Generate a concise, sentence-case title", "Generate a title for this conversation")
"""System prompts of requests that only name a conversation."""


def client_of(headers: Mapping[str, str], system: Head) -> str:
    """The client that sent a request: by its headers, else by the beginning of its system prompt, else ``unknown``."""
    if "x-claude-code-session-id" in headers or system.billing:
        return "claude"
    if "x-codex-turn-metadata" in headers or headers.get("originator", "").startswith("codex"):
        return "codex"
    agent = headers.get("user-agent", "")
    for start, client in AGENTS:
        if agent.startswith(start):
            return client
    if "x-session-affinity" in headers or "x-opencode-session" in headers:
        return "opencode"
    return next((client for start, client in OPENINGS if system.opening.startswith(start)), "unknown")


def identify(client: str, sight: Sight) -> Identity:
    """Ids and purpose of a request of ``client``."""
    found = CLIENTS.get(client, _unknown)(sight)
    if found.cwd is None:
        found = replace(found, cwd=sight.system.cwd)
    return found if found.cwd is None or is_folder(found.cwd) else replace(found, cwd=None)


def auth_of(headers: Mapping[str, str], path: str) -> Auth:
    """How the client pays. A subscription login is told by Anthropic's token or beta, or by ChatGPT's account header."""
    bearer = headers.get("authorization", "").removeprefix("Bearer ").strip()
    oauth = any(beta.strip().startswith("oauth-") for beta in headers.get("anthropic-beta", "").split(","))
    if bearer.startswith("sk-ant-oat") or oauth:
        return "subscription"
    if "chatgpt-account-id" in headers or "/backend-api/" in bare(path):
        return "subscription"
    keyed = bearer or any(headers.get(name) for name in ("x-api-key", "api-key", "x-goog-api-key"))
    return "key" if keyed or "key=" in path.partition("?")[2] else "none"


def key_of(headers: Mapping[str, str], path: str, auth: Auth) -> int:
    """Sixteen bits that tell one API key from another and say nothing else of it; 1 for a login, whose tokens rotate; 0: none."""
    if auth != "key":
        return 1 if auth == "subscription" else 0
    given = [headers.get(name, "") for name in ("authorization", "x-api-key", "api-key", "x-goog-api-key")]
    query = path.partition("?")[2]
    asked = [part for part in query.split("&") if part.startswith("key=")] if "key=" in query else []
    digest = blake2s(" ".join([*given, *asked]).encode(), digest_size=2, person=b"keytag").digest()
    return max(2, int.from_bytes(digest))


def _plain(sight: Sight) -> Identity:
    """A known client that sends no ids (qwen, gemini, cline, mini)."""
    return Identity(purpose=_purpose(sight))


def _unknown(sight: Sight) -> Identity:
    """A client that is not in the table: what asks for JSON may be its user's work, so only a title is housekeeping."""
    return Identity(purpose=_purpose(replace(sight, json_schema=False)))


def _purpose(sight: Sight) -> Purpose:
    """What holds for every client: a request for a summary; a title asked for without tools; else agent work."""
    last = sight.messages[-1] if sight.messages else None
    if last is not None and "summarise" in last.facts or sight.system.opening.startswith("*Briefly* summarize"):
        return "compaction"
    bare_request = not (sight.tools.client_tools or sight.tools.server_tools)
    if bare_request and (sight.json_schema or sight.system.opening.startswith(TITLES)):
        return "side"
    if sight.max_output is not None and sight.max_output <= 1 and len(sight.messages) == 1:
        return "side"  # a probe of the key or the quota, or a cache warm-up
    return "turn"


def _claude(sight: Sight) -> Identity:
    """Claude Code and its SDK.

    Session: header ``x-claude-code-session-id``, else ``session_id`` inside ``metadata.user_id``, which is a JSON string
    (older: ``user_.._session_ID``). Sub-agent: ``x-claude-code-agent-id``, or ``cc_is_subagent=true`` in the billing line.
    Interactive: ``cc_entrypoint=cli`` there, else the same word in the user-agent; ``sdk-..`` is headless. The turn's id
    (``x-claude-code-prompt-id``, *read*) is only sent to the vendor's own address. Side traffic: what ``_purpose`` names,
    or only tools that the provider runs (a web search). No tools and no marks prove nothing: that may be its user's work.
    """
    headers, billing = sight.headers, _billing(sight.system.billing)
    user = _json(sight.metadata.get("user_id"))
    session = headers.get("x-claude-code-session-id") or user.get("session_id")
    if not session and isinstance(sight.metadata.get("user_id"), str):
        session = sight.metadata["user_id"].partition("_session_")[2]
    agent = headers.get("x-claude-code-agent-id")
    if not agent and billing.get("cc_is_subagent") == "true":
        agent = f"sub-{sight.messages[0].hash:016x}" if sight.messages else "sub"
    purpose = _purpose(sight)
    if purpose == "turn" and sight.tools.server_tools and not sight.tools.client_tools:
        purpose = "side"
    return Identity(
        session=_id(session),
        agent=_id(agent),
        parent=_id(headers.get("x-claude-code-parent-agent-id")),
        turn_id=_id(headers.get("x-claude-code-prompt-id")),
        purpose=purpose,
        interactive=_claude_interactive(billing.get("cc_entrypoint"), headers.get("user-agent", "")),
    )


def _claude_interactive(entrypoint: str | None, agent: str) -> bool | None:
    if entrypoint is None:
        entrypoint = next((word.strip(" ()") for word in agent.split(",")[1:2]), None)
    if not entrypoint:
        return None
    return not entrypoint.startswith(("sdk", "mcp", "claude-code-github-action", "bench"))


def _codex(sight: Sight) -> Identity:
    """Codex.

    Session: header ``session-id``, else the body's ``prompt_cache_key``. Sub-agents share it and have a ``thread-id`` of
    their own, with ``x-codex-parent-thread-id``; a parent that is the session itself is the main loop. The JSON in
    ``x-codex-turn-metadata`` (also in the body's ``client_metadata``) has ``turn_id`` and ``request_kind``: ``compaction``
    summarises, ``prewarm`` and others are housekeeping. A title is asked for in a thread of its own (``thread_source``:
    ``thread_title``), which is no session of a person's. Interactive: ``originator`` is ``codex_exec`` when headless.
    """
    headers = sight.headers
    turn = _json(headers.get("x-codex-turn-metadata") or sight.metadata.get("x-codex-turn-metadata"))
    session = headers.get("session-id") or headers.get("session_id") or sight.cache_key
    parent = headers.get("x-codex-parent-thread-id")
    kind = headers.get("x-openai-subagent", "")
    agent = (headers.get("thread-id") or headers.get("thread_id")) if parent or kind else None
    request_kind = turn.get("request_kind") or "turn"
    title = turn.get("thread_source") == "thread_title"
    purpose = _purpose(sight)
    if request_kind == "compaction" or kind == "compact":
        purpose = "compaction"
    elif request_kind != "turn" or kind == "memory_consolidation" or title:
        purpose = "side"
    origin = headers.get("originator") or headers.get("user-agent", "").partition("/")[0]
    return Identity(
        session=None if title else _id(session),
        agent=_id(agent) if agent != session else None,
        parent=_id(parent) if parent != session else None,
        turn_id=_id(turn.get("turn_id")),
        purpose=purpose,
        interactive=origin != "codex_exec" if origin else None,
        cwd=next(iter(_object(turn.get("workspaces"))), None),
    )


def _opencode(sight: Sight) -> Identity:
    """OpenCode.

    Session: header ``x-session-id`` (= ``x-session-affinity``; ``x-opencode-session`` to its own service, *read*). A
    sub-agent has an id of its own and names its session in ``x-parent-session-id``. The title request has the session's
    id, no tools and a system prompt of its own. ``x-opencode-request`` (*read*) is the id of the user's message.
    """
    headers = sight.headers
    own = headers.get("x-session-id") or headers.get("x-session-affinity") or headers.get("x-opencode-session")
    parent = headers.get("x-parent-session-id")
    return Identity(
        session=_id(parent or own),
        agent=_id(own) if parent else None,
        turn_id=_id(headers.get("x-opencode-request")),
        purpose=_purpose(sight),
    )


def _aider(sight: Sight) -> Identity:
    """aider: no ids; each request is a turn. Commit messages and summaries run on its weak model, told by the system prompt."""
    if sight.system.opening.startswith("You are an expert software engineer that generates concise"):
        return Identity(purpose="side")
    return Identity(purpose=_purpose(sight))


CLIENTS: Mapping[str, Callable[[Sight], Identity]] = {
    "claude": _claude,
    "codex": _codex,
    "opencode": _opencode,
    "aider": _aider,
    "qwen": _plain,
    "gemini": _plain,
    "cline": _plain,
    "mini": _plain,
}
"""The Claude Agent SDK speaks as ``claude``, headless: it runs the same program."""


def _billing(line: str) -> dict[str, str]:
    """The ``name=value;`` pairs of Claude Code's billing line."""
    pairs = (part.strip().partition("=") for part in line.partition(":")[2].split(";"))
    return {name: value for name, _, value in pairs if name}


def _json(value: Any) -> dict[str, Any]:
    """A JSON object that travels as a string; anything else is empty."""
    if not isinstance(value, str) or not value.startswith("{"):
        return _object(value)
    try:
        return _object(msgspec.json.decode(value))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _id(value: Any) -> str | None:
    """An id as it came, shortened to what a ledger column should hold; empty and foreign values are none.

    Ids are shown in terminals: what is not printable there (escape sequences, line ends) becomes a question mark.
    """
    if not isinstance(value, str) or not value:
        return None
    return "".join(c if c.isprintable() else "?" for c in value[:200])
