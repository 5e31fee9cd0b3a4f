"""Clients that take their address or login from files only: they read a copy, and the user's own files stay as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pointsman.shell.client import table as clients
from pointsman.shell.launching import Wrapped

BASE = "http://127.0.0.1:4141/run/ab12"
WHEN = {"updatedAt": "2026-11-22T05:00:00.000Z", "tokenSource": "manual"}


class House:
    """A user's home and project."""

    def __init__(self, root: Path) -> None:
        self.home, self.work = root / "home", root / "work"
        self.home.mkdir()
        self.work.mkdir()

    def write(self, name: str, value: object) -> Path:
        """A file of the home."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return path

    def wrap(self, *argv: str, **env: str) -> Wrapped:
        """The command wrapped for this user."""
        return clients.wrap(clients.identify(argv).name, BASE, argv, {"HOME": str(self.home), **env}, cwd=self.work)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setenv("POINTSMAN_HOME", str(tmp_path / "pointsman"))
    return House(tmp_path)


def done(made: Wrapped) -> None:
    """The client has ended."""
    assert made.after is not None
    made.after()


# -- Cline -------------------------------------------------------------------------------------------------------------


def providers(**rows: dict[str, str]) -> dict[str, Any]:
    """Cline's settings with these providers, the first one used last."""
    named = {}
    for name, row in rows.items():
        name = name.replace("_", "-")
        named[name] = {"settings": {"provider": name, **row}, **WHEN}
    return {"version": 1, "lastUsedProvider": next(iter(named), None), "modes": {}, "providers": named}


def given(made: Wrapped) -> dict[str, str | None]:
    """Each provider's address in the copy that Cline reads."""
    copy = json.loads(Path(made.env["CLINE_PROVIDER_SETTINGS_PATH"]).read_text())
    return {name: row["settings"].get("baseUrl") for name, row in copy["providers"].items()}


def test_cline_reads_a_private_copy_with_our_addresses(house: House) -> None:
    own = {"apiKey": "k", "baseUrl": "https://o.example/api/v1"}
    rows = providers(openai_compatible=own, anthropic={"apiKey": "k"}, ollama={})
    theirs = house.write(".cline/data/settings/providers.json", rows)
    before = theirs.read_text()
    made = house.wrap("cline", "--json", "hi")
    assert given(made) == {"openai-compatible": BASE + "/v1", "anthropic": BASE + "/v1", "ollama": None}
    assert made.upstreams == (("openai", "https://o.example/api/v1"),)
    copy = Path(made.env["CLINE_PROVIDER_SETTINGS_PATH"])
    assert copy.stat().st_mode & 0o777 == 0o600 and copy.parent.stat().st_mode & 0o777 == 0o700
    assert made.env["CLINE_SESSION_BACKEND_MODE"] == "local" and made.argv == ("cline", "--json", "hi")
    done(made)
    assert theirs.read_text() == before and not copy.parent.exists()


def test_what_cline_writes_meanwhile_is_kept_with_the_users_own_addresses(house: House) -> None:
    theirs = house.write(".cline/data/settings/providers.json", providers(
        openai_compatible={"baseUrl": "https://o.example/v1"}, anthropic={}, gemini={}))  # fmt: skip
    made = house.wrap("cline", "hi")
    copy = Path(made.env["CLINE_PROVIDER_SETTINGS_PATH"])
    value = json.loads(copy.read_text())
    value["providers"]["anthropic"]["settings"]["model"] = "chosen-in-the-run"
    value["providers"]["gemini"]["settings"]["baseUrl"] = "https://typed.in.the.run"
    copy.write_text(json.dumps(value))
    done(made)
    after = {name: row["settings"] for name, row in json.loads(theirs.read_text())["providers"].items()}
    assert after["anthropic"] == {"provider": "anthropic", "model": "chosen-in-the-run"}
    assert after["openai-compatible"]["baseUrl"] == "https://o.example/v1"
    assert after["gemini"]["baseUrl"] == "https://typed.in.the.run"


@pytest.mark.parametrize(("flags", "where"), [
    ((), ".cline/data"), (("--data-dir", "{home}/d"), "d"), (("--config", "{home}/c"), "c/data"),
])
def test_cline_settings_are_found_where_cline_finds_them(house: House, flags: tuple[str, ...], where: str) -> None:
    house.write(f"{where}/settings/providers.json", providers(anthropic={}))
    made = house.wrap("cline", *(flag.format(home=house.home) for flag in flags), "hi")
    assert given(made) == {"anthropic": BASE + "/v1"}
    done(made)


def test_a_provider_that_is_only_named_on_the_command_line_comes_through(house: House) -> None:
    made = house.wrap("cline", "-P", "anthropic", "-k", "key", "hi")
    assert given(made) == {"anthropic": BASE + "/v1"} and made.notes == ()
    done(made)


@pytest.mark.parametrize(("argv", "said"), [
    (("cline", "hi"), "no provider set up"), (("cline", "-P", "ollama", "hi"), "ollama does not come through"),
    (("cline", "-P", "anthropic", "--zen", "hi"), "background hub"),
])
def test_cline_says_what_does_not_come_through(house: House, argv: tuple[str, ...], said: str) -> None:
    made = house.wrap(*argv)
    assert any(said in note for note in made.notes)
    done(made)


def test_two_addresses_of_one_vendor_wrap_the_one_in_use(house: House) -> None:
    house.write(".cline/data/settings/providers.json", providers(
        openai_compatible={"baseUrl": "https://o.example/v1"}, openai_native={"baseUrl": "https://n.example/v1"}))  # fmt: skip
    made = house.wrap("cline", "-P", "openai-native", "hi")
    assert given(made) == {"openai-compatible": "https://o.example/v1", "openai-native": BASE + "/v1"}
    assert made.upstreams == (("openai", "https://n.example/v1"),)
    assert "openai-compatible has an address of its own" in made.notes[0]
    done(made)


def test_broken_settings_and_sub_commands_of_cline_are_its_own_affair(house: House) -> None:
    house.write(".cline/data/settings/providers.json", "{not json")
    done(house.wrap("cline", "hi"))
    made = house.wrap("cline", "auth", "-p", "openai")
    assert made.argv == ("cline", "auth", "-p", "openai") and made.after is None
    assert "CLINE_PROVIDER_SETTINGS_PATH" not in made.env


# -- Gemini CLI --------------------------------------------------------------------------------------------------------


def test_gemini_with_a_login_of_its_own_only_gets_an_address(house: House) -> None:
    house.write(".gemini/settings.json", {"security": {"auth": {"selectedType": "gemini-api-key"}}})
    made = house.wrap("gemini", "-p", "hi", GEMINI_API_KEY="k", GOOGLE_GEMINI_BASE_URL="https://g.example")
    assert made.env["GOOGLE_GEMINI_BASE_URL"] == BASE and "GEMINI_CLI_HOME" not in made.env and made.after is None
    assert made.upstreams == (("google", "https://g.example"),)


@pytest.mark.parametrize(("settings", "env", "said"), [
    ({"security": {"auth": {"selectedType": "oauth-personal"}}}, {"GEMINI_API_KEY": "k"}, "a Google login"),
    ({}, {"GOOGLE_GENAI_USE_VERTEXAI": "true"}, "Vertex AI"), ({}, {"GOOGLE_GENAI_USE_GCA": "true"}, "a Google login"),
])
def test_gemini_logins_that_go_elsewhere_are_left_alone_and_said(house: House, settings: object, env: dict[str, str],
                                                                 said: str) -> None:  # fmt: skip
    house.write(".gemini/settings.json", settings)
    made = house.wrap("gemini", **env)
    assert said in made.notes[0] and made.env == {"HOME": str(house.home), **env}


def test_gemini_with_only_a_key_gets_a_home_that_names_the_login(house: House) -> None:
    house.write(".gemini/settings.json", '{"ui": {"theme": "Dark"}, // mine\n}')
    house.write(".gemini/tmp/app/chats/one.json", "{}")
    house.write(".gemini/.env", "GEMINI_API_KEY=k\nGOOGLE_GEMINI_BASE_URL=https://g.example/\n")
    made = house.wrap("gemini", "-p", "hi")
    folder = Path(made.env["GEMINI_CLI_HOME"]) / ".gemini"
    assert json.loads((folder / "settings.json").read_text()) == {
        "ui": {"theme": "Dark"}, "security": {"auth": {"selectedType": "gemini-api-key"}}}  # fmt: skip
    assert (folder / "tmp" / "app" / "chats" / "one.json").exists() and made.upstreams == (("google", "https://g.example"),)
    (folder / "tmp" / "app" / "chats" / "two.json").write_text("{}")
    (folder / "state.json").write_text("new")
    done(made)
    own = house.home / ".gemini"
    assert (own / "state.json").read_text() == "new" and (own / "tmp" / "app" / "chats" / "two.json").exists()
    assert "selectedType" not in (own / "settings.json").read_text()
    assert house.wrap("gemini", "-p", "hi").env["GEMINI_CLI_HOME"] == made.env["GEMINI_CLI_HOME"], "its path is in the prompt"


def test_a_first_session_of_gemini_ends_up_in_the_users_home(house: House) -> None:
    made = house.wrap("gemini", "-p", "hi", GEMINI_API_KEY="k")
    chats = Path(made.env["GEMINI_CLI_HOME"]) / ".gemini" / "tmp"
    chats.mkdir()
    (chats / "one.json").write_text("{}")
    done(made)
    assert (house.home / ".gemini" / "tmp" / "one.json").exists()
    done(house.wrap("gemini", "-p", "hi", GEMINI_API_KEY="k"))


# -- Qwen Code ---------------------------------------------------------------------------------------------------------


def test_qwen_is_pointed_at_us_on_every_wire(house: House) -> None:
    made = house.wrap("qwen", "-p", "hi", "--openai-base-url", "https://q.example/v1")
    assert made.env["OPENAI_BASE_URL"] == BASE + "/v1" and made.argv == ("qwen", "-p", "hi")
    assert made.env["ANTHROPIC_BASE_URL"] == made.env["GOOGLE_GEMINI_BASE_URL"] == BASE
    assert made.upstreams == (("openai", "https://q.example/v1"),)


@pytest.mark.parametrize(("login", "vendor"), [("openai", "openai"), ("anthropic", "anthropic"), ("gemini", "google")])
def test_an_address_in_qwens_settings_becomes_the_upstream_of_its_login(house: House, login: str, vendor: str) -> None:
    house.write(".qwen/settings.json", {"security": {"auth": {"selectedType": login, "baseUrl": "https://s.example"}}})
    assert house.wrap("qwen").upstreams == ((vendor, "https://s.example"),)


def test_an_address_in_qwens_env_file_becomes_the_upstream(house: House) -> None:
    house.write(".qwen/.env", "OPENAI_BASE_URL='https://e.example/v1'\n")
    assert house.wrap("qwen").upstreams == (("openai", "https://e.example/v1"),)


def test_qwen_says_what_does_not_come_through(house: House) -> None:
    house.write(".qwen/settings.json", {"modelProviders": {"openai": [{"id": "house-model", "baseUrl": "https://x.example"}]}})
    notes = house.wrap("qwen", "--auth-type", "qwen-oauth").notes
    assert "qwen-oauth" in notes[0] and "house-model" in notes[1]


# -- Claude Agent SDK --------------------------------------------------------------------------------------------------


def test_a_program_on_the_agent_sdk_gets_the_environment_alone(house: House) -> None:
    argv = ("python", "my_agent.py", "--settings", "mine")
    made = clients.wrap("claude-sdk", BASE, argv, {"HOME": str(house.home), "ANTHROPIC_BASE_URL": "https://a.example"},
                        cwd=house.work, interactive=True)  # fmt: skip
    assert made.argv == argv and made.env["ANTHROPIC_BASE_URL"] == BASE and made.upstreams == (("anthropic", "https://a.example"),)
    assert "ENABLE_TOOL_SEARCH" not in made.env
    assert clients.wrap("claude-sdk", BASE, argv, {}).env["ENABLE_TOOL_SEARCH"] == "true"
