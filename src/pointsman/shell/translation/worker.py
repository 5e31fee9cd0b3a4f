"""The translation worker: LiteLLM in a process of its own, without network and without keys.

Theory of operation
    LiteLLM's public calls (``anthropic_messages``, ``acompletion``, ``aresponses``) translate the request, ask the provider
    and translate the answer. Here the provider is ``Tunnel``: what LiteLLM would send over HTTP goes to the gateway as a frame,
    and what the gateway hears from the provider comes back as the response. So the gateway keeps keys, connections, usage and
    errors; this process sees texts only. What LiteLLM leaves open is settled before (``wire.foreign``), between
    (``wire.natives``, ``wire.reasoning``) and after it (``wire.spoken``).

Started by ``shell.translation.translator`` as ``python -m pointsman.shell.translation.worker``; it ends when its input does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from typing import Any

os.environ.update(
    LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_MODE="PRODUCTION", LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS="True",
    LITELLM_LOCAL_BLOG_POSTS="True", LITELLM_LOCAL_POLICY_TEMPLATES="True", LITELLM_LOCAL_AUTOROUTER_PRESETS="True",
    LITELLM_LOG="CRITICAL",
)  # fmt: skip

import httpx  # noqa: E402  # litellm reads its environment when it is imported
import litellm  # noqa: E402
import msgspec  # noqa: E402
from litellm.caching.llm_caching_handler import LLMClientCache  # noqa: E402
from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler  # noqa: E402

from pointsman.core.targets import Target  # noqa: E402
from pointsman.core.types import Protocol  # noqa: E402
from pointsman.errors import WireError  # noqa: E402
from pointsman.shell.translation.counting import Counter  # noqa: E402
from pointsman.shell.translation.frames import Frame, Job, frames, packed  # noqa: E402
from pointsman.wire.foreign import for_other_vendor, offered  # noqa: E402
from pointsman.wire.geminis import Geminis, as_chat  # noqa: E402
from pointsman.wire.natives import MARK, fit  # noqa: E402
from pointsman.wire.reasoning import Overheard, Thoughts, given_back  # noqa: E402
from pointsman.wire.recalling import Ends  # noqa: E402
from pointsman.wire.shelling import is_offered  # noqa: E402
from pointsman.wire.spoken import Speaker, speaker  # noqa: E402

PROVIDERS: dict[Protocol, str] = {"messages": "anthropic", "responses": "openai", "gemini": "gemini", "chat": "hosted_vllm"}
"""LiteLLM's provider for each wire format. ``hosted_vllm`` is plain Chat Completions, whoever serves it; its way does not lead
through OpenAI's SDK, which alone takes 25 ms for 100 kB (measured, 1.106.2)."""

IDS_KEPT = 5_000
"""Ids of Gemini's calls that are remembered: each carries a signature of a kilobyte or two."""

IDS = {"messages": "tool_use_id", "chat": "tool_call_id", "responses": "call_id"}


class Lost(Exception):
    """The provider broke off: the gateway knows, nothing is to be said about it."""


class Worker:
    """All requests under way, and the pipe to the gateway."""

    def __init__(self, out: asyncio.StreamWriter) -> None:
        self._out = out
        self._open: dict[int, Exchange] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.thoughts = Thoughts()
        self.ends = Ends()
        self.ids: dict[str, str] = {}
        self._counter: Counter | None = None

    def send(self, frame: Frame) -> None:
        """Queue a frame for the gateway."""
        self._out.write(packed(frame))

    def take(self, frame: Frame) -> None:
        """A frame from the gateway."""
        if frame.kind == "warm":
            self._begin(self._warmed(frame.facts["natives"]))
        elif frame.kind == "count":
            self._begin(self._count(frame))
        elif frame.kind == "job":
            exchange = self._open[frame.id] = Exchange(self, frame.id, msgspec.convert(frame.facts, Job), frame.data)
            exchange.task = self._begin(self._run(exchange))
        elif frame.id in self._open:
            exchange = self._open[frame.id]
            if frame.kind == "cancel" and exchange.task is not None:
                exchange.task.cancel()
            else:
                exchange.arrived.put_nowait(frame)

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def exchange(self, id: int) -> Exchange:
        """The request under way with this id."""
        return self._open[id]

    async def _warmed(self, natives: list[Protocol]) -> None:
        """Rehearse, then load the tokenizer: translating is what the worker is for."""
        await self._rehearse(natives)
        if self._counter is None:
            with contextlib.suppress(Exception):  # without its files nothing is counted: requests go by characters
                self._counter = await asyncio.to_thread(Counter)
                self.send(Frame("counting"))

    async def _count(self, frame: Frame) -> None:
        """Count the tokens of a body in a thread (the tokenizer lets others run); 0 where that cannot be done."""
        tokens = 0
        if self._counter is not None:
            with contextlib.suppress(Exception):  # a body of no protocol's shape: its request goes by characters
                tokens = await asyncio.to_thread(self._counter.tokens, frame.facts["protocol"], frame.data)
        self.send(Frame("counted", frame.id, facts={"tokens": tokens}))

    async def _run(self, exchange: Exchange) -> None:
        try:
            await exchange.run()
            self.send(Frame("end", exchange.id))
        except Lost:
            self.send(Frame("error", exchange.id, facts={"why": "the provider broke off"}))
        except WireError as error:
            self.send(Frame("error", exchange.id, facts={"why": str(error)}))
        except Exception as error:  # whatever LiteLLM raises, which may quote the conversation: the original goes out instead
            self.send(Frame("error", exchange.id, facts={"why": f"LiteLLM could not translate it ({type(error).__name__})"}))
        finally:
            del self._open[exchange.id]

    async def _rehearse(self, natives: list[Protocol]) -> None:
        """Translate a few words each way, so that what LiteLLM imports late is there before the first request needs it."""
        for native in natives:
            for client, body in WORDS.items():
                target = {"model": "rehearsal", "known": True, "tools": True}
                job = Job(client, native, "", True, None, target, "rehearsal", 1)
                exchange = self._open[0] = Rehearsal(self, 0, job, msgspec.json.encode({**body, "stream": True}))
                with contextlib.suppress(Exception):  # a rehearsal that fails says nothing: the request itself will
                    await exchange.run()
                await asyncio.sleep(0)

    def remember(self, ids: dict[str, str]) -> None:
        """The ids that Gemini's translation gave its calls, by those that the client has; the oldest are forgotten."""
        self.ids.update(ids)
        while len(self.ids) > IDS_KEPT:
            del self.ids[next(iter(self.ids))]

    def renamed(self, body: Any) -> Any:
        """``body`` with the ids that Gemini's translation gave its calls: they carry the signatures of their thoughts."""
        if isinstance(body, dict):
            return {k: self.ids.get(v, v) if k in ("id", *IDS.values()) and isinstance(v, str) else self.renamed(v)
                    for k, v in body.items()}
        return [self.renamed(part) for part in body] if isinstance(body, list) else body


class Exchange:
    """One request: LiteLLM's call for it, what the gateway sends about it, what goes back."""

    def __init__(self, worker: Worker, id: int, job: Job, body: bytes) -> None:
        self.worker, self.id, self.job = worker, id, job
        self.task: asyncio.Task[None] | None = None
        self.arrived: asyncio.Queue[Frame] = asyncio.Queue()
        self.target = msgspec.convert(job.target, Target)
        self._body = body

    async def run(self) -> None:
        """Translate, have the gateway ask, translate back."""
        job = self.job
        given = msgspec.json.decode(self._body)
        wanted = bool((given.get("stream_options") or {}).get("include_usage"))
        spaces = {tool["name"]: space for space, tool in offered(given) if space} if job.client == "responses" else {}
        if job.client == "gemini":
            out: Speaker = Geminis(self.target.model)
            body = for_other_vendor("chat", as_chat(given, job.stream))
        else:
            shell = job.client == "responses" and is_offered(given.get("tools"))
            out = speaker(job.client, self.target.model, job.prompt, job.read, wanted, spaces, shell)
            body = for_other_vendor(job.client, given)
        if job.native == "gemini":
            body = self.worker.renamed(body)
        answer = await self._asked(body)
        if job.stream:
            await self._streamed(answer, out)
        else:
            self._say(out.whole(_plain(answer)))
        if job.native == "gemini":
            self.worker.remember({sent: id for sent, id in out.calls.items() if sent != id})

    async def _asked(self, body: dict[str, Any]) -> Any:
        """LiteLLM's answer: an object, or events as they come."""
        job, provider = self.job, PROVIDERS[self.job.native]
        as_chat_client = job.client in ("chat", "gemini")
        model = f"responses/{self.target.model}" if provider == "openai" and as_chat_client else self.target.model
        more: dict[str, Any] = {
            **body, "model": model, "custom_llm_provider": provider, "stream": job.stream, "max_retries": 0,
            "api_base": f"http://{self.id}.provider/v1", "api_key": "-",
        }  # fmt: skip
        if job.client == "messages":
            more.setdefault("max_tokens", 4_096)
            return await litellm.anthropic_messages(**more)
        if as_chat_client:
            if job.stream:
                more["stream_options"] = {"include_usage": True}
            return await litellm.acompletion(**more)
        if job.native == "chat":
            more["use_chat_completions_api"] = True
        return await litellm.aresponses(**more)

    async def _streamed(self, answer: AsyncIterator[Any], out: Speaker) -> None:
        async for item in answer:
            for event in _events(item):
                self._say(out.event(event))
        self._say(out.end())

    def _say(self, data: bytes) -> None:
        if data:
            self.worker.send(Frame("data", self.id, data))

    async def sent(self, request: httpx.Request) -> httpx.Response:
        """The gateway's answer to what LiteLLM would have sent."""
        job = self.job
        body = msgspec.json.decode(await request.aread())
        body = given_back(job.native, body, self.target.model, job.vendor, self.worker.thoughts)
        body = fit(job.native, body, self.target, job.effort, job.cache_key, job.stream)  # sees whether a loop began by thinking
        if job.native == "messages":
            body = self.worker.ends.mark(body, job.cache_key, self.target.model, MARK)
        self.worker.send(Frame("send", self.id, msgspec.json.encode(body)))
        head = await self.arrived.get()
        if head.kind != "head":
            raise Lost
        heard = Overheard(job.native, self.target.model, self.worker.thoughts)
        stream = _Heard(self, heard, streamed=job.stream)
        return httpx.Response(head.facts["status"], headers={"content-type": head.facts["type"]}, stream=stream, request=request)


class Rehearsal(Exchange):
    """An exchange that nobody asked for: its provider answers at once, and nobody is told."""

    def _say(self, data: bytes) -> None:
        return

    async def sent(self, request: httpx.Request) -> httpx.Response:
        """A short answer in the provider's format."""
        await request.aread()
        events = ANSWERS[self.job.native]
        content = b"".join(b"data: " + msgspec.json.encode(event) + b"\n\n" for event in events)
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=content, request=request)


_USER = {"role": "user", "content": "hello"}
_CALL = {"type": "object", "properties": {}}
WORDS: dict[Protocol, dict[str, Any]] = {
    "messages": {"max_tokens": 9, "messages": [_USER], "tools": [{"name": "a", "input_schema": _CALL}]},
    "chat": {"messages": [_USER], "tools": [{"type": "function", "function": {"name": "a", "parameters": _CALL}}]},
    "responses": {"input": [{"type": "message", **_USER}], "tools": [{"type": "function", "name": "a", "parameters": _CALL}]},
}
_MESSAGE = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [],
            "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip
_RESPONSE = {"id": "r", "object": "response", "created_at": 1, "model": "m", "output": [], "parallel_tool_calls": True,
             "tool_choice": "auto", "tools": [], "status": "completed",
             "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}}  # fmt: skip
_CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
ANSWERS: dict[Protocol, list[dict[str, Any]]] = {
    "messages": [
        {"type": "message_start", "message": _MESSAGE},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ],
    "responses": [{"type": "response.created", "response": _RESPONSE}, {"type": "response.completed", "response": _RESPONSE}],
    "chat": [
        {**_CHUNK, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "hi"}, "finish_reason": None}]},
        {**_CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    ],
    "gemini": [{"candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP", "index": 0}],
                "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}}],
}  # fmt: skip


class _Heard(httpx.AsyncByteStream):
    """The provider's answer on its way to LiteLLM, listened to."""

    def __init__(self, exchange: Exchange, heard: Overheard, *, streamed: bool) -> None:
        self._exchange, self._heard, self._streamed = exchange, heard, streamed
        self._rest = b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (frame := await self._exchange.arrived.get()).kind != "end":
            if frame.kind == "lost":
                raise Lost
            self._listen(frame.data)
            yield frame.data
        if not self._streamed:
            self._hear(self._rest)

    def _listen(self, data: bytes) -> None:
        self._rest += data
        if not self._streamed:
            return
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                self._hear(line[5:])

    def _hear(self, data: bytes) -> None:
        try:
            event = msgspec.json.decode(data)
        except msgspec.DecodeError:
            return  # the end mark of a Chat stream
        if isinstance(event, dict):
            self._heard.event(event)


class Tunnel(httpx.AsyncBaseTransport):
    """Instead of a network: every request names its exchange in its host."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Hand the request to the exchange it belongs to."""
        return await self._worker.exchange(int(request.url.host.partition(".")[0])).sent(request)


class _OneClient(LLMClientCache):
    """LiteLLM looks its HTTP clients up here: it always finds the tunnel."""

    def __init__(self, handler: AsyncHTTPHandler) -> None:
        super().__init__()
        self._handler = handler

    def get_cache(self, key: str, **more: Any) -> Any:
        """The tunnel for every HTTP client; anything else as it was kept."""
        if str(key).startswith("async_httpx_client"):
            return self._handler
        return super().get_cache(key, **more)  # type: ignore[no-untyped-call]  # litellm's own method has no types


def _plain(answer: Any) -> dict[str, Any]:
    made = answer.model_dump(mode="json", exclude_none=True, warnings=False) if hasattr(answer, "model_dump") else dict(answer)
    return made if isinstance(made, dict) else {}


def _events(item: Any) -> list[dict[str, Any]]:
    """The events in one piece of LiteLLM's stream: bytes of several, or one object."""
    if not isinstance(item, (bytes, str)):
        return [_plain(item)]
    text = item if isinstance(item, bytes) else item.encode()
    return [msgspec.json.decode(line[5:]) for line in text.split(b"\n") if line.startswith(b"data:") and b"{" in line]


def tunnelled(worker: Worker) -> None:
    """Give LiteLLM the tunnel in place of its HTTP clients."""
    tunnel = Tunnel(worker)
    litellm.aclient_session = httpx.AsyncClient(transport=tunnel)
    litellm.in_memory_llm_clients_cache = _OneClient(AsyncHTTPHandler(transport=tunnel))
    litellm.suppress_debug_info = True
    litellm.drop_params = True
    litellm.disable_streaming_logging = True
    sys.modules.setdefault("litellm.proxy.proxy_server", None)  # type: ignore[arg-type]  # looked for at every request: 4 ms


async def _serve(given: int, taken: int) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(given, "rb", buffering=0))
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(taken, "wb", buffering=0))
    worker = Worker(asyncio.StreamWriter(transport, protocol, None, loop))
    tunnelled(worker)
    worker.send(Frame("ready"))
    async for frame in frames(reader):
        worker.take(frame)


def main() -> None:
    """Serve frames on standard input and output; what libraries print goes to standard error."""
    given, taken = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    asyncio.run(_serve(given, taken))


if __name__ == "__main__":
    main()
