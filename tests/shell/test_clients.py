"""How each client is pointed at the gateway: arguments and environment only, the user's own settings stay in force."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pointsman.errors import SettingsError
from pointsman.shell.client import table as clients
from pointsman.shell.client.claude import OUR_COMMAND, USER_LINE
from pointsman.shell.client.table import CLIENTS, identify, wrap
from pointsman.shell.launching import Wrapped, as_object, endpoint, option, without
from pointsman.shell.vendors import Upstreams, join, vendor_of

BASE = "http://127.0.0.1:4141/run/ab12"


class House:
    """A user's home and project, with files in them."""

    def __init__(self, root: Path) -> None:
        self.home, self.work = root / "home", root / "work"
        self.home.mkdir()
        self.work.mkdir()

    def write(self, name: str, value: object) -> None:
        """A file by its path from home (~/...) or project."""
        path = self.home / name[2:] if name.startswith("~/") else self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value))

    def wrap(self, *argv: str, interactive: bool = False, upstream: str | None = None, **env: str) -> Wrapped:
        """The command wrapped for this user; nothing in the house may have changed."""
        before = self.files()
        client = identify(argv).name
        made = wrap(client, BASE, argv, {"HOME": str(self.home), **env}, cwd=self.work, interactive=interactive,
                    upstream=upstream)
        assert self.files() == before, "the user's files were touched"
        return made

    def files(self) -> Mapping[str, str]:
        """Every file of the house."""
        return {str(path): path.read_text() for root in (self.home, self.work) for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def settings_of(made: Wrapped) -> dict[str, Any]:
    return dict(json.loads(option(made.argv, "--settings") or "{}"))


def overrides(made: Wrapped) -> dict[str, Any]:
    """Codex's -c flags as it reads them."""
    found: dict[str, Any] = {}
    for place, word in enumerate(made.argv):
        if word == "-c":
            key, _, value = made.argv[place + 1].partition("=")
            found[key] = tomllib.loads(f"x = {value}")["x"]
    return found


# -- Claude Code -------------------------------------------------------------------------------------------------------


def test_claude_gets_a_base_url_and_keeps_tool_search(house: House) -> None:
    made = house.wrap("claude", "-p", "hi", ANTHROPIC_API_KEY="k")
    assert made.argv == ("claude", "-p", "hi")
    assert made.env["ANTHROPIC_BASE_URL"] == BASE
    assert made.env["ENABLE_TOOL_SEARCH"] == "true"
    assert made.env["ANTHROPIC_API_KEY"] == "k"
    assert made.upstreams == ()


def test_claude_behind_a_base_url_of_the_users_own(house: House) -> None:
    made = house.wrap("claude", "-p", "hi", ANTHROPIC_BASE_URL="https://llm.example.com/anthropic/")
    assert made.env["ANTHROPIC_BASE_URL"] == BASE
    assert made.upstreams == (("anthropic", "https://llm.example.com/anthropic"),)
    assert "ENABLE_TOOL_SEARCH" not in made.env, "their upstream may not take deferred tools: as it was"


def test_claude_settings_that_name_a_base_url_are_answered_by_settings(house: House) -> None:
    house.write("~/.claude/settings.json", {"env": {"ANTHROPIC_BASE_URL": "https://a.example"}, "model": "opus"})
    house.write(".claude/settings.local.json", {"env": {"ANTHROPIC_BASE_URL": "https://b.example"}})
    made = house.wrap("claude", "-p", "hi")
    assert settings_of(made)["env"]["ANTHROPIC_BASE_URL"] == BASE
    assert made.upstreams == (("anthropic", "https://b.example"),)
    assert made.argv[-2:] == ("-p", "hi")


def test_claude_keeps_the_users_own_settings_argument(house: House) -> None:
    mine = {"permissions": {"allow": ["Bash"]}, "statusLine": {"type": "command", "command": "date", "padding": 2}}
    for given in (json.dumps(mine), "mine.json"):
        house.write("mine.json", mine)
        made = house.wrap("claude", "--settings", given, "--model", "opus", interactive=True)
        assert made.argv.count("--settings") == 1
        assert settings_of(made)["permissions"] == {"allow": ["Bash"]}
        assert settings_of(made)["statusLine"]["padding"] == 2
        assert made.env[USER_LINE] == "date"


def test_claude_in_a_terminal_runs_the_users_status_line_and_ours(house: House) -> None:
    house.write("~/.claude/settings.json", {"statusLine": {"type": "command", "command": "user-line"}})
    house.write(".claude/settings.json", {"statusLine": {"type": "command", "command": "project-line"}})
    made = house.wrap("claude", interactive=True)
    assert made.env[USER_LINE] == "project-line"
    assert settings_of(made)["statusLine"]["command"].endswith("line --client claude")
    plugin = Path(option(made.argv, "--plugin-dir") or "")
    assert (plugin / ".claude-plugin" / "plugin.json").is_file()
    assert made.env[OUR_COMMAND].endswith("-m pointsman")


def test_claude_headless_and_its_other_commands_get_no_screen_of_ours(house: House) -> None:
    assert house.wrap("claude", "-p", "hi").argv == ("claude", "-p", "hi")
    assert house.wrap("claude", "mcp", "list", interactive=True).argv == ("claude", "mcp", "list")


def test_claude_on_bedrock_is_told_that_nothing_comes_through(house: House) -> None:
    (note,) = house.wrap("claude", CLAUDE_CODE_USE_BEDROCK="1").notes
    assert "Bedrock" in note and "CLAUDE_CODE_USE_BEDROCK" in note


def test_a_run_inside_a_run_is_no_upstream(house: House) -> None:
    made = house.wrap("claude", "-p", "hi", ANTHROPIC_BASE_URL="http://127.0.0.1:4141/run/ff00")
    assert made.upstreams == () and made.env["ANTHROPIC_BASE_URL"] == BASE


# -- Codex -------------------------------------------------------------------------------------------------------------


def test_codex_with_a_key_gets_a_provider_of_ours(house: House) -> None:
    house.write("~/.codex/config.toml", 'model = "gpt-5.5"\n')
    made = house.wrap("codex", "exec", "hi", OPENAI_API_KEY="k")
    found = overrides(made)
    assert found["model_provider"] == "pointsman"
    assert found["model_providers.pointsman.base_url"] == BASE + "/v1"
    assert found["model_providers.pointsman.wire_api"] == "responses"
    assert found["model_providers.pointsman.env_key"] == "OPENAI_API_KEY"
    assert "model" not in found, "the user's model stays"
    assert made.argv[-2:] == ("exec", "hi")


def test_codex_on_a_chatgpt_login(house: House) -> None:
    house.write("~/.codex/auth.json", {"auth_mode": "chatgpt", "tokens": {"access_token": "t"}})
    found = overrides(house.wrap("codex", OPENAI_API_KEY="k"))
    assert found["model_providers.pointsman.requires_openai_auth"] is True
    assert found["model_providers.pointsman.base_url"] == BASE + "/backend-api/codex"
    assert found["chatgpt_base_url"] == BASE + "/backend-api/"
    assert "model_providers.pointsman.env_key" not in found


def test_codex_with_a_key_stored_at_login(house: House) -> None:
    house.write("~/.codex/auth.json", {"OPENAI_API_KEY": "sk", "tokens": None, "auth_mode": "apikey"})
    found = overrides(house.wrap("codex"))
    assert found["model_providers.pointsman.requires_openai_auth"] is True
    assert found["model_providers.pointsman.base_url"] == BASE + "/v1"


PROVIDERS = '[model_providers.house]\nname = "House"\nbase_url = "https://house.example/api/v4"\nenv_key = "HOUSE_KEY"\n'


@pytest.mark.parametrize(("config", "profile", "flags"), [
    ('model_provider = "house"\n' + PROVIDERS, "", ()),
    (PROVIDERS, "", ("-c", "model_provider=house")),
    ('profile = "work"\n' + PROVIDERS + '[profiles.work]\nmodel_provider = "house"\n', "", ()),
    (PROVIDERS, 'model_provider = "house"\n', ("-p", "work")),
])
def test_codex_keeps_the_users_own_provider(house: House, config: str, profile: str, flags: tuple[str, ...]) -> None:
    house.write("~/.codex/config.toml", config)
    if profile:
        house.write("~/.codex/work.config.toml", profile)
    made = house.wrap("codex", *flags, "exec", "hi")
    assert overrides(Wrapped(made.argv[:3], {})) == {"model_providers.house.base_url": BASE + "/v4"}
    assert made.argv[3:] == (*flags, "exec", "hi")
    assert made.upstreams == (("openai", "https://house.example/api/v4"),)


def test_codex_login_and_local_models_are_left_alone(house: House) -> None:
    assert house.wrap("codex", "login").argv == ("codex", "login")
    made = house.wrap("codex", "--oss", "exec", "hi")
    assert made.argv == ("codex", "--oss", "exec", "hi") and "local model" in made.notes[0]


# -- OpenCode ----------------------------------------------------------------------------------------------------------


def content(made: Wrapped) -> dict[str, Any]:
    return dict(json.loads(made.env["OPENCODE_CONFIG_CONTENT"]))


def test_opencode_providers_with_a_key_are_pointed_at_us(house: House) -> None:
    made = house.wrap("opencode", "run", "hi", ANTHROPIC_API_KEY="k")
    assert content(made) == {"provider": {"anthropic": {"options": {"baseURL": BASE + "/v1"}}}}
    house.write("~/.local/share/opencode/auth.json", {"openai": {"type": "api", "key": "k"}})
    assert set(content(house.wrap("opencode"))["provider"]) == {"openai"}


def test_opencode_merges_with_the_users_variable_and_files(house: House) -> None:
    house.write("~/.config/opencode/opencode.jsonc", '{"provider": {"anthropic": {"options": {"timeout": 9,}}}, // mine\n}')
    mine = {"theme": "dark", "provider": {"house": {"npm": "@ai-sdk/openai-compatible",
                                                    "options": {"baseURL": "https://h.example/v1", "apiKey": "k"}}}}
    made = house.wrap("opencode", "-m", "house/x", OPENCODE_CONFIG_CONTENT=json.dumps(mine))
    found = content(made)
    assert found["theme"] == "dark"
    assert found["provider"]["house"]["options"] == {"baseURL": BASE + "/v1", "apiKey": "k"}
    assert found["provider"]["anthropic"] == {"options": {"baseURL": BASE + "/v1"}}
    assert made.upstreams == (("openai", "https://h.example/v1"),)


def test_opencode_with_two_addresses_of_one_kind_wraps_the_chosen_model(house: House) -> None:
    def provider(url: str) -> dict[str, Any]:
        return {"npm": "@ai-sdk/openai-compatible", "options": {"baseURL": url}}

    house.write("opencode.json", {"model": "b/x", "provider": {"a": provider("https://a.example/v1"),
                                                               "b": provider("https://b.example/v1")}})
    made = house.wrap("opencode")
    assert set(content(made)["provider"]) == {"b"}
    assert made.upstreams == (("openai", "https://b.example/v1"),)
    assert "provider a has an address of its own" in made.notes[0]


def test_opencode_without_a_provider_says_so(house: House) -> None:
    assert "nothing comes through" in house.wrap("opencode").notes[0]


# -- the others --------------------------------------------------------------------------------------------------------


def test_aider_gets_both_vendors(house: House) -> None:
    made = house.wrap("aider", "--message", "hi")
    assert made.env["OPENAI_API_BASE"] == BASE + "/v1"
    assert made.env["ANTHROPIC_API_BASE"] == made.env["ANTHROPIC_BASE_URL"] == BASE
    assert made.argv == ("aider", "--message", "hi")


def test_aider_addresses_in_dotenv_and_flags_become_upstreams(house: House) -> None:
    house.write(".env", "OPENAI_API_BASE='https://o.example/api/v1'\nOTHER=1\n")
    made = house.wrap("aider", ANTHROPIC_API_BASE="https://a.example")
    assert set(made.upstreams) == {("openai", "https://o.example/api/v1"), ("anthropic", "https://a.example")}
    assert made.argv == ("aider", "--set-env", f"OPENAI_API_BASE={BASE}/v1")
    made = house.wrap("aider", "--openai-api-base", "https://f.example/v1", "x.py")
    assert ("openai", "https://f.example/v1") in made.upstreams and "https://f.example/v1" not in made.argv


@pytest.mark.parametrize(("command", "name", "value"), [
    ("qwen", "OPENAI_BASE_URL", BASE + "/v1"), ("gemini", "GOOGLE_GEMINI_BASE_URL", BASE),
    ("mini", "OPENAI_API_BASE", BASE + "/v1"),
])
def test_other_clients_by_their_variable(house: House, command: str, name: str, value: str) -> None:
    assert house.wrap(command).env[name] == value


def test_an_unknown_command_is_a_sentence_with_a_way_on() -> None:
    with pytest.raises(SettingsError, match="'vim' is no agent that we know how to wrap.*claude, codex.*--client openai"):
        identify(["/usr/bin/vim"])
    with pytest.raises(SettingsError, match="--client cluade is not known; did you mean claude"):
        identify(["x"], "cluade")
    assert identify(["/opt/bin/claude"]).name == "claude"
    assert identify(["./my-agent"], "openai").name == "openai"


@pytest.mark.parametrize(("line", "headless"), [
    ("claude", False), ("claude -p hi", True), ("claude --print=1", True), ("claude --model opus", False),
    ("codex", False), ("codex exec hi", True), ("codex resume", False), ("opencode", False), ("opencode run hi", True),
    ("aider", False), ("aider --message hi", True), ("aider -m hi", True), ("qwen -p x", True), ("mini -t x", False),
])
def test_headless_is_read_off_the_command_line(line: str, headless: bool) -> None:
    argv = line.split()
    assert identify(argv).headless(argv) is headless


def test_a_proxy_of_the_users_is_not_asked_for_this_machine(house: House) -> None:
    made = house.wrap("claude", HTTP_PROXY="http://proxy.example:3128", NO_PROXY="corp.example, localhost")
    assert made.env["NO_PROXY"] == "corp.example,localhost,127.0.0.1"
    assert made.env["no_proxy"] == "127.0.0.1,localhost"
    assert "NO_PROXY" not in house.wrap("claude").env


def test_environment_is_arguments_and_variables_alone(house: House) -> None:
    argv, env = clients.environment("claude", BASE, ["claude", "-p", "hi"], {"HOME": str(house.home)})
    assert argv == ["claude", "-p", "hi"] and env["ANTHROPIC_BASE_URL"] == BASE
    assert set(CLIENTS) >= {"claude", "claude-sdk", "codex", "opencode", "aider", "qwen", "gemini", "cline", "mini"}


@pytest.mark.parametrize(("theirs", "suffix", "asks", "reaches"), [
    ("https://o.example/v1", "/v1", "/chat/completions", "https://o.example/v1/chat/completions"),
    ("https://router.example/api/v1", "/v1", "/chat/completions", "https://router.example/api/v1/chat/completions"),
    ("https://z.example/api/paas/v4/", "/v1", "/chat/completions", "https://z.example/api/paas/v4/chat/completions"),
    ("https://d.example", "/v1", "/chat/completions", "https://d.example/chat/completions"),
    (None, "/v1", "/chat/completions", "https://api.openai.com/v1/chat/completions"),
])
def test_a_request_ends_where_it_ended_without_us(theirs: str | None, suffix: str, asks: str, reaches: str) -> None:
    """What the client is given and what the gateway does with it, together."""
    place = endpoint(theirs, suffix)
    target = place.path + asks
    upstreams = Upstreams().base(vendor_of(target, {}), dict(place.upstream("openai")))
    assert join(upstreams, target) == reaches


def test_options_are_found_and_left_out_up_to_a_bare_double_dash() -> None:
    argv = ["x", "--settings", "a", "--settings=b", "--", "--settings", "c"]
    assert option(argv, "--settings") == "b"
    assert without(argv, "--settings") == ["x", "--", "--settings", "c"]


def test_json_with_comments_is_read_and_broken_json_is_not_ours_to_judge() -> None:
    assert as_object('{"a": "// no comment", /* one */ "b": [1, 2,], // two\n}') == {"a": "// no comment", "b": [1, 2]}
    assert as_object("{") == {} and as_object("[1]") == {}
