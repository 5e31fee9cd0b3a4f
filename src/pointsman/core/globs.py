"""Globs on what an agent touches: files by path, commands by their words, tools by name. Pure; the texts stay outside.

A rule is a word and a glob, ``path migrations``, ``command git push``, ``tool deploy_*``, optionally with a name before it
(``frontend path web/**``). A path matches at any depth, with all that is below it, as in a ``.gitignore``; ``*`` and ``?``
stop at a slash, ``**`` does not. A command matches from the beginning to the end of words, wherever in the line it stands,
in any case; the words of a commit message do not count. A tool matches as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal, get_args

What = Literal["path", "command", "tool"]
WHATS: tuple[str, ...] = get_args(What)

DEFAULTS = (
    "path migrations", "path alembic", "path auth", "path auth.*", "path permissions.*", "path *secret*", "path .env*",
    "path *.tf", "path .github/workflows",
    "command rm -r*", "command rm -f*", "command git push", "command git reset --hard", "command git clean",
    "command git branch -D",
    "command drop table*", "command drop database*", "command delete from *", "command truncate table*",
    "command terraform apply", "command terraform destroy", "command kubectl apply", "command kubectl delete",
    "command helm upgrade", "command docker push", "command npm publish", "command twine upload", "command cargo publish",
    "command gh release", "command deploy*",
)  # fmt: skip
"""What is protected unless the user says otherwise: migrations, sign-in and secrets, infrastructure, deletes, releases. There a
failure is undone by hand: difficulty is not consequence (DECISION.md 5)."""

TEXT_AT_MOST = 20_000
"""Characters of one command that are looked at: a longer one is a file written by a here-document."""

_MESSAGE = re.compile(r"(?:^|\s)(?:-m|--message)[ =]\s*(?:\"[^\"]*\"|'[^']*')")
_WORDS = re.compile(r"[^\s\"'`;|&()<>=,]+")


class Watch:
    """Compiled rules: the names of those that paths, commands and tools match. ``version`` tells two of them apart."""

    def __init__(self, rules: Sequence[str]) -> None:
        found: dict[str, list[tuple[str, re.Pattern[str]]]] = {what: [] for what in WHATS}
        for rule in rules:
            name, what, glob = taken_apart(rule)
            found[what].append((name or rule, _pattern(what, glob)))
        self.version = "\n".join(rules)
        self._rules = found
        self._any = {what: _any_of([pattern for _, pattern in pairs]) for what, pairs in found.items()}

    def names(self, paths: Iterable[str] = (), commands: Iterable[str] = (), tools: Iterable[str] = ()) -> tuple[str, ...]:
        """The names of the rules that any of these match, each once. A command's words count as paths too."""
        seen: dict[str, None] = {}
        lines = [_MESSAGE.sub(" ", command[:TEXT_AT_MOST]) for command in commands]
        words = [word for line in lines for word in _WORDS.findall(line) if "/" in word or "." in word]
        for what, texts in (("path", (*paths, *words)), ("command", lines), ("tool", tuple(tools))):
            quick = self._any[what]
            if quick is None:
                continue
            for text in texts:
                if quick.search(text):
                    seen.update((name, None) for name, pattern in self._rules[what] if pattern.search(text))
        return tuple(seen)


@lru_cache(maxsize=64)
def watch(rules: tuple[str, ...]) -> Watch | None:
    """The compiled ``rules``, remembered; None where there are none."""
    return Watch(rules) if rules else None


def taken_apart(rule: str) -> tuple[str, str, str]:
    """Name (or nothing), word and glob of a rule. Raises ValueError for what is none."""
    first, _, rest = rule.partition(" ")
    if first in WHATS and rest:
        return "", first, rest
    what, _, glob = rest.partition(" ")
    if what in WHATS and glob:
        return first, what, glob
    raise ValueError(f"{rule!r} is no rule of the form 'path GLOB', 'command GLOB' or 'tool GLOB'")


def _pattern(what: str, glob: str) -> re.Pattern[str]:
    if what == "path":
        return re.compile(rf"(?:^|/){_translated(glob.strip('/'), '[^/]')}(?:/|$)")
    if what == "command":
        begin, end = r"(?:^|[\s;&|(/\"'])", r"(?:$|[\s;&|)\"'])"
        return re.compile(begin + r"\s+".join(_translated(word, ".") for word in glob.split()) + end, re.IGNORECASE)
    return re.compile(rf"^{_translated(glob, '.')}$")


def _translated(glob: str, single: str) -> str:
    """``glob`` as a regular expression; ``single``: what one character of ``*`` and ``?`` may be."""
    out, i = [], 0
    while i < len(glob):
        if glob.startswith("**/", i):
            out.append("(?:.*/)?")
            i += 3
        elif glob.startswith("**", i):
            out.append(".*")
            i += 2
        else:
            char = glob[i]
            out.append(f"{single}*" if char == "*" else single if char == "?" else re.escape(char))
            i += 1
    return "".join(out)


def _any_of(patterns: Sequence[re.Pattern[str]]) -> re.Pattern[str] | None:
    """One pattern that matches where any of them does: nearly every text matches none, and is looked at once."""
    if not patterns:
        return None
    return re.compile("|".join(f"(?:{pattern.pattern})" for pattern in patterns), patterns[0].flags)
