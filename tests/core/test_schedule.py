"""``--schedule``: a config forced from a given request of the main lane on, through the same vetoes as any decision."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.test_decide import HAIKU, OPUS, Play
from pointsman.core.book import Book
from pointsman.core.events import Pinned
from pointsman.core.policy import Policy
from pointsman.core.schedule import Step, config_of, parse, step_at
from pointsman.core.types import Config
from pointsman.errors import SettingsError
from pointsman.settings import Settings, verify
from pointsman.shell.prices import load_book


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


def policy(text: str, **more: object) -> Policy:
    return replace(Policy(origins=(("schedule", "--schedule"),)), schedule=parse(text), **more)  # type: ignore[arg-type]


def test_a_schedule_is_read_and_what_is_none_is_refused() -> None:
    assert parse("2:cheaper, 4:asked,6:gpt-6-luna:low") == (Step(2, "cheaper"), Step(4, "asked"), Step(6, "gpt-6-luna:low"))
    for text, said in (("haiku", "is not of the form"), ("0:haiku", "is not of the form"), ("2:", "is not of the form"),
                       ("4:asked,2:cheaper", "must ascend"), ("2:asked,2:cheaper", "must ascend")):
        with pytest.raises(SettingsError, match=said):
            parse(text)


def test_a_step_holds_until_the_next() -> None:
    steps = parse("2:cheaper,4:asked")
    assert [step and step.name for step in (step_at(steps, n) for n in (1, 2, 3, 4, 9))] == [
        None, "cheaper", "cheaper", "asked", "asked"]  # fmt: skip


@pytest.mark.parametrize(("name", "means"), [
    ("asked", Config(OPUS, "high")), ("cheaper", Config("claude-sonnet-5-5", "high")),
    ("stronger", Config("claude-fable-5-2", "high")), ("haiku", Config(HAIKU, "high")), ("haiku:low", Config(HAIKU, "low")),
    ("claude-haiku-4-5", Config("claude-haiku-4-5")), ("asked:low", Config(OPUS, "low")),
    ("claude-haiku-4-5:low", "claude-haiku-4-5 has no effort 'low': it takes no effort setting"),
    ("a-model-of-nobody", "unknown model 'a-model-of-nobody'"),
])  # fmt: skip
def test_names_are_read_beside_the_asked_model(book: Book, name: str, means: Config | str) -> None:
    found = config_of(Step(1, name), Config(OPUS, "high"), book)
    if name == "stronger" and isinstance(found, Config):
        assert found.model == book.ladder(OPUS)[book.ladder(OPUS).index(OPUS) + 1]
    else:
        assert found == means


def test_it_is_forced_from_its_request_on_and_says_so(book: Book) -> None:
    play = Play(book, policy("2:claude-haiku-5-5,4:asked"))
    made = [play.prompt(), play.tool(), play.tool(), play.prompt(), play.tool()]
    assert [d.chosen.model for d in made] == [OPUS, HAIKU, HAIKU, OPUS, OPUS]
    assert [d.action for d in made] == ["stay", "switch", "stay", "switch", "stay"]
    assert [d.reason for d in made[1:]] == ["schedule"] * 4
    assert made[1].rules[0].origin == "--schedule" and made[1].sentence.startswith("haiku-5-5, as scheduled")
    assert made[1].gates[1].name == "schedule" and made[1].gates[1].said == "request 2 is scheduled for claude-haiku-5-5:high"


def test_housekeeping_summaries_and_retries_do_not_count(book: Book) -> None:
    play = Play(book, policy("2:claude-haiku-5-5"))
    play.prompt(answer=False)
    again = play.send()  # the same body again
    assert again.reason == "retry" and again.chosen.model == OPUS
    assert play.send(purpose="side", body_hash=77, session="s1", tools=0).reason != "schedule"
    assert play.session.lanes["main"].worked == 1
    assert play.tool().chosen.model == HAIKU


def test_what_cannot_take_the_request_is_said_and_the_asked_model_serves(book: Book) -> None:
    play = Play(book, policy("1:claude-haiku-5-5"))
    made = play.prompt(needs=frozenset({"tool_reference"}))
    assert made.chosen.model == OPUS and made.reason == "schedule"
    assert made.notices[0].startswith("the schedule cannot be kept at request 1: claude-haiku-5-5:high: it does not take")


def test_it_comes_before_a_pin_and_after_observing(book: Book) -> None:
    play = Play(book, policy("1:claude-haiku-5-5"))
    play.prompt()
    play.tell(Pinned(play.now, "s1", Config("claude-sonnet-5-5"), "session", "pointsman pin"))
    assert play.prompt().chosen.model == HAIKU
    assert Play(book, policy("1:claude-haiku-5-5", mode="observe")).prompt().chosen.model == OPUS


def test_settings_know_it_and_a_project_may_not_set_it(book: Book, tmp_path: object) -> None:
    made = Settings(schedule="2:cheaper,4:haiku:low")
    verify(made, book)
    assert made.policy().schedule == parse("2:cheaper,4:haiku:low")
    with pytest.raises(SettingsError, match="is not of the form"):
        Settings(schedule="cheaper")
    with pytest.raises(SettingsError, match="schedule names 'claude-haiku-9'.*did you mean"):
        verify(Settings(schedule="2:claude-haiku-9"), book)
