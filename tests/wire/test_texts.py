"""What kind of text a message holds, and how large its images and documents are: told without a tokenizer or a decoder."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Any

import pytest

from pointsman import wire
from pointsman.wire import pictures
from pointsman.wire.texts import Mix, kind_of

PROSE = "The agent reads the file, changes two lines and runs the tests again, because one of them had failed before. " * 8
CODE = "def add(a: int, b: int) -> int:\n    if (a < 0) or (b < 0):\n        raise ValueError(f'{a}')\n    return a + b\n" * 8
NUMBERED = "".join(f"{n:6}\tconst total = items.reduce((sum, item) => sum + item.price, 0);\n" for n in range(1, 40))
LOGS = "".join(f"2026-11-22T05:{n:02}:17.482Z 127.0.0.1 200 1543{n} 0.0{n}s 3f9a77c0{n}\n" for n in range(60))
JSON = json.dumps([{"name": f"item {i}", "price": i, "tags": ["a", "b"]} for i in range(60)], indent=1)


@pytest.mark.parametrize(("text", "kind"), [
    (PROSE, "prose"), (CODE, "code"), (NUMBERED, "code"), (LOGS, "logs"), (JSON, "json"), ("", "prose"), ("ok", "prose"),
    ("[INFO] server started", "prose"),
])  # fmt: skip
def test_kinds(text: str, kind: str) -> None:
    assert kind_of(text) == kind


def test_a_text_is_judged_by_its_middle_as_well_as_by_its_head() -> None:
    assert kind_of("Exit code 0. Output:\n" + LOGS * 4) == "logs"


def test_a_mix_counts_each_text_under_its_kind() -> None:
    mix = Mix()
    for text in (PROSE, CODE, LOGS, LOGS):
        mix.add(text)
    assert mix.split() == (len(CODE), 0, 2 * len(LOGS))
    plain = Mix()
    plain.add(PROSE)
    assert plain.split() == Mix().split() == ()


def png(width: int, height: int) -> str:
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    whole = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head)) + b"x" * 9_000
    return base64.b64encode(whole).decode()


JPEG = base64.b64encode(
    b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00" + b"\xff\xc0\x00\x11\x08\x02\x58\x03\x20\x03"
    + b"\x00" * 40
).decode()
GIF = base64.b64encode(b"GIF89a" + struct.pack("<HH", 320, 200) + b"\x00" * 20).decode()
LOSSLESS = base64.b64encode(
    b"RIFF\x00\x00\x00\x00WEBPVP8L\x00\x00\x00\x00\x2f" + struct.pack("<I", 639 | (479 << 14)) + b"\x00" * 9
).decode()
PDF = base64.b64encode(b"%PDF-1.7\n/Type /Pages /Count 3\n/Type /Page \n/Type /Page \n/Type/Page>\n").decode()


@pytest.mark.parametrize(("data", "size"), [
    (png(1_280, 720), (1_280, 720)), ("data:image/png;base64," + png(10, 20), (10, 20)), (JPEG, (800, 600)), (GIF, (320, 200)),
    (LOSSLESS, (640, 480)), ("https://example.org/a.png", (0, 0)), ("not base64 at all!", (0, 0)), ("", (0, 0)),
])  # fmt: skip
def test_the_size_of_an_image_is_in_its_first_bytes(data: str, size: tuple[int, int]) -> None:
    assert pictures.size(data) == size


@pytest.mark.parametrize(("size", "detail", "seen"), [
    ((2_048, 2_048), "high", (1_600, 1_600)), ((4_096, 1_024), "high", (2_048, 512)), ((1_440, 1_000), "high", (1_440, 1_000)),
    ((1_280, 720), "low", (512, 288)), ((4_096, 4_096), "original", (4_096, 4_096)), ((4_096, 4_096), "None", (4_096, 4_096)),
    ((0, 0), "high", (0, 0)),
])  # fmt: skip
def test_the_detail_that_is_asked_for_is_what_is_counted(size: tuple[int, int], detail: str, seen: tuple[int, int]) -> None:
    assert pictures.shown(size, detail) == seen


@pytest.mark.parametrize("protocol", ["chat", "responses"])
def test_the_detail_is_read_off_the_wire(protocol: Any) -> None:
    url = "data:image/png;base64," + png(2_048, 2_048)
    part = {"type": "input_image", "image_url": url, "detail": "high"}
    result = {"type": "function_call_output", "call_id": "c", "output": [part]}
    value: dict[str, Any] = {"model": "gpt-5.5", "input": [{"role": "user", "content": [part]}, result]}
    if protocol == "chat":
        value = {"model": "gpt-5.5", "messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": url, "detail": "high"}}, {"type": "image_url", "image_url": {"url": url}},
        ]}]}  # fmt: skip
    path = "/v1/responses" if protocol == "responses" else "/v1/chat/completions"
    found = [size for message in wire.read(protocol, path, {}, json.dumps(value).encode()).messages for size in message.images]
    assert found == [(1_600, 1_600), (1_600, 1_600) if protocol == "responses" else (2_048, 2_048)]


def test_pages_of_a_document() -> None:
    assert pictures.pages(PDF) == 3 and pictures.pages("JVBERi0xLjcK") == 1


def test_an_image_counts_by_its_pixels_and_not_by_its_characters() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": png(1_280, 720)}}
    pdf = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}}
    text = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": CODE}}
    value = {"model": "claude-opus-5-5", "max_tokens": 9, "messages": [{"role": "user", "content": [image, pdf, text]}]}
    message = wire.read("messages", "/v1/messages", {}, json.dumps(value).encode()).messages[0]
    assert message.images == ((1_280, 720),) and message.pages == 3 and "image" in message.facts
    assert message.chars < len(CODE) + 1_000 and message.mix == (len(CODE), 0, 0)


def test_an_image_in_a_tool_result_of_codex() -> None:
    output = [{"type": "input_image", "image_url": "data:image/png;base64," + png(1_024, 1_024)}]
    value = {"model": "gpt-5.5", "input": [
        {"type": "message", "role": "user", "content": "look"},
        {"type": "function_call", "name": "view_image", "arguments": "{}", "call_id": "c"},
        {"type": "function_call_output", "call_id": "c", "output": output},
    ]}  # fmt: skip
    message = wire.read("responses", "/v1/responses", {}, json.dumps(value).encode()).messages[2]
    assert message.images == ((1_024, 1_024),) and message.chars < 500


def test_tool_results_are_told_apart() -> None:
    def result(text: str) -> dict[str, object]:
        return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": text}]}

    value = {"model": "claude-opus-5-5", "max_tokens": 9, "messages": [result(CODE), result(LOGS), result(JSON), result(PROSE)]}
    found = wire.read("messages", "/v1/messages", {}, json.dumps(value).encode()).messages
    assert [m.mix for m in found] == [(len(CODE), 0, 0), (0, 0, len(LOGS)), (0, len(JSON), 0), ()]
