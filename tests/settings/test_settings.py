"""Settings: layers, origins, and errors that name the place and the mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from pointsman.errors import SettingsError
from pointsman.settings import Settings, load, project_file, verify


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own settings file, empty for now."""
    path = tmp_path / "config.toml"
    monkeypatch.setenv("POINTSMAN_CONFIG", str(path))
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder with a folder inside it."""
    (tmp_path / "project" / "src").mkdir(parents=True)
    return tmp_path / "project"


def test_defaults_need_no_file(own: Path, project: Path) -> None:
    settings = load(cwd=project)
    assert (settings.profile, settings.mode, settings.consent_up, settings.failure_usd) == ("quality", "auto", None, 5.0)
    assert settings.origin("profile") == "default"


def test_later_layers_win_and_each_value_knows_its_line(own: Path, project: Path) -> None:
    own.write_text('# mine\nprofile = "balanced"\nfailure_usd = 2\n')
    (project / ".pointsman.toml").write_text('\nprofile = "fast"\n')
    settings = load(cwd=project / "src", flags={"seed": 7, "port": None})
    assert (settings.profile, settings.failure_usd, settings.seed) == ("fast", 2.0, 7)
    assert settings.origin("profile") == f"{project / '.pointsman.toml'}:2"
    assert settings.origin("failure_usd") == f"{own}:3"
    assert settings.origin("seed") == "--seed"
    assert settings.origin("port") == "default"


def test_the_policy_carries_the_origins(own: Path, project: Path) -> None:
    own.write_text('deny = ["claude-haiku-4-5"]\ncheck = true\n')
    policy = load(cwd=project).policy()
    assert policy.origin("deny") == f"{own}:1"
    assert (policy.check, policy.check_recall, policy.check_false_alarm) == (True, 0.8, 0.1)


def test_without_a_check_nothing_is_caught() -> None:
    policy = Settings(check_recall=0.9).policy()
    assert (policy.check, policy.check_recall, policy.check_false_alarm) == (False, 0.0, 0.0)


def test_nearest_project_file_is_found(project: Path) -> None:
    (project / ".pointsman.toml").write_text("")
    assert project_file(project / "src") == project / ".pointsman.toml"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('\nprofil = "fast"\n', 2, ["unknown setting 'profil'", "did you mean 'profile'?"]),
        ('profile = "balancd"\n', 1, ["did you mean 'balanced'?", "quality, balanced, fast, saver"]),
        ("mode = 'auto'\nport = 99999\n", 2, ["port", "65535", "99999"]),
        ('upstream = "localhost:80"\n', 1, ["not a base URL"]),
        ('# x\n[prices."my-model"]\ninput = 3\n', 2, ["prices.my-model.output is missing"]),
        ('[prices.m]\ninput = 3\noutput = 1\ncache_raed = 1\n', 4, ["unknown setting 'prices.m.cache_raed'", "'cache_read'"]),
        ("failure_usd = -1\n", 1, ["failure_usd", "greater than or equal to 0"]),
        ('pool = ["a", "a"]\n', 1, ["different"]),
        ("pool = 4\n", 1, ['a list is wanted, such as ["opus"], not 4']),
        ("check = 5\n", 1, ["check: true, false, a command, or a table [check] is wanted, not 5"]),
        ('protect = ["", "a"]\n', 1, ["protect: a glob must not be empty"]),
        ("\n[kinds]\nplan = 3\n", 3, ["kinds.plan: MODEL, MODEL:effort, or a table with a model is wanted, not 3"]),
        ('[advisor]\nmodel = "opus"\nmode = "pish"\n', 3, ["advisor.mode", "'push'", "not 'pish'"]),
        ("budget = 5\n", 1, ["budget: a table is wanted, not 5"]),
        ('schedule = "x"\n', 1, ["schedule: 'x' is not of the form"]),
    ],
)
def test_a_typo_names_file_line_key_and_near_match(own: Path, project: Path, text: str, line: int, words: list[str]) -> None:
    own.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(cwd=project)
    said = str(caught.value)
    assert said.startswith(f"{own}:{line}: "), said
    for word in words:
        assert word in said
    assert said.count(str(own)) == 1 and "[_" not in said  # one mistake is one complaint, in our words


def test_broken_toml_and_missing_files_are_sentences(own: Path, project: Path) -> None:
    own.write_text("profile = \n")
    with pytest.raises(SettingsError, match="not valid TOML.*line 1"):
        load(cwd=project)
    with pytest.raises(SettingsError, match="there is no settings file"):
        load(project / "nowhere.toml")
    own.write_bytes(b"port = 4141\n\xff\xfe")
    with pytest.raises(SettingsError, match=r"config\.toml:2: byte 0xff is not UTF-8"):
        load(cwd=project)
    own.unlink()
    own.mkdir()
    with pytest.raises(SettingsError, match=r"config\.toml cannot be read: Is a directory$"):
        load(cwd=project)


@pytest.mark.parametrize("line", ['upstream = "https://elsewhere.example"', "consent_up = true", '[upstreams]\nanthropic = "https://x.y"'])
def test_a_repository_may_not_redirect_keys_or_spend(own: Path, project: Path, line: str) -> None:
    (project / ".pointsman.toml").write_text(line + "\n")
    with pytest.raises(SettingsError, match="may not be set by a project"):
        load(cwd=project)


def test_an_unknown_keyword_is_an_error_for_embedders() -> None:
    with pytest.raises(SettingsError, match="unknown setting 'profil'.*did you mean 'profile'"):
        Settings(profil="fast")  # type: ignore[call-arg]  # the mistake under test
    with pytest.raises(SettingsError, match="both allow and deny"):
        Settings(allow=("m",), deny=("m",))


def test_settings_are_frozen_and_take_zero() -> None:
    settings = Settings(failure_usd=0, pool=["a", "b"])
    assert settings.pool == ("a", "b") and settings.failure_usd == 0.0
    with pytest.raises(ValueError, match="frozen"):
        settings.seed = 3


class Names:
    """A book that knows one model."""

    def resolve(self, name: str, asked: str | None = None) -> str | None:
        return name if name == "claude-opus-5-5" else None

    def near(self, name: str) -> tuple[str, ...]:
        return ("claude-opus-5-5",)


def test_unknown_models_are_refused_before_serving(own: Path, project: Path) -> None:
    own.write_text('pool = ["claude-opus-5-5", "claude-opsu-5-5"]\n')
    with pytest.raises(SettingsError, match=r"config.toml:1: pool names 'claude-opsu-5-5'.*did you mean claude-opus-5-5"):
        verify(load(cwd=project), Names())
    own.write_text('pool = ["claude-opus-5-5", "mine"]\n[prices.mine]\ninput = 1\noutput = 2\n')
    verify(load(cwd=project), Names())


def test_a_repository_cannot_consent_to_weaker_models_for_you(own: Path, project: Path) -> None:
    (project / ".pointsman.toml").write_text('\nprofile = "saver"\n')
    with pytest.raises(SettingsError, match=r"\.pointsman\.toml:2: a project may not set the profile saver"):
        load(cwd=project)
    (project / ".pointsman.toml").unlink()
    own.write_text('profile = "saver"\n')
    assert load(cwd=project).profile == "saver"


@pytest.mark.parametrize(("text", "said"), [
    ('profile = "fast"\n[advisor]\nmodel = "opus"\nmode = "pul"\n', ":4: advisor.mode:"),
    ('[check]\ntimeout_s = 3\ncomand = "x"\n', ":3: unknown setting 'check.comand' (did you mean 'command'?)"),
    ('[prices.x]\ninput = 1\noutput = 2\n[prices.y]\ninput = 1\noutput = "x"\n', ":6: prices.y.output: a number is wanted"),
    ('port = "x"\n', ":1: port: a whole number is wanted, not 'x'"),
])  # fmt: skip
def test_an_error_inside_a_table_names_its_own_line(tmp_path: Path, text: str, said: str) -> None:
    own = tmp_path / "own.toml"
    own.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(own, cwd=tmp_path)
    assert f"{own}{said}" in str(caught.value)
