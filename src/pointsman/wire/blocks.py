"""What shows in one message of each protocol: whose words they are, and the facts. Called once per message.

``look`` walks the content of a decoded message and fills ``Notes``. A message that has not the form its protocol
promises raises ValueError with the end of a sentence ("has no role").
"""

from __future__ import annotations

from typing import Any

from pointsman.core.messages import Call, Fact, MessageKind
from pointsman.core.types import FIVE_MINUTES, HOUR, Protocol
from pointsman.wire import pictures, sensors
from pointsman.wire.calls import calls_of, written_in
from pointsman.wire.dialects import Dialect, is_result
from pointsman.wire.texts import Mix

PDF = "JVBERi"
"""How a PDF begins in base64."""

ROLE_CHARS = 40
"""Characters of the longest role: the protocols' own have up to nine."""

SERVER_RESULTS = ("server_tool_use", "mcp_tool_use", "mcp_tool_result", "container_upload")
RESPONSES_SERVER = frozenset(
    {"web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "mcp_call", "mcp_list_tools"}
)
RESPONSES_CALLS = frozenset(
    {
        "function_call", "custom_tool_call", "local_shell_call", "shell_call", "apply_patch_call", "computer_call",
        "mcp_approval_request", "tool_search_call",
    }
)  # fmt: skip
"""Items that wait for the client to do something."""


class Notes:
    """What was seen in one message. ``fixed``: the kind, where the role alone decides it.

    ``texts``: the user's own words, or the model's; they are looked at once, in ``digest.message_of``, and not kept.
    """

    __slots__ = (
        "calls", "data_chars", "dialect", "facts", "fixed", "images", "mark_s", "mix", "own", "pages", "result", "role",
        "texts", "words",
    )

    def __init__(self, dialect: Dialect, role: str) -> None:
        self.dialect = dialect
        self.role = role
        self.fixed: MessageKind | None = None
        self.words = False
        self.result = False
        self.own = ""
        self.facts: dict[Fact, None] = {}
        self.mark_s: int | None = None
        self.data_chars = 0
        self.images: list[tuple[int, int]] = []
        self.pages = 0
        self.calls: list[Call] = []
        self.texts: list[str] = []
        self.mix = Mix()

    def fact(self, name: Fact) -> None:
        """Note a fact once."""
        self.facts[name] = None

    def said(self, text: Any) -> None:
        """A text in the user's name: perhaps the user's words, perhaps the client's, perhaps an output."""
        if not isinstance(text, str):
            return
        dialect, left = self.dialect, text.strip()
        if is_result(dialect, left):
            self.output(text, None)
            return
        if dialect.asks_summary(left):
            self.fact("summarise")
        if left.startswith(dialect.interrupts or ("\0",)):
            self.fact("interrupt")
        if left.startswith(dialect.continued or ("\0",)):
            self.fact("continued")
        if left.startswith(dialect.commands or ("\0",)):
            self.fact("command")
            if dialect.asks_review(left):
                self.fact("review")
        own = dialect.own(left)
        if own:
            self.words = True
            self.own = self.own or own
            self.texts.append(own)
        self.mix.add(text)
        self.aside(left[: len(left) - len(own)])

    def aside(self, text: str) -> None:
        """A text of the client's own: a reminder, a developer message."""
        if any(marker in text for marker in self.dialect.plan):
            self.fact("plan_mode")

    def output(self, text: str, failed: bool | None) -> None:
        """An output of a tool; ``failed`` None: the protocol has no field for it, the text may say."""
        self.result = True
        self.mix.add(text)
        ends = sensors.ends(sensors.unwrapped(text, self.dialect.client))
        if failed is None and self.dialect.exit_codes:
            failed = bool(sensors.exit_code(ends))
        if failed:
            self.fact("tool_error")
        for fact in sensors.facts_of(ends, bool(failed)):
            self.facts[fact] = None

    def called(self, name: Any, arguments: Any) -> None:
        """A call of a tool by the model."""
        self.calls += calls_of(name, arguments)

    def answered(self, text: Any) -> None:
        """A text of the model's own: no evidence of success, but agents without tools write their calls into it."""
        if isinstance(text, str) and text:
            self.texts.append(text)
            if "<<<<" in text or "```" in text or "</" in text:
                self.calls += written_in(text)

    def image(self, data: Any, kind: Any = None, detail: Any = None) -> None:
        """An image or document, with its encoded ``data`` where it is inline; ``kind``: its media type, where one is named;
        ``detail``: how much of it the client wants seen.

        Its characters do not count: it is billed by its pixels or pages.
        """
        self.fact("image")
        inline = data if isinstance(data, str) else ""
        self.data_chars += len(pictures.payload(inline))
        if "pdf" in str(kind) or inline.startswith(("data:application/pdf", PDF)):
            self.pages += pictures.pages(inline)
        else:
            self.images.append(pictures.shown(pictures.size(inline), str(detail)) if inline else pictures.UNKNOWN)

    def mark(self, block: dict[str, Any]) -> None:
        """A cache mark on ``block``."""
        found = lifetime(block.get("cache_control"))
        if found is not None:
            self.mark_s = max(self.mark_s or 0, found)


def lifetime(control: Any) -> int | None:
    """The lifetime that a cache mark asks for, in seconds (Anthropic: five minutes unless it says an hour); None: no mark."""
    if not isinstance(control, dict):
        return None
    return HOUR if control.get("ttl") == "1h" else FIVE_MINUTES


def look(protocol: Protocol, dialect: Dialect, item: dict[str, Any]) -> Notes:
    """What shows in one message (Responses: one input item). Raises ValueError for a form the protocol does not have."""
    if protocol == "messages":
        return _messages(dialect, item)
    if protocol == "chat":
        return _chat(dialect, item)
    if protocol == "responses":
        return _responses(dialect, item)
    return _gemini(dialect, item)


def _messages(dialect: Dialect, item: dict[str, Any]) -> Notes:
    notes = Notes(dialect, _role(item))
    notes.fixed = {"assistant": "assistant", "system": "system"}.get(notes.role)  # type: ignore[assignment]  # both are kinds
    notes.mark(item)
    if "output_config" in item:
        notes.fact("effort")
    for block in _content(item):
        notes.mark(block)
        kind = block.get("type")
        if kind == "text":
            _text(notes, block.get("text"))
        elif kind == "tool_result":
            _tool_result(notes, block)
        elif kind in ("image", "document"):
            _anthropic_image(notes, block)
            notes.words = notes.words or (notes.fixed is None and not notes.result)
        elif kind in ("thinking", "redacted_thinking"):
            notes.fact("thinking")
        elif kind == "tool_use":
            notes.called(block.get("name"), block.get("input"))
        elif kind == "tool_reference":
            notes.fact("tool_reference")
        elif kind == "compaction":
            notes.fact("continued")
        elif isinstance(kind, str) and (kind in SERVER_RESULTS or kind.endswith("_tool_result")):
            notes.fact("server_tool")
    return notes


def _tool_result(notes: Notes, block: dict[str, Any]) -> None:
    texts = []
    for part in _content(block):
        notes.mark(part)
        kind = part.get("type")
        if kind == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif kind in ("image", "document"):
            _anthropic_image(notes, part)
        elif kind == "tool_reference":
            notes.fact("tool_reference")
    failed = block.get("is_error")
    notes.output("\n".join(texts), failed if isinstance(failed, bool) else None)


def _anthropic_image(notes: Notes, block: dict[str, Any]) -> None:
    source = block.get("source")
    source = source if isinstance(source, dict) else {}
    if source.get("type") == "text":  # a document of plain text
        notes.mix.add(str(source.get("data") or ""))
        return
    notes.image(source.get("data") or source.get("url"), source.get("media_type"))


def _chat(dialect: Dialect, item: dict[str, Any]) -> Notes:
    notes = Notes(dialect, _role(item))
    kinds: dict[str, MessageKind] = {
        "assistant": "assistant", "system": "system", "developer": "system", "tool": "tool_result", "function": "tool_result",
    }  # fmt: skip
    notes.fixed = kinds.get(notes.role)
    notes.mark(item)
    texts = []
    for part in _content(item):
        notes.mark(part)
        kind = part.get("type")
        if kind == "text":
            texts.append(part.get("text"))
        elif kind in ("image_url", "input_audio", "file"):
            url = part.get("image_url")
            url, detail = (url.get("url"), url.get("detail")) if isinstance(url, dict) else (url, None)
            notes.image(url, detail=detail)
            notes.words = notes.words or notes.fixed is None
    if item.get("reasoning_content") or item.get("reasoning") or item.get("thinking_blocks"):
        notes.fact("thinking")
    for call in item.get("tool_calls") or ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            notes.called(function.get("name"), function.get("arguments"))
    if notes.fixed == "tool_result":
        notes.output("\n".join(text for text in texts if isinstance(text, str)), None)
    else:
        for text in texts:
            _text(notes, text)
    return notes


def _responses(dialect: Dialect, item: dict[str, Any]) -> Notes:
    kind = item.get("type") or "message"
    if not isinstance(kind, str):
        raise ValueError(f"has a type that is {kind_of(kind)}, not a string")
    if kind == "message":
        return _responses_message(dialect, item)
    notes = Notes(dialect, "assistant")
    notes.fixed = "assistant"
    if kind == "reasoning":
        notes.fact("thinking")
    elif kind in RESPONSES_SERVER:
        notes.fact("server_tool")
    elif kind in ("compaction", "compaction_summary", "context_compaction"):
        notes.fact("continued")
        notes.fixed = "reminder"
    elif kind == "configuration_update":
        notes.role, notes.fixed = "system", "system"
        notes.fact("effort")
    elif kind.endswith("_output"):
        notes.role, notes.fixed = "tool", "tool_result"
        _responses_output(notes, item)
    elif kind in RESPONSES_CALLS:
        arguments = next((item[key] for key in ("arguments", "input", "operation", "action") if item.get(key) is not None), None)
        notes.called(item.get("name") or kind, arguments)
    elif kind == "agent_message" or kind.endswith(("_response", "_trigger", "_reference")):
        notes.role, notes.fixed = "user", "reminder"
    return notes


def _responses_message(dialect: Dialect, item: dict[str, Any]) -> Notes:
    notes = Notes(dialect, _role(item))
    kinds: dict[str, MessageKind] = {"assistant": "assistant", "system": "system", "developer": "system"}
    notes.fixed = kinds.get(notes.role)
    if notes.fixed == "system" and dialect.client == "codex":
        notes.fixed = "reminder"  # Codex tells the model of modes and permissions in developer messages
    for part in _content(item):
        kind = part.get("type")
        if kind in ("input_text", "text", "output_text"):
            _text(notes, part.get("text"))
        elif kind in ("input_image", "input_file"):
            notes.image(part.get("image_url") or part.get("file_data"), detail=part.get("detail"))
            notes.words = notes.words or notes.fixed is None
    return notes


def _responses_output(notes: Notes, item: dict[str, Any]) -> None:
    output = item.get("output")
    texts = [output] if isinstance(output, str) else []
    for part in output if isinstance(output, list) else ():
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif isinstance(part, dict) and part.get("type") == "input_image":
            notes.image(part.get("image_url"), detail=part.get("detail"))
    notes.output("\n".join(texts), True if item.get("success") is False else None)


def _gemini(dialect: Dialect, item: dict[str, Any]) -> Notes:
    role = _role({"role": "user", **item})
    notes = Notes(dialect, "assistant" if role == "model" else role)
    notes.fixed = "assistant" if role == "model" else None
    for part in _parts(item):
        if part.get("thought") or part.get("thoughtSignature"):
            notes.fact("thinking")
        if "text" in part and not part.get("thought"):
            _text(notes, part["text"])
        inline = part.get("inlineData")
        if isinstance(inline, dict) or "fileData" in part:
            inline = inline if isinstance(inline, dict) else {}
            notes.image(inline.get("data"), inline.get("mimeType"))
            notes.words = notes.words or (notes.fixed is None and not notes.result)
        call = part.get("functionCall")
        if isinstance(call, dict):
            notes.called(call.get("name"), call.get("args"))
        response = part.get("functionResponse")
        if isinstance(response, dict):
            answer = response.get("response")
            answer = answer if isinstance(answer, dict) else {}
            notes.output(str(answer.get("output") or answer.get("error") or ""), True if answer.get("error") else None)
    return notes


def _parts(item: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts of a Gemini content; null is none."""
    parts = item.get("parts")
    if not isinstance(parts, list | None):
        raise ValueError(f"has parts that are {kind_of(parts)}")
    for part in parts or ():
        if not isinstance(part, dict):
            raise ValueError(f"holds a part that is {kind_of(part)}, not an object")
    return parts or []


def _text(notes: Notes, text: Any) -> None:
    """A text block: the user's or the client's; in system messages always the client's; the model's own is no evidence."""
    if notes.fixed is None:
        notes.said(text)
    elif notes.fixed == "assistant":
        notes.answered(text)
    elif isinstance(text, str):
        notes.aside(text)


def _role(item: dict[str, Any]) -> str:
    role = item.get("role")
    if not isinstance(role, str):
        raise ValueError("has no role")
    if len(role) > ROLE_CHARS:  # it is kept
        raise ValueError(f"has a role of {len(role)} characters")
    return role


def _content(item: dict[str, Any]) -> list[dict[str, Any]]:
    """The blocks of a message; a string is one text block, null is none."""
    content = item.get("content")
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise ValueError(f"has a content that is {kind_of(content)}")
    for block in content:
        if not isinstance(block, dict):
            raise ValueError(f"holds a content block that is {kind_of(block)}, not an object")
    return content


def kind_of(value: Any) -> str:
    """What JSON calls a value."""
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
