"""Settings of several layers: what adds up, what a project may only tighten, and where each rule is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pointsman.core.globs import DEFAULTS
from pointsman.core.policies import own_fields
from pointsman.core.policy import DEADLINE_S, FAILURE_USD, STAKES, Policy
from pointsman.errors import SettingsError
from pointsman.settings import Settings, load, verify
from pointsman.shell.answers import asked, open_questions, remember
from pointsman.shell.prices import load_book

Write = Callable[..., Policy]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own settings file."""
    path = tmp_path / "config.toml"
    monkeypatch.setenv("POINTSMAN_CONFIG", str(path))
    return path


@pytest.fixture
def written(own: Path, tmp_path: Path) -> Write:
    """Write the user's and the project's file; the policy that comes of them."""

    def write(mine: str = "", theirs: str = "") -> Policy:
        own.write_text(mine)
        folder = tmp_path / "project"
        folder.mkdir(exist_ok=True)
        (folder / ".pointsman.toml").write_text(theirs)
        return load(cwd=folder).policy()

    return write


def test_protected_work_adds_up_and_each_glob_knows_its_line(written: Write, own: Path, tmp_path: Path) -> None:
    policy = written('[protect]\npaths = [\n  "billing/**",\n]\nstakes = 4\n', '\nprotect = ["infra"]\n')
    assert policy.protect[: len(DEFAULTS)] == DEFAULTS
    assert policy.protect[len(DEFAULTS) :] == ("path billing/**", "path infra", "command infra", "tool infra")
    assert (policy.stakes_usd, policy.origin("path billing/**")) == (4.0, f"{own}:3")
    assert policy.origin("path infra") == f"{tmp_path / 'project' / '.pointsman.toml'}:2"
    assert policy.origin("path migrations") == "default"


def test_only_your_own_file_takes_protection_off(written: Write) -> None:
    assert written("protect = false").protect == ()
    assert written("[protect]\ndefaults = false\ntools = ['x']").protect == ("tool x",)
    for theirs in ("protect = false", "[protect]\ndefaults = false"):
        with pytest.raises(SettingsError, match="may not take the default protection off"):
            written("", theirs)


def test_a_project_only_tightens(written: Write) -> None:
    mine = 'deny = ["a"]\nallow = ["b", "c"]\nfloor = "d"\nmode = "observe"\nside = false\nfailure_usd = 3\nprofile = "fast"\n'
    mine += "[budget]\nsession = 5\nday = 9\nthen = 'hold'\n"
    theirs = 'deny = ["e"]\nallow = ["c", "f"]\nfloor = "g"\nmode = "auto"\nside = true\nfailure_usd = 1\nprofile = "balanced"\n'
    theirs += "[budget]\nsession = 50\nday = 2\nthen = 'warn'\n"
    policy = written(mine, theirs)
    assert (policy.deny, policy.allow, policy.floor) == (("a", "e"), ("c",), ("d", "g"))
    assert (policy.mode, policy.side, policy.failure_usd, policy.profile) == ("observe", False, 3.0, "fast")
    assert (policy.budget_session, policy.budget_day, policy.budget_then) == (5.0, 2.0, "hold")
    assert "config.toml:1 and " in policy.origin("deny")


@pytest.mark.parametrize(
    "theirs",
    ['failure_usd = "0.01"', 'deadline_s = "9999"', '[budget]\nsession = "1000"', "[budget]\nsession = true",
     '[protect]\nstakes = "1"', 'side = "yes"', "side = 1", "deadline_s = inf", "[budget]\nday = inf"],
)  # fmt: skip
def test_a_value_of_another_kind_is_refused_and_never_the_laxer_word(written: Write, theirs: str) -> None:
    """A number in quotes cannot be compared with yours, so it would have taken its place."""
    with pytest.raises(SettingsError, match="wanted, not"):
        written("failure_usd = 10\ndeadline_s = 60\nside = false\n[budget]\nsession = 5\n", theirs)


def test_a_project_that_allows_none_of_your_models_is_refused(written: Write) -> None:
    with pytest.raises(SettingsError, match="allows none of the models"):
        written('allow = ["a"]', 'allow = ["b"]')


@pytest.mark.parametrize(("theirs", "field", "expected"), [
    ('profile = "balanced"', "profile", "quality"), ("failure_usd = 0", "failure_usd", FAILURE_USD),
    ("failure_usd = 50", "failure_usd", 50.0), ("deadline_s = 99999", "deadline_s", DEADLINE_S),
    ("deadline_s = 60", "deadline_s", 60.0), ("cache_diagnostics = true", "diagnose", False),
    ("efforts = false", "efforts", False), ("[protect]\nstakes = 1", "stakes_usd", STAKES),
    ("[protect]\nstakes = 9", "stakes_usd", 9.0),
])  # fmt: skip
def test_a_project_is_never_laxer_than_the_defaults(written: Write, theirs: str, field: str, expected: object) -> None:
    assert getattr(written("", theirs), field) == expected


def test_what_a_project_could_not_loosen_says_default(written: Write, own: Path, tmp_path: Path) -> None:
    written("", 'profile = "balanced"\nfailure_usd = 50\n')
    settings = load(cwd=tmp_path / "project")
    assert settings.origin("profile") == "default" and "profile" not in settings.written
    assert settings.origin("failure_usd") == f"{tmp_path / 'project' / '.pointsman.toml'}:2"


@pytest.mark.parametrize(("mine", "theirs", "expected"), [
    ('allow = ["b"]', "allow = []", ("b",)), ("allow = []", 'allow = ["b"]', ("b",)), ("", 'allow = ["b"]', ("b",)),
])  # fmt: skip
def test_an_empty_list_of_allowed_models_allows_no_more(
    written: Write, mine: str, theirs: str, expected: tuple[str, ...]
) -> None:  # fmt: skip
    assert written(mine, theirs).allow == expected


def test_a_project_brings_a_check_of_its_own_and_never_takes_yours_off(written: Write, tmp_path: Path) -> None:
    for theirs, expected in (("check = false", "pytest -q"), ('check = "npm test"', "npm test")):
        written('check = "pytest -q"', theirs)
        assert load(cwd=tmp_path / "project").check == expected


def test_efforts_that_you_keep_stay_kept(written: Write) -> None:
    assert written("efforts = false", "efforts = true").efforts is False


@pytest.mark.parametrize(("theirs", "named"), [
    ("check = true", "check = true"), ("[budget]\nday = 1\nthen = 'cheapest'", "budget.then = cheapest"),
    ('profile = "saver"', "the profile saver"),
])  # fmt: skip
def test_a_project_may_not_admit_weaker_models(written: Write, theirs: str, named: str) -> None:
    with pytest.raises(SettingsError, match=rf"\.pointsman\.toml:1: a project may not set {named}, because .*only you can"):
        written("", theirs)


@pytest.mark.parametrize("line", [
    'asked = "haiku"', 'kinds = { plan = "haiku" }', "up_cap_usd = 99", "risk = 0.5", "consent_up = true", 'pool = ["haiku"]',
    "check_recall = 1", "check_false_alarm = 0",
])  # fmt: skip
def test_a_project_may_not_spend_or_weaken(written: Write, line: str) -> None:
    with pytest.raises(SettingsError, match="may not be set by a project"):
        written("", line)


def test_kinds_are_known_words_or_shown_by_globs(written: Write) -> None:
    policy = written('[kinds]\nplan = "opus"\n[kinds.frontend]\nmodel = "glm-5"\npaths = ["web/**"]\n')
    assert policy.kinds == (("plan", "opus"), ("frontend", "glm-5")) and policy.kind_rules == ("frontend path web/**",)
    assert policy.origin("kinds.frontend").endswith(":3")
    with pytest.raises(SettingsError, match=r"'frontend' is none of plan, .*\[kinds.frontend\]"):
        written('[kinds]\nfrontend = "glm-5"')
    with pytest.raises(SettingsError, match="cannot name a kind"):
        written('[kinds.path]\nmodel = "x"\ntools = ["y"]')
    with pytest.raises(SettingsError, match=r"unknown setting 'kinds.a[\w.]*path'.*did you mean 'paths'"):
        written('[kinds.a]\nmodel = "x"\npath = ["y"]')


@pytest.mark.parametrize(("line", "key"), [
    ('floor = "sonet"', "floor"), ('ceiling = "opsu"', "ceiling"), ('kinds = { plan = "opsu:high" }', "kinds"),
])  # fmt: skip
def test_a_model_that_nobody_knows_is_said_before_serving(own: Path, line: str, key: str) -> None:
    own.write_text(line)
    with pytest.raises(SettingsError, match=rf"config.toml:1: {key}[\w.]* names '(sonet|opsu)', which has no price"):
        verify(load(), load_book())


def test_what_a_run_tells_the_gateway_is_what_somebody_wrote(written: Write, own: Path, tmp_path: Path) -> None:
    written("failure_usd = 2", 'floor = "opus"\n[budget]\nday = 3')
    settings = load(cwd=tmp_path / "project", flags={"profile": "fast", "port": None})
    assert own_fields(frozenset(settings.written)) == (
        "budget_session", "budget_day", "budget_then", "day_offset_s", "failure_usd", "floor", "profile",
    )  # fmt: skip
    assert load(cwd=tmp_path / "project", projects=False).floor == ()
    written("check = true\ncache_diagnostics = true")
    told = own_fields(frozenset(load(cwd=tmp_path / "project").written))
    assert told == ("diagnose", "check", "check_recall", "check_false_alarm", "check_s"), "with how far it is believed"


# -- answers -----------------------------------------------------------------------------------------------------------


def test_answers_are_asked_once_and_your_own_file_has_the_last_word(own: Path) -> None:
    said = iter(["2", "y"])
    prompts: list[str] = []

    def read(prompt: str) -> str:
        prompts.append(prompt)
        return next(said)

    assert open_questions(load()) == ["profile", "consent_up"]
    settings = asked(load(), lambda: {"balanced": "≈$1.20 less on your last 9 sessions"}, read=read)
    assert (settings.profile, settings.consent_up) == ("balanced", True)
    assert "≈$1.20 less on your last 9 sessions" in prompts[0] and "at most $2.00 a task" in prompts[1]
    again = load()
    assert (again.profile, again.consent_up, open_questions(again)) == ("balanced", True, [])
    assert again.origin("profile").endswith("answers.toml:2")
    assert asked(again, read=read) is again, "nothing is open: nothing is asked"
    own.write_text('profile = "quality"\nconsent_up = false\n')
    assert (load().profile, load().consent_up) == ("quality", False)


def test_no_answer_is_no_consent_and_is_asked_again(own: Path) -> None:
    def interrupted(prompt: str) -> str:
        raise EOFError

    assert asked(load(), read=interrupted) == load()
    assert open_questions(load()) == ["profile", "consent_up"]
    assert asked(Settings(mode="observe"), read=interrupted).consent_up is None, "who observes is not asked"


def test_an_answer_that_is_none_is_asked_again(own: Path) -> None:
    said = iter(["9", "best", "saver", ""])
    settings = asked(load(), read=lambda prompt: next(said))
    assert (settings.profile, settings.consent_up) == ("saver", False)


def test_remembered_tables_keep_their_other_entries(own: Path) -> None:
    path = remember({"kinds": {"plan": "opus"}, "profile": "fast"})
    remember({"kinds": {"edit": "sonnet:low"}})
    assert load().policy().kinds == (("plan", "opus"), ("edit", "sonnet:low"))
    remember({"kinds": {"plan": None, "edit": None}})
    assert load().policy().kinds == () and load().profile == "fast"
    path.write_text("not toml")
    with pytest.raises(SettingsError, match="mend it, or move it away"):
        remember({"profile": "fast"})
