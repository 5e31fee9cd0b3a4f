"""Scrubbing: vendors' prompt texts and private facts become filler of the same length; what lineage reads stays.

Theory of operation. A string of a request is kept for one of four reasons only: it stands under a key whose values are
names or settings (``KEPT_KEYS``) and looks like one; it is one of the short ``MARKERS``; it is one of our *own* lines
(the scenario's prompts and files, and whatever the recorded provider answered); or it holds no letter and no digit.
Everything else is replaced line by line: letters by syllables, digits by digits, drawn from a hash of the line. So the
same line always gives the same filler (equal prefixes stay equal), length, UTF-8 size and JSON-escaped size stay as they
were, and ``is_filler`` can tell filler from prose. Pure: the same input gives the same output.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from pointsman.shell.recording import STYLES, Exchange, Recording, Response, style_of

MARKERS: tuple[str, ...] = (
    # Claude Code
    "x-anthropic-billing-header:", "cc_is_subagent=true", "external, ", "sdk-cli", "<system-reminder>",
    "</system-reminder>", "<total_tokens>", "</total_tokens>",
    "You are Claude Code, Anthropic's official CLI for Claude", "You are a Claude agent, built on Anthropic's",
    "CRITICAL: Respond with TEXT ONLY", "create a detailed summary", "<summary>", "</summary>",
    "This session is being continued from a previous conversation", "[Request interrupted by user]",
    "[Request interrupted by user for tool use]", "Plan mode is active", "Generate a concise, sentence-case title",
    "<session>", "</session>", "<command-name>", "</command-name>", "<local-command-stdout>",
    "<local-command-caveat>", "<task-notification>", "</task-notification>", "<tool_use_error>",
    # Codex
    "You are Codex", "<environment_context>", "</environment_context>", "<cwd>", "</cwd>", "<user_instructions>",
    "</user_instructions>", "<permissions instructions>", "</permissions instructions>", "<skills_instructions>",
    "</skills_instructions>", "<turn_aborted>", "</turn_aborted>", "<collaboration_mode>",
    "CONTEXT CHECKPOINT COMPACTION",
    # OpenCode, aider
    "You are a title generator", "Generate a title for this conversation", "You are OpenCode",
    "Act as an expert software developer", "You are an expert software engineer that generates concise",
)
"""Texts of clients that lineage, purpose and sensors read; each at most 80 characters (listed in sessions/README.md)."""

PATTERNS: tuple[str, ...] = (
    r"cc_version=[\w.]{1,40}", r"cc_entrypoint=[\w-]{1,40}", r"Exit code \d{1,3}", r"Process exited with code \d{1,3}",
    r"\d{1,12} tokens left",
)
"""Markers with a value in them, as regular expressions."""

KEPT_KEYS = frozenset({
    "model", "role", "type", "name", "id", "tool_use_id", "tool_call_id", "call_id", "effort", "status", "object",
    "tool_choice", "ttl", "scope", "display", "keep", "summary", "verbosity", "include", "required", "enum", "const",
    "$schema", "format", "prompt_cache_key", "session_id", "thread_id", "turn_id", "root_turn_id", "window_id",
    "x-codex-window-id", "context_window_id", "agent_name", "request_kind", "history_initialization", "thread_source",
    "turn_trigger", "sandbox_mode", "sandbox", "reasoning_effort", "trigger", "reason", "phase", "implementation",
    "strategy", "subagent_kind", "parent_thread_id", "forked_from_thread_id", "previous_response_id", "service_tier",
    "stop_reason", "mode", "media_type", "detail", "namespace", "syntax", "tool_name",
})
"""Keys whose string values are names, ids or settings of the protocol; kept where they look like one (``_NAME``)."""

KEPT_HEADERS = frozenset({
    "accept", "content-type", "anthropic-version", "anthropic-beta", "anthropic-dangerous-direct-browser-access",
    "x-app", "x-claude-code-session-id", "x-claude-code-agent-id", "x-claude-code-parent-agent-id",
    "x-claude-code-request-class", "x-claude-code-prompt-id", "x-stainless-lang", "x-stainless-retry-count",
    "x-stainless-package-version", "x-stainless-timeout", "x-stainless-async", "x-stainless-raw-response",
    "x-stainless-read-timeout", "x-stainless-helper-method", "session-id", "thread-id", "originator", "openai-beta",
    "version", "x-codex-window-id", "x-codex-beta-features", "x-codex-parent-thread-id", "x-openai-subagent",
    "x-client-request-id", "x-session-id", "x-session-affinity", "x-parent-session-id", "cache-control", "request-id",
    "retry-after", "anthropic-organization-id", "x-request-id", "openai-model",
})
SECRET_HEADERS: Mapping[str, str] = {
    "authorization": "Bearer fake-key", "x-api-key": "fake-key", "api-key": "fake-key", "x-goog-api-key": "fake-key",
    "cookie": "fake", "chatgpt-account-id": "fake-account", "proxy-authorization": "fake",
}
_LOST_HEADERS = frozenset({"date", "server", "set-cookie", "via"})

_ECHOED: Mapping[str, Any] = {"instructions": None, "tools": []}
"""Fields of an answer that repeat the request, and what a recording has instead."""

_NAME = re.compile(r"[\w.:/@+=$,#-]{0,128}")
_PROSE = re.compile(r"[^\W_]")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_NUMBERED = re.compile(r"^\s*\d+(?:→|\t|: ?|\|)")
_SPLIT = re.compile("(" + "|".join([*(re.escape(m) for m in sorted(MARKERS, key=len, reverse=True)), *PATTERNS]) + ")")
_CONSONANTS, _VOWELS = "bdfgklmnprstvz", "aeiou"
_WIDE = {2: "é", 3: "の", 4: "𐀀"}
_FILLED = re.compile(rf"(?:[{_CONSONANTS}][{_VOWELS}])*[{_CONSONANTS}]?")


@dataclass(frozen=True)
class Scrubber:
    """What may stay: ``own`` lines (as ``_bare`` leaves them). ``private`` strings are replaced wherever they occur."""

    own: frozenset[str] = frozenset()
    private: tuple[str, ...] = ()

    def text(self, text: str) -> str:
        """``text`` with every line replaced that is not ours; same length, same size."""
        return "".join(self._line(line) for line in re.split(r"(\n)", self.hide(text)))

    def hide(self, text: str) -> str:
        """``text`` with private strings and mail addresses replaced; everything else as it was."""
        for secret in self.private:
            if secret in text:
                text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", filler(secret), text)
        return _EMAIL.sub(lambda match: filler(match[0]), text)

    def body(self, value: Any, key: str = "") -> Any:
        """A request body's JSON value, scrubbed; keys, numbers and structure stay."""
        if isinstance(value, dict):
            return {self.hide(name): self.body(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [self.body(item, key) for item in value]
        if not isinstance(value, str):
            return value
        if key in KEPT_KEYS and _NAME.fullmatch(value):
            return self.hide(value)
        return self.packed(value) or self.text(value)

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Headers with credentials replaced by a constant and unknown values by filler."""
        kept: dict[str, str] = {}
        for name, value in headers.items():
            if name in SECRET_HEADERS:
                kept[name] = SECRET_HEADERS[name]
            elif name == "user-agent":
                product, bracket, machine = value.partition("(")
                kept[name] = product + bracket + self.text(machine)
            elif name in KEPT_HEADERS:
                kept[name] = self.hide(value)
            elif name not in _LOST_HEADERS:
                kept[name] = self.packed(value) or self.text(value)
        return kept

    def response(self, response: Response) -> Response:
        """A response: the provider's own words stay, but for private strings and prompts that it echoes."""
        events = tuple(self._event(event) for event in response.events)
        body = None if response.body is None else self._event(response.body)
        return replace(response, headers=self.headers(response.headers), events=events, body=body)

    def _event(self, event: str) -> str:
        """One SSE event or JSON body; the Responses API repeats the request's ``instructions`` and ``tools``: left out."""
        if '"instructions"' not in event and '"tools"' not in event:
            return self.hide(event)
        lines = []
        for line in event.split("\n"):
            head, data = ("data: ", line[6:]) if line.startswith("data: ") else ("", line)
            packed = self.packed(data, echo=True)
            lines.append(head + packed if packed else self.hide(line))
        return "\n".join(lines)

    def packed(self, text: str, echo: bool = False) -> str | None:
        """A string that holds a JSON object, scrubbed inside and written in its own style; None when it holds none."""
        if not text.startswith("{"):
            return None
        try:
            value = json.loads(text)
        except ValueError:
            return None
        style = style_of(text.encode(), value)
        if style is None:
            return None
        return json.dumps(self._echo(value) if echo else self.body(value), **STYLES[style])

    def _echo(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {k: _ECHOED[k] if k in _ECHOED else self._echo(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self._echo(item) for item in value]
        return self.hide(value) if isinstance(value, str) else value

    def _line(self, line: str) -> str:
        if not _PROSE.search(line) or _bare(line) in self.own:
            return line
        parts = _SPLIT.split(line)
        return "".join(
            part if place % 2 or not _PROSE.search(part) or _bare(part) in self.own else filler(part, f"{place}:{line}")
            for place, part in enumerate(parts)
        )


def filler(text: str, salt: str = "") -> str:
    """Syllables and digits in the shape of ``text``: same characters' sizes, same punctuation, no word of it."""
    source = blake2b((salt or text).encode("utf-8", "surrogatepass"), digest_size=16).digest()
    out: list[str] = []
    place = 0  # in the current run of letters: even places take a consonant, odd ones a vowel
    for index, char in enumerate(text):
        if index % 64 == 0:
            stream = blake2b(source + index.to_bytes(4, "big"), digest_size=64).digest()
        pick = stream[index % 64]
        if char.isascii() and char.isalpha():
            letters = _VOWELS if place % 2 else _CONSONANTS
            out.append(letters[pick % len(letters)])
            place += 1
            continue
        place = 0
        if char.isascii() and char.isdigit():
            out.append(str(pick % 10))
        elif char.isascii() or not char.isalnum():
            out.append(char)
        else:
            out.append(_WIDE[len(char.encode())])
    return "".join(out)


def is_filler(text: str) -> bool:
    """Whether every run of letters in ``text`` is made of our syllables, so that no word of anyone's is left."""
    return all(_FILLED.fullmatch(run) for run in re.findall(r"[A-Za-z]+", text)) and not any(
        char.isalpha() and not char.isascii() and char not in _WIDE.values() for char in text
    )


def residue(value: Any, own: frozenset[str], key: str = "") -> Iterable[str]:
    """The pieces of a scrubbed body that are neither filler, nor a marker, nor ours, nor a name: none, or it is a bug."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from residue(item, own, name)
    elif isinstance(value, list):
        for item in value:
            yield from residue(item, own, key)
    elif isinstance(value, str) and not (key in KEPT_KEYS and _NAME.fullmatch(value)):
        try:
            packed = json.loads(value) if value.startswith("{") else None
        except ValueError:
            packed = None
        if packed is not None:
            yield from residue(packed, own)
            return
        for line in value.split("\n"):
            if _bare(line) not in own:
                yield from (p for p in _SPLIT.split(line)[::2] if not is_filler(p) and _bare(p) not in own)


def own_lines(texts: Iterable[str]) -> frozenset[str]:
    """The lines of our own texts, in the form in which they are compared."""
    return frozenset(_bare(line) for text in texts for line in text.split("\n"))


def spoken(exchanges: Iterable[Exchange]) -> frozenset[str]:
    """The lines that the recorded provider answered: text, reasoning and tool arguments, however they were streamed."""
    texts: list[str] = []
    for exchange in exchanges:
        if exchange.response is not None and exchange.response.status == 200:
            texts += _answered(exchange.response)
    return own_lines(texts)


def scrub(session: Recording, own: Sequence[str] = (), private: Sequence[str] = ()) -> Recording:
    """The recording without vendors' texts and private strings. ``own``: our own texts, which stay."""
    secrets = tuple(sorted({text for text in private if len(text) > 2}, key=len, reverse=True))
    hider = Scrubber(private=secrets)
    kept = tuple(hider.hide(text) for text in own)
    lines = own_lines(hider.hide(line) for line in spoken(session.exchanges)) | own_lines(kept)
    scrubber = Scrubber(lines, secrets)
    return replace(session, own=kept, exchanges=tuple(_scrubbed(exchange, scrubber) for exchange in session.exchanges))


def _scrubbed(exchange: Exchange, scrubber: Scrubber) -> Exchange:
    body = exchange.body
    if body:
        text = body.decode("utf-8", "surrogateescape")
        body = (scrubber.packed(text) or scrubber.text(text)).encode("utf-8", "surrogateescape")
    response = None if exchange.response is None else scrubber.response(exchange.response)
    path = re.sub(r"([?&]key=)[^&]*", r"\1fake-key", exchange.path)
    return replace(exchange, path=path, headers=scrubber.headers(exchange.headers), body=body, response=response)


def _bare(line: str) -> str:
    """A line without what clients put around it: blanks, a line number, quotes."""
    return _NUMBERED.sub("", line).strip().strip('"').strip()


_DELTAS = ("text", "partial_json", "thinking", "arguments", "content", "reasoning_content", "delta", "output_text")


def _answered(response: Response) -> list[str]:
    """All strings of an answer, and the texts that its deltas make when put together."""
    values = [json.loads(response.body)] if response.body and response.body.startswith("{") else []
    for event in response.events:
        for line in event.split("\n"):
            if line.startswith("data: {"):
                values.append(json.loads(line[6:]))
    found: list[str] = []
    streams: dict[tuple[Any, ...], list[str]] = {}
    for value in values:
        for path, text in _leaves(value, (value.get("index"), value.get("output_index"))):
            found.append(text)
            if path[-1] in _DELTAS:
                streams.setdefault(path, []).append(text)
    whole = found + ["".join(parts) for parts in streams.values()]
    return whole + [text for item in whole if item.startswith("{") for text in _inside(item)]


def _inside(text: str) -> list[str]:
    """The strings in a JSON text such as a tool's arguments, and that text as other clients write it."""
    try:
        value = json.loads(text)
    except ValueError:
        return []
    return [leaf for _, leaf in _leaves(value, ())] + [json.dumps(value, **options) for options in STYLES.values()]


def _leaves(value: Any, path: tuple[Any, ...]) -> Iterable[tuple[tuple[Any, ...], str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key not in ("instructions", "tools"):
                yield from _leaves(item, (*path, value.get("index"), key))
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item, path)
    elif isinstance(value, str):
        yield path, value
