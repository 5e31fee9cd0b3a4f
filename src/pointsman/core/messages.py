"""What a request shows of its messages: digests and facts, never the text."""

from __future__ import annotations

from typing import Literal

from pointsman.core.record import record

Fact = Literal[
    "tool_error",  # a tool result marked as an error
    "tests_failed",  # a tool result that reports failing tests
    "tests_passed",  # a tool result that reports passing tests
    "interrupt",  # the user broke off the previous answer
    "command",  # a slash command of the client
    "plan_mode",  # the client is in plan mode
    "continued",  # the history was replaced by a summary
    "summarise",  # the client asks for that summary
    "image",  # an image or document block
    "thinking",  # assistant reasoning that belongs to the model that wrote it
    "tool_reference",  # deferred tools that only some models take
    "server_tool",  # blocks of tools the provider itself ran
    "effort",  # an effort change inside the history
    "unknown_block",  # a block that only its own vendor understands
    "type_error",  # a tool result in which a compiler or type checker reports an error
    "lint_error",  # a tool result in which a linter reports an offence
    "pasted_failure",  # the user's words carry a failure that a tool printed
    "quotes",  # the user's words quote something said before
    "question",  # the user's words end with a question mark, in any script
    "review",  # the slash command that asks for a review
    "praise",  # the user's words are a sign of approval, in no language
]
"""What a message shows without keeping its text."""

MessageKind = Literal["prompt", "tool_result", "reminder", "assistant", "system"]

CallKind = Literal[
    "read",  # looks at files, folders, pages
    "edit",  # changes files
    "test",  # runs tests
    "check",  # runs a compiler, type checker, linter or build
    "run",  # runs any other command
    "diff",  # looks at changes
    "commit",  # commits, pushes, opens or merges a pull request
    "undo",  # takes edits back (git checkout, restore, reset, stash)
    "todo",  # keeps a list of what is to do
    "plan",  # enters or leaves plan mode
    "agent",  # starts a sub-agent
    "ask",  # asks the user
    "other",
]
"""What a tool call does, by the tool's name and the programs it runs (wire.calls, wire.commands)."""


@record(frozen=True, slots=True)
class Call:
    """One tool call of the model as digests. ``same``: hash of the tool and what it was given.

    ``files``: hashes of the files it names, by their last two path parts. ``old``/``new``: hashes of the text an edit replaces
    and of what it puts there (0: none), so that an edit and its reverse are known as such. ``lines``: lines it changes.
    ``tests``: it edits a file of tests, by its name; ``docs``: nothing but documents.
    """

    kind: CallKind
    same: int
    files: tuple[int, ...] = ()
    old: int = 0
    new: int = 0
    lines: int = 0
    tests: bool = False
    docs: bool = False


@record(frozen=True, slots=True)
class Message:
    """The digest of one message: enough for lineage, warmth and sensors, without the text.

    ``hash``: xxh3-64 of the canonical message, cache marks ignored. ``chars``: its size on the wire. ``mark_s``: the TTL of a
    cache mark on it, or None. A ``prompt`` holds words of the user; a ``reminder`` only the client's own. ``rules``: names of
    the user's rules that the paths, commands and tools in it match (``core.globs``). ``calls``: the tool calls in it.
    ``said``: length of the user's own words (``wire.prompts``), ``own`` their hash (0: none). ``sketch``: which words a
    prompt or an answer without calls holds, as bits of a hash in hexadecimal digits: enough to see that two texts share
    words, not to read them. ``mix``: how many of its characters are code, JSON and logs (empty: all prose). ``images``: their
    widths and heights in pixels, which ``chars`` leaves out; ``pages``: pages of documents.
    """

    hash: int
    role: str
    kind: MessageKind
    chars: int
    mark_s: int | None = None
    facts: tuple[Fact, ...] = ()
    rules: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    said: int = 0
    sketch: str = ""
    mix: tuple[int, ...] = ()
    images: tuple[tuple[int, int], ...] = ()
    pages: int = 0
    own: int = 0
