"""Tool calls as digests: what kind of work, on which files, changing what into what. Nothing of their text is kept.

Agents name their tools differently and give them different arguments; the tables below hold the names seen in claude-code,
codex, opencode, gemini-cli, qwen-code, cline, aider and mini-swe-agent (design notes, clients.md 2) and in the vendors' own
tools. A tool that is in no table is told by the verb its name begins with, else it is ``other``.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import xxhash

from pointsman.core.documents import is_document
from pointsman.core.messages import Call, CallKind
from pointsman.wire.commands import kinds_of, undone

_NAMES: dict[CallKind, str] = {
    "edit": "edit multiedit write writefile notebookedit strreplace strreplaceeditor strreplacebasededittool texteditor replace"
    " replaceinfile editfile createfile applypatch applydiff patch searchreplace writetofile insertedit insertcontent deletefile"
    " inserteditintofile editnotebook fileedit filewrite applypatchcall",
    "read": "read readfile readmanyfiles view viewimage viewfile open cat grep glob ls list listfiles listdirectory listdir"
    " search searchfiles searchfilecontent greps grepsearch globsearch filesearch findfiles find lsp webfetch websearch"
    " fetch googlewebsearch listcodedefinitionnames readlints semanticsearch toolsearch skill codebasesearch",
    "run": "bash shell exec execcommand runcommand executecommand runcommands runshellcommand runterminalcmd terminal localshell"
    " localshellcall shellcall runinterminal sh powershell containerexec unifiedexec",
    "todo": "todowrite todo taskcreate taskupdate tasklist updateplan todolist todoread writetodos managetodolist",
    "plan": "exitplanmode enterplanmode planexit planenter planmoderespond",
    "agent": "task agent spawnagent invokeagent subagent newtask codebaseinvestigator delegate",
    "ask": "askuserquestion askquestion askfollowupquestion question requestuserinput askuser",
}  # fmt: skip
TOOLS: dict[str, CallKind] = {name: kind for kind, names in _NAMES.items() for name in names.split()}
_VERB = re.compile(r"(?:get|list|read|search|find|view|fetch|query|resolve|show|describe|lookup)")

COMMANDS = ("command", "cmd", "script", "commands")
FILES = ("file_path", "filePath", "path", "absolute_path", "filename", "target_file", "notebook_path", "file", "dir_path")
REPLACED = (
    ("old_string", "new_string"), ("oldString", "newString"), ("old_str", "new_str"), ("old_text", "new_text"),
    ("search", "replace"),
)  # fmt: skip
WRITTEN = ("content", "contents", "file_text", "new_source", "insert_text", "text")
PATCHES = ("patch", "diff", "input", "patchText")

_SHELL = re.compile(r"(?:/\S+/)?(?:ba|z|da)?sh +-l?c +(['\"])(.*)\1 *$", re.DOTALL)
_BLOCK_MARKS = re.compile(r"(?<!<)<{5,} ?(?:SEARCH|ORIGINAL)\n|(?<!=)={5,}\n|(?<!>)>{5,} ?(?:REPLACE|UPDATED)")
_SCRIPTED = re.compile(r'"?\b(?:cmd|command)"?: *"((?:[^"\\]|\\.)*)"')
_FENCED = re.compile(r"```(?:bash|sh|mswea_bash_command)\n(.*?)\n?```", re.DOTALL)
_CLINE = re.compile(r"<(execute_command|write_to_file|replace_in_file|read_file|search_files|list_files)>")
_CLINE_ARGUMENT = re.compile(r"<(command|path|content|diff)>")
_TEST_FILE = re.compile(
    r"(?:^|[/\\])(?:tests?|specs?|__tests__|e2e)[/\\]|(?:^|[/\\])test_[^/\\]*$|[._-](?:test|tests|spec|cy)\.\w+$|Tests?\.\w+$"
)
_PATCHED = re.compile(r"^\*\*\* (?:Update|Add|Delete) File: (.+)$|^\+\+\+ b/(\S+)", re.MULTILINE)


def calls_of(name: Any, arguments: Any) -> tuple[Call, ...]:
    """The digests of one tool call: one, or for a command line that does several kinds of work one of each, strongest first.

    ``arguments``: an object, or its JSON text, or a tool's own text.
    """
    tool = str(name)
    kind = kind_of(tool)
    given = _given(arguments)
    if kind == "run":
        return _command(given)
    if kind == "edit":
        return (_edit(tool, given),)
    if kind == "read":
        return (Call("read", _hash(tool, given), _files(given)),)
    return (Call(kind, _hash(tool, given)),)


def kind_of(tool: str) -> CallKind:
    """What kind of work a tool of this name does."""
    plain = tool.rpartition("__")[2].replace("_", "").replace("-", "").replace(".", "").lower()
    return TOOLS.get(plain) or ("read" if _VERB.match(plain) else "other")


def written_in(text: str) -> tuple[Call, ...]:
    """Calls of agents that write them into their answers: aider's edit blocks, mini-swe-agent's commands, cline's elements."""
    found: list[Call] = []
    if "<<<<<" in text:
        found += [_changed(hash_of(whole), (), old, new) for whole, old, new in _blocks(text)]
    if "```" in text:
        blocks = _FENCED.findall(text)
        if len(blocks) == 1 and "<<<<" not in text:
            found += _command({"command": blocks[0]})
    if "</" in text:
        for name, inner in _elements(text, _CLINE):
            found += calls_of(name, dict(_elements(inner, _CLINE_ARGUMENT)))
    return tuple(found)


def _blocks(text: str) -> list[tuple[str, str, str]]:
    """The edit blocks in ``text``: whole, what is searched for, what replaces it. One pass: an unfinished block costs no more."""
    found, begin, middle = [], None, None
    for mark in _BLOCK_MARKS.finditer(text):
        sign = mark[0][0]
        if sign == "<":
            begin, middle = mark, None
        elif sign == "=" and begin is not None and middle is None:
            middle = mark
        elif sign == ">" and begin is not None and middle is not None:
            old, new = text[begin.end() : middle.start()], text[middle.end() : mark.start()]
            found.append((text[begin.start() : mark.end()], old.removesuffix("\n"), new.removesuffix("\n")))
            begin = middle = None
    return found


def _elements(text: str, opening: re.Pattern[str]) -> list[tuple[str, str]]:
    """Name and content of the elements that ``opening`` begins. The end of one that never ends is looked for once."""
    found, at, unended = [], 0, set()
    while (mark := opening.search(text, at)) is not None:
        at, closing = mark.end(), f"</{mark[1]}>"
        end = -1 if mark[1] in unended else text.find(closing, at)
        if end < 0:
            unended.add(mark[1])
        else:
            found.append((mark[1], text[at:end]))
            at = end + len(closing)
    return found


def hash_of(text: str) -> int:
    """xxh3-64 of a text; 0 for an empty one, so that 0 means none."""
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass")) if text else 0


def _given(arguments: Any) -> dict[str, Any]:
    if isinstance(arguments, str):
        if not arguments.startswith("{"):
            return {"input": arguments}
        try:
            arguments = msgspec.json.decode(arguments)
        except (msgspec.DecodeError, RecursionError):  # the model's own words: cut off or no JSON
            return {"input": ""}
    return arguments if isinstance(arguments, dict) else {}


def _hash(tool: str, given: dict[str, Any]) -> int:
    return xxhash.xxh3_64_intdigest(msgspec.json.encode((tool, given)))


def _command(given: dict[str, Any]) -> tuple[Call, ...]:
    """A command line. Its description and time limit do not make it another call."""
    found = next((given[key] for key in COMMANDS if given.get(key)), "") or _scripted(given.get("input"))
    action = given.get("action")
    if not found and isinstance(action, dict):
        found = next((action[key] for key in COMMANDS if action.get(key)), "")
    if isinstance(found, list) and "commands" in given:
        found = "\n".join(map(str, found))
    elif isinstance(found, list):
        found = str(found[-1]) if len(found) > 2 and str(found[1]).startswith("-") else " ".join(map(str, found))
    text = str(found).strip()
    inner = _SHELL.match(text)
    if inner:
        text = inner[2]
    same, out = hash_of(text) or _hash("", given), []
    if "*** Begin Patch" in text:
        return (_patched(same, text),)
    for kind in kinds_of(text):
        files = tuple(_file(path) for path in undone(text)) if kind == "undo" else ()
        out.append(Call(kind, same, files))
        same = 0  # only the first stands for the call itself
    return tuple(out)


def _scripted(script: Any) -> str:
    """The command lines in a script that calls tools (Codex 0.169 and later lets some models write one), one a line."""
    if not isinstance(script, str):
        return ""
    if "*** Begin Patch" in script:
        return script.replace("\\n", "\n")
    return "\n".join(line.replace("\\n", "\n").replace('\\"', '"') for line in _SCRIPTED.findall(script))


def _edit(tool: str, given: dict[str, Any]) -> Call:
    command = given.get("command")
    if command == "view":
        return Call("read", _hash(tool, given), _files(given))
    same, files = _hash(tool, given), _files(given)
    if command == "undo_edit":
        return Call("undo", same, files)
    paths = [given[key] for key in FILES if isinstance(given.get(key), str)]
    tests, docs = any(map(_TEST_FILE.search, paths)), bool(paths) and all(map(is_document, paths))
    edits = given.get("edits")
    pairs = [pair for item in ([given, *edits] if isinstance(edits, list) else [given]) if (pair := _pair(item))]
    if pairs:
        return _changed(same, files, "\n".join(old for old, _ in pairs), "\n".join(new for _, new in pairs), tests, docs)
    patch = next((given[key] for key in PATCHES if isinstance(given.get(key), str)), "")
    if patch:
        blocks = _blocks(patch)
        if blocks:
            old, new = "\n".join(old for _, old, _ in blocks), "\n".join(new for _, _, new in blocks)
            return _changed(same, files, old, new, tests, docs)
        return _patched(same, patch)
    text = next((given[key] for key in WRITTEN if isinstance(given.get(key), str)), "")
    return _changed(same, files, "", text, tests, docs)


def _pair(item: Any) -> tuple[str, str] | None:
    if not isinstance(item, dict):
        return None
    for old, new in REPLACED:
        if isinstance(item.get(old), str) and isinstance(item.get(new), str):
            return item[old], item[new]
    return None


def _patched(same: int, patch: str) -> Call:
    """A patch: what its minus lines say becomes what its plus lines say."""
    rows = patch.split("\n")
    old = [row[1:] for row in rows if row.startswith("-") and not row.startswith("---")]
    new = [row[1:] for row in rows if row.startswith("+") and not row.startswith("+++")]
    paths = list(dict.fromkeys((a or b).strip() for a, b in _PATCHED.findall(patch)))[:8]
    tests, docs = (bool(paths) and all(map(told, paths)) for told in (_TEST_FILE.search, is_document))
    return _changed(same, tuple(map(_file, paths)), "\n".join(old), "\n".join(new), tests, docs)


def _changed(same: int, files: tuple[int, ...], old: str, new: str, tests: bool = False, docs: bool = False) -> Call:
    old, new = old.strip(), new.strip()
    lines = max(old.count("\n") + 1 if old else 0, new.count("\n") + 1 if new else 0)
    return Call("edit", same, files, hash_of(old), hash_of(new), lines, tests, docs)


def _files(given: dict[str, Any]) -> tuple[int, ...]:
    found = next((given[key] for key in FILES if isinstance(given.get(key), str) and given[key]), None)
    return (_file(found),) if found else ()


def _file(path: str) -> int:
    """Hash of the last two parts of a path: the same file, whether named from the root or from the folder."""
    return hash_of("/".join(path.strip().replace("\\", "/").rstrip("/").split("/")[-2:])) & 0xFFFF_FFFF
