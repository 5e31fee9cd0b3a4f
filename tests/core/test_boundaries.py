"""Where a task begins: by form and overlap, in any language; and what never begins one."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from pointsman.core.boundaries import SHORT, SKETCH_BITS, begins
from pointsman.core.messages import Call, Fact, Message
from pointsman.core.progress import Progress
from pointsman.core.session import Lane, Session
from pointsman.wire.prompts import BITS, length_of, sketch_of

NEXT = count(1)
BEFORE = "The parser is slow for large files because it copies every token. I cached the tokens; the tests pass now."
LONG = (
    "The upload dialog of the web client loses its state when the window is resized. Keep the chosen folder and the progress "
    "bar in the store, show an explanation under the button while the upload waits for the network, and write a story for it."
)
OTHER_LANGUAGES = {
    "de": "Der Hochladen-Dialog im Webclient verliert seinen Zustand, sobald das Fenster verkleinert wird. Bitte Ordner und "
    "Fortschritt im Speicher behalten, unter dem Knopf erklären, dass auf das Netz gewartet wird, und eine Geschichte schreiben.",
    "zh": "网页客户端的上传对话框在调整窗口大小时会丢失状态。请把所选文件夹和进度条保存在状态存储里，"
    "在等待网络时于按钮下方显示说明，并为它写一个示例故事。另外请检查移动端布局，确保按钮在小屏幕上也能完整显示，并补充相应的截图说明文档。",
    "ru": "Диалог загрузки в веб-клиенте теряет состояние при изменении размера окна. Сохраняй выбранную папку и полосу хода "
    "работы в хранилище, показывай пояснение под кнопкой, пока загрузка ждёт сеть, и напиши для этого пример.",
    "hi": "वेब क्लाइंट का अपलोड संवाद विंडो का आकार बदलने पर अपनी स्थिति खो देता है। चुने गए फ़ोल्डर और प्रगति पट्टी को स्टोर में "
    "रखें, अपलोड के नेटवर्क की प्रतीक्षा करते समय बटन के नीचे एक स्पष्टीकरण दिखाएँ, और इसके लिए एक कहानी लिखें।",
    "fi": "Verkkoasiakkaan latausikkuna menettää tilansa, kun ikkunan kokoa muutetaan. Säilytä valittu kansio ja edistymispalkki "
    "tallessa, näytä painikkeen alla selitys, kun lataus odottaa verkkoa, ja kirjoita sille tarina.",
    "ko": "웹 클라이언트의 업로드 대화 상자는 창 크기를 조정하면 상태를 잃어버립니다. 선택한 폴더와 진행률 표시줄을 저장소에 "
    "보관하고, 업로드가 네트워크를 기다리는 동안 버튼 아래에 설명을 표시하고, 이에 대한 스토리를 작성하세요.",
    "ar": "يفقد مربع حوار الرفع في عميل الويب حالته عند تغيير حجم النافذة. احتفظ بالمجلد المختار وشريط التقدم في المخزن، واعرض "
    "شرحًا أسفل الزر أثناء انتظار الرفع للشبكة، واكتب قصة لذلك.",
}  # fmt: skip


def prompt(text: str, *facts: Fact) -> Message:
    return Message(next(NEXT), "user", "prompt", 9, facts=facts, said=length_of(text), sketch=sketch_of(text))


def answer(text: str = BEFORE, *calls: Call) -> Message:
    return Message(next(NEXT), "assistant", "assistant", 9, calls=calls, sketch=sketch_of(text, end=True))


ASKED = int(sketch_of("make the parser faster for large files"), 16)
WORK = Progress(requests=4, calls=5, edits=2, edited=True, words=(ASKED, 0))
LANE = Lane("main", "main", requests=4, last_start=100.0, progress=WORK)
SESSION = Session("s", lanes={"main": LANE})


def new_task(text: str, *facts: Fact, gap: float = 60.0, session: Session = SESSION, lane: Lane = LANE, said: Any = None) -> bool:
    return begins(session, lane, (said or answer(), prompt(text, *facts)), gap)


@pytest.mark.parametrize("language", OTHER_LANGUAGES)
def test_a_new_goal_is_told_in_any_language(language: str) -> None:
    assert new_task(OTHER_LANGUAGES[language])


def test_a_new_goal_begins_a_task_and_more_about_the_old_one_does_not() -> None:
    assert new_task(LONG)
    assert not new_task("And the tokens: are they also cached for large files that the parser reads twice, in the tests as well?")
    for text in ("continue", "yes", "👍", "commit this", "好的，继续", "продолжай", "ok push it"):
        assert len(text) < SHORT and not new_task(text) and not new_task(text, gap=20_000), text


def test_complaints_go_on_however_long_they_are() -> None:
    assert not new_task(LONG, "pasted_failure") and not new_task(LONG, "quotes")
    asked = replace(LANE, progress=replace(LANE.progress, asked=(int(sketch_of(LONG), 16),)))
    assert not new_task(LONG, lane=asked), "the same prompt again"


def working(**progress: Any) -> Lane:
    return replace(LANE, progress=replace(LANE.progress, **progress))


def test_a_pause_a_commit_and_edits_speak_for_a_task_talk_and_lists_against_it() -> None:
    middling = "Can we show the branch name and the age of each entry in the list of sessions that opens on the left?"
    assert not new_task(middling) and new_task(middling, gap=4_000)
    assert new_task(middling, said=answer(BEFORE, Call("commit", 1)))
    assert new_task(LONG[:120]) and not new_task(LONG[:120], lane=working(edited=False))
    assert not new_task(LONG[:150], lane=working(calls=0)) and not new_task(LONG[:150], lane=working(todo=True))


def test_where_answers_are_not_known_new_words_say_less() -> None:
    silent = Message(next(NEXT), "assistant", "assistant", 9)
    assert new_task(LONG[:150]) and not new_task(LONG[:150], said=silent)


def test_a_passed_check_ends_the_task_unless_the_person_says_otherwise() -> None:
    passed = replace(SESSION, signals=((150.0, "check_passed"),))
    assert new_task("and now the lexer", session=passed) and not new_task("E   assert 1 == 2", "pasted_failure", session=passed)
    failed = replace(SESSION, signals=((150.0, "check_failed"),))
    assert not new_task("try again with the old cache", session=failed) and new_task(LONG, session=failed)


def test_what_a_failed_check_sends_to_the_agent_begins_nothing() -> None:
    sent = replace(SESSION, signals=((150.0, "check_failed"),), sent_at=150.0, sent_back=1)
    assert not new_task(LONG, session=sent, gap=55)
    assert new_task(LONG, session=sent, gap=9_000), "whoever speaks two hours later is a person"
    assert new_task(LONG, session=replace(sent, sent_at=50.0)), "that was a request ago"


def test_without_words_only_the_pause_counts() -> None:
    unseen = (answer(), Message(next(NEXT), "user", "prompt", 9))
    assert begins(SESSION, LANE, unseen, 9_000) and not begins(SESSION, LANE, unseen, 60)


def test_chance_is_reckoned_with_the_bits_that_sketches_have() -> None:
    assert SKETCH_BITS == BITS
