"""Gemini CLI: a base URL in its environment, and the login that the user has anyway.

A base URL alone makes gemini-cli 0.61 take its login for ``gateway``, which it then refuses headless. Where the settings
name the login (``security.auth.selectedType``) they win. Where none is named and a key is in the environment, the CLI
is given a home (``GEMINI_CLI_HOME``) that is the user's own by links, but for a ``settings.json`` which names that login.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from pointsman.shell.launching import Launch, Wrapped, dotenv, endpoint, merged, read_json

SUBCOMMANDS = ("mcp", "extensions", "extension", "skills", "skill", "hooks", "hook", "gemma")
"""Sub-commands that start no session."""

HOME = "GEMINI_CLI_HOME"
"""Environment variable: the folder in which Gemini CLI looks for ``.gemini``."""

URL = "GOOGLE_GEMINI_BASE_URL"
KEYED = "gemini-api-key"
ELSEWHERE = {"oauth-personal": "a Google login", "compute-default-credentials": "Google Cloud credentials",
             "vertex-ai": "Vertex AI"}
"""Logins whose requests go to another address than the base URL."""


def wrap(launch: Launch) -> Wrapped:
    """Point Gemini CLI at us."""
    filed = dotenv(_dotenvs(launch), launch.cwd)
    seen = {**filed, **launch.env}  # Gemini CLI lets the environment win over its .env files
    place = endpoint(seen.get(URL), "")
    env = {**launch.env, URL: launch.base + place.path}
    found = tuple(place.upstream("google"))
    if any(word in SUBCOMMANDS for word in launch.argv[1:2]):
        return Wrapped(launch.argv, env, found)
    login = _login(launch) or _login_by_environment(seen)
    if login in ELSEWHERE:
        note = f"Gemini CLI is set to use {ELSEWHERE[login]}: its requests do not come through Pointsman, a Gemini API key's do"
        return Wrapped(launch.argv, dict(launch.env), (), (note,))
    if _login(launch) or login != KEYED:
        return Wrapped(launch.argv, env, found)
    home, after = _with_login(_home(launch))
    return Wrapped(launch.argv, {**env, HOME: str(home)}, found, (), after)


def _home(launch: Launch) -> Path:
    return Path(launch.env.get(HOME) or launch.home)


def _login(launch: Launch) -> str | None:
    """The login that the user's or the project's settings name."""
    settings = merged(read_json(_home(launch) / ".gemini" / "settings.json"), read_json(launch.cwd / ".gemini" / "settings.json"))
    for key in ("security", "auth"):
        inner = settings.get(key)
        settings = inner if isinstance(inner, dict) else {}
    login = settings.get("selectedType")
    return login if isinstance(login, str) and login else None


def _login_by_environment(seen: Mapping[str, str]) -> str | None:
    """The login that Gemini CLI infers where no settings name one, with its base URL left out."""
    if seen.get("GOOGLE_GENAI_USE_GCA") == "true":
        return "oauth-personal"
    if seen.get("GOOGLE_GENAI_USE_VERTEXAI") == "true":
        return "vertex-ai"
    return KEYED if seen.get("GEMINI_API_KEY") else None


def _dotenvs(launch: Launch) -> list[Path]:
    """The one .env file that Gemini CLI reads: nearest to the working folder, ``.gemini/.env`` first, then in the home."""
    for folder in (launch.cwd, *launch.cwd.parents, _home(launch)):
        for path in (folder / ".gemini" / ".env", folder / ".env"):
            if path.is_file():
                return [path]
    return []


def _with_login(home: Path) -> tuple[Path, Callable[[], None]]:
    """A home that is ``home`` by links, with a settings file that names the key as login; and what to do when the run ends.

    It is the same folder in every run: Gemini CLI tells the model its path, and another one would cost the prompt cache.
    """
    from pointsman.shell.reading import made_home

    own = home / ".gemini"
    stand_in = made_home() / "gemini" / blake2b(str(home).encode(), digest_size=4).hexdigest()
    folder = stand_in / ".gemini"
    folder.mkdir(parents=True, exist_ok=True)
    for entry in own.iterdir() if own.is_dir() else ():
        link = folder / entry.name
        if entry.name != "settings.json" and not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(entry.resolve(), entry.is_dir())
    settings = merged(read_json(own / "settings.json"), {"security": {"auth": {"selectedType": KEYED}}})
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")

    def after() -> None:
        """What Gemini CLI wrote beside the links (a first session, a replaced file) goes where it would have gone."""
        with suppress(OSError):
            own.mkdir(exist_ok=True)
        for entry in folder.iterdir():
            if entry.is_symlink() or entry.name == "settings.json":
                continue
            with suppress(OSError):
                if not (own / entry.name).is_dir():
                    shutil.move(entry, own / entry.name)

    return stand_in, after
