"""The vendors' own SDKs read what the provider says: an independent judge of its words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest

from pointsman.sandbox import Call, Thinking, say

WEATHER = {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}
REPLY = say(Thinking("Towns have weather."), "Let me look: Zürich 🚂.", Call("weather", {"town": "Zürich"}))


@pytest.fixture
async def claude(wire: Any) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """Anthropic's SDK on the provider."""
    wire.script(lambda request: REPLY)
    async with anthropic.AsyncAnthropic(base_url=wire.provider.url, api_key="key", max_retries=0) as client:
        yield client


@pytest.fixture
async def gpt(wire: Any) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's SDK on the provider."""
    wire.script(lambda request: REPLY)
    async with openai.AsyncOpenAI(base_url=wire.provider.url + "/v1", api_key="key", max_retries=0) as client:
        yield client


ASK: dict[str, Any] = {
    "model": "claude-opus-5-5",
    "max_tokens": 1_000,
    "thinking": {"type": "adaptive"},
    "messages": [{"role": "user", "content": "Weather?"}],
    "tools": [{"name": "weather", "input_schema": WEATHER}],
}


async def test_messages_streamed_and_not_say_the_same(claude: anthropic.AsyncAnthropic) -> None:
    """Thinking with its signature, text and the tool call come out alike, and so does the usage."""
    whole = await claude.messages.create(**ASK)
    async with claude.messages.stream(**ASK) as stream:
        kinds = [event.type async for event in stream]
        streamed = await stream.get_final_message()
    assert [block.type for block in streamed.content] == ["thinking", "text", "tool_use"]
    assert streamed.content[1].text == whole.content[1].text == "Let me look: Zürich 🚂."
    assert streamed.content[2].input == whole.content[2].input == {"town": "Zürich"}
    assert streamed.content[0].signature and streamed.stop_reason == whole.stop_reason == "tool_use"
    assert streamed.usage.output_tokens == whole.usage.output_tokens > 10
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop"


async def test_messages_goes_on_with_its_own_blocks(wire: Any, claude: anthropic.AsyncAnthropic) -> None:
    """What came back is accepted as history, thinking unchanged."""
    first = await claude.messages.create(**ASK)
    result = {"type": "tool_result", "tool_use_id": first.content[2].id, "content": "sunny"}
    messages = [
        *ASK["messages"],
        {"role": "assistant", "content": [b.model_dump(exclude_none=True) for b in first.content]},
        {"role": "user", "content": [result]},
    ]
    assert (await claude.messages.create(**(ASK | {"messages": messages}))).stop_reason == "tool_use"
    assert wire.provider.requests[-1].status == 200


async def test_counting_and_listing(claude: anthropic.AsyncAnthropic) -> None:
    """count_tokens says what the request will be billed; models are listed."""
    counted = await claude.messages.count_tokens(**{k: v for k, v in ASK.items() if k != "max_tokens"})
    billed = (await claude.messages.create(**ASK)).usage.input_tokens
    assert counted.input_tokens == billed
    assert "claude-opus-5-5" in [model.id async for model in claude.models.list()]


async def test_chat_streamed_and_not_say_the_same(gpt: openai.AsyncOpenAI) -> None:
    """Text, tool call and usage; OpenAI's own models keep their reasoning to themselves."""
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}]
    ask: Any = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Weather?"}], "tools": tools}
    whole = await gpt.chat.completions.create(**ask)
    text, arguments, finish, usage = "", "", None, None
    async for chunk in await gpt.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
            arguments += "".join(call.function.arguments or "" for call in choice.delta.tool_calls or [])
    message = whole.choices[0].message
    assert text == message.content and finish == whole.choices[0].finish_reason == "tool_calls"
    assert message.tool_calls and arguments == message.tool_calls[0].function.arguments == '{"town":"Zürich"}'
    assert usage == whole.usage and usage is not None and usage.completion_tokens_details.reasoning_tokens == 5


async def test_chat_without_include_usage_brings_none(gpt: openai.AsyncOpenAI) -> None:
    """A stream states its usage only when asked."""
    ask: Any = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Weather?"}], "stream": True}
    assert [chunk async for chunk in await gpt.chat.completions.create(**ask) if chunk.usage is not None] == []


async def test_responses_streamed_and_not_say_the_same(gpt: openai.AsyncOpenAI) -> None:
    """Items, numbered events, the completed response at the end."""
    tools: Any = [{"type": "function", "name": "weather", "parameters": WEATHER, "strict": False}]
    ask: Any = {"model": "gpt-6.1-sol", "input": "Weather?", "tools": tools, "reasoning": {"effort": "low", "summary": "auto"}}
    whole = await gpt.responses.create(**ask)
    events = [event async for event in await gpt.responses.create(**ask, stream=True)]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in events][:2] == ["response.created", "response.in_progress"]
    done = events[-1]
    assert done.type == "response.completed"
    assert (
        [item.type for item in done.response.output]
        == [item.type for item in whole.output]
        == ["reasoning", "message", "function_call"]
    )
    assert done.response.output_text == whole.output_text == "Let me look: Zürich 🚂."
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == whole.output_text
    assert done.response.usage is not None and done.response.reasoning is not None and done.response.reasoning.effort == "low"


async def test_errors_are_the_vendors_own(wire: Any, claude: anthropic.AsyncAnthropic, gpt: openai.AsyncOpenAI) -> None:
    """An unknown model is the SDK's NotFoundError on both sides."""
    with pytest.raises(anthropic.NotFoundError, match="model: claude-9"):
        await claude.messages.create(**(ASK | {"model": "claude-9"}))
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        await gpt.responses.create(model="gpt-99", input="hi")
    wire.provider.strict = False
    assert (await claude.messages.create(**(ASK | {"model": "router-auto"}))).model == "router-auto"


async def test_other_vendors_show_their_reasoning_in_chat(wire: Any) -> None:
    """DeepSeek's reasoning_content."""
    wire.script(lambda request: REPLY)
    answer = await wire.post(
        "/v1/chat/completions", {"model": "deepseek-v4-pro", "messages": [{"role": "user", "content": "Weather?"}]}
    )
    assert answer["choices"][0]["message"]["reasoning_content"] == "Towns have weather."


async def test_gemini_streams_events_or_an_array(wire: Any) -> None:
    """The same parts either way; a call carries its signature, and is refused without it."""
    wire.script(lambda request: REPLY)
    ask = {"contents": [{"role": "user", "parts": [{"text": "Weather?"}]}]}
    base = wire.provider.url + "/v1beta/models/gemini-4-argon:"
    async with wire.http.post(base + "streamGenerateContent", json=ask) as answer:
        array = await answer.json()
    async with wire.http.post(base + "streamGenerateContent?alt=sse", json=ask) as answer:
        text = await answer.text()
    assert text.count("data: ") == len(array) and array[-1]["candidates"][0]["finishReason"] == "STOP"
    call = next(part for chunk in array for part in chunk["candidates"][0]["content"]["parts"] if "functionCall" in part)
    history = [
        *ask["contents"],
        {"role": "model", "parts": [call]},
        {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {}}}]},
    ]
    path = "/v1beta/models/gemini-4-argon:generateContent"
    assert (await wire.post(path, {"contents": history}))["status"] == 200
    del call["thoughtSignature"]
    assert "missing a thought_signature" in (await wire.post(path, {"contents": history}))["error"]["message"]


async def test_the_output_limit_cuts_the_answer(wire: Any) -> None:
    """Two tokens of room: eight characters, and the stop reason says so; none: the prompt is only cached."""
    wire.script(lambda request: say("abcdefghijklmnop"))
    answer = await wire.messages(max_tokens=2, messages=[{"role": "user", "content": "hi"}])
    assert (answer["content"][0]["text"], answer["stop_reason"], answer["usage"]["output_tokens"]) == (
        "abcdefgh",
        "max_tokens",
        2,
    )
    assert (await wire.messages(max_tokens=0, messages=[{"role": "user", "content": "hi"}]))["content"] == []
