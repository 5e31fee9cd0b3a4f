"""The gateway's side of translation: one worker process, kept alive, and answers that read like a provider's own.

Theory of operation
    The worker (``shell.translation.worker``) has LiteLLM and no network; the gateway has connections and keys and no LiteLLM. A
    request for another vendor's model goes to the worker, comes back in the provider's format, is sent from here, and the
    answer takes the same way back. What the provider bills is heard here, in its own words, before it is translated.
    A worker that dies is started again; requests under way at that moment are lost like any upstream. One that says nothing to
    anybody for as long as a request may take is ended, which comes to the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict
from typing import Any

import aiohttp

from pointsman.core.events import Stop
from pointsman.core.targets import Target
from pointsman.core.types import Protocol, Told, Usage
from pointsman.errors import TranslationError, UpstreamError
from pointsman.shell.streams import Guarded, Listener, listener, told_of
from pointsman.shell.translation.frames import Frame, Job, frames, packed
from pointsman.shell.upstream import received

READY_S = 30.0
"""Seconds the worker may take to start: LiteLLM's import takes three, several times that on a busy machine."""

LIVED_S = 5.0
"""Seconds that a worker must have lived to be started again at once when it dies."""

AGAIN_S = 60.0
"""Seconds before a worker that could not be started is tried again: every try makes a request wait."""

TRANSLATE_S = 10.0
"""Seconds one request may take to be translated: measured are milliseconds, but a first one imports more of LiteLLM."""

REHEARSES_S = 30.0
"""Seconds after its start in which a worker's silence proves nothing: it imports what its first translations need."""

Sender = Callable[[bytes], Awaitable[aiohttp.ClientResponse]]
"""Sends a body to the provider; the answer's body is still to be read. Raises UpstreamError."""


class Refused(TranslationError):
    """The provider answered a translated request with an error ``status``."""

    def __init__(self, status: int) -> None:
        super().__init__(f"its provider answered {status}")
        self.status = status


class Spoken:
    """A translated answer, as far as the relay asks of an answer: status, headers, and content in chunks.

    ``billed``: the listener on the provider's own words.
    """

    def __init__(
        self, host: str, streamed: bool, billed: Listener, early: bytes, chunks: asyncio.Queue[Frame],
        close: Callable[[], None],
    ) -> None:  # fmt: skip
        self.status, self.reason = 200, "OK"
        kind = "text/event-stream" if streamed else "application/json"
        self.headers = {"Content-Type": kind}
        self.raw_headers = ((b"content-type", kind.encode()),)
        self.billed, self.host = billed, host
        self._early, self._chunks, self._close = early, chunks, close
        self._ended = False

    @property
    def content(self) -> Spoken:
        """Itself: what can be read."""
        return self

    @property
    def url(self) -> Spoken:
        """Itself: what has a ``host``."""
        return self

    async def readany(self) -> bytes:
        """The next bytes for the client, empty at the end. Raises ClientPayloadError when the answer breaks off."""
        if self._ended:
            return b""
        frame = await self._chunks.get()
        self._ended = frame.kind != "data"
        if frame.kind == "error":
            raise aiohttp.ClientPayloadError(str(frame.facts.get("why", "it was lost")))
        early, self._early = self._early, b""  # what came before the provider answered goes out with its first words
        return early + frame.data if frame.kind == "data" else early

    def close(self) -> None:
        """Nobody reads on: the provider is told, the worker forgets it."""
        self._close()


class Billed:
    """A listener on the client's stream whose bill is what the provider said in its own words."""

    def __init__(self, inner: Listener, billed: Listener) -> None:
        self._inner, self._billed = inner, billed

    def feed(self, chunk: bytes) -> tuple[bytes, bytes]:
        """Bytes to forward now, and bytes to hold until the row is committed."""
        return self._inner.feed(chunk)

    def rest(self) -> bytes:
        """What is left when the answer has ended."""
        return self._inner.rest()

    @property
    def begun(self) -> bool:
        """True once content has begun."""
        return self._inner.begun

    @property
    def refused(self) -> bool:
        """What the client's own stream says of it."""
        return self._inner.refused

    @property
    def cut(self) -> bool:
        """True when the answer so far is a part of one."""
        return self._inner.cut

    @property
    def stop(self) -> Stop | None:
        """How the answer ended."""
        return self._inner.stop

    @property
    def usage(self) -> Usage | None:
        """What the provider billed."""
        return self._billed.usage

    @property
    def model(self) -> str | None:
        """The model that the provider named."""
        return self._billed.model

    @property
    def problem(self) -> str | None:
        """Why the bill could not be read."""
        return self._billed.problem

    @property
    def told(self) -> Told:
        """What the answer's calls hand to sub-agents; its id is none that a provider knows, and no service was asked for."""
        return Told(handed=told_of(self._inner).handed, service="default")


class Translator:
    """The worker process and the requests it has under way. ``counts``: it has loaded its tokenizer."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._starting: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._open: dict[int, asyncio.Queue[Frame]] = {}
        self._natives: set[Protocol] = set()
        self._not_before = 0.0
        self._count = 0
        self._born = self._spoke = 0.0  # when the worker was ready, and last said anything, by the loop's clock
        self.counts = False

    @property
    def pid(self) -> int | None:
        """The worker's process id while it runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    @property
    def started(self) -> bool:
        """Whether a worker runs, or is being started."""
        return self._starting is not None and not (self._starting.done() and self.pid is None)

    def warm(self, natives: Iterable[Protocol] = ()) -> None:
        """Start the worker in the background, and have it rehearse ``natives``: the first translation finds it ready."""
        self._natives.update(natives)
        if not self.started and asyncio.get_running_loop().time() >= self._not_before:
            self._starting = asyncio.ensure_future(self._start())
            self._starting.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def close(self) -> None:
        """End the worker, also one that is being started."""
        tasks = [task for task in (self._starting, self._reading) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._process is not None and self._process.returncode is None:
            _kill(self._process)
            await self._process.wait()

    async def translate(self, job: Job, body: bytes, send: Sender) -> Spoken:
        """The translated answer to a client's ``body``; ``send`` takes the translated request to the provider.

        Raises TranslationError when it cannot be translated, UpstreamError when the provider cannot be reached, Refused when
        it answers with an error.
        """
        await self._ready()
        self._count += 1
        id, arrived = self._count, asyncio.Queue[Frame]()
        self._open[id] = arrived
        answer, told = None, asyncio.get_running_loop().time()
        try:
            self._tell(Frame("job", id, body, asdict_job(job)))
            early, made = await asyncio.wait_for(_until_sent(arrived), TRANSLATE_S)
            answer = await send(made.data)
            if answer.status >= 400:
                raise Refused(answer.status)
            return self._spoken(id, job, answer, early, arrived)
        except BaseException as error:
            self._forget(id)
            if answer is not None:
                answer.close()
            if isinstance(error, TimeoutError):
                if self._process is not None and self._spoke < told and told - self._born >= REHEARSES_S:
                    _kill(self._process)  # it hangs: whatever waits for it is lost, and another one takes its place
                raise TranslationError(f"the worker took longer than {TRANSLATE_S:.0f} s") from error
            raise

    async def count(self, protocol: Protocol, body: bytes, within: float) -> int:
        """Tokens of a body of ``protocol`` by the worker's tokenizer; 0 where it has none, or needs longer."""
        if not self.counts or self.pid is None:
            return 0
        self._count += 1
        id, arrived = self._count, asyncio.Queue[Frame]()
        self._open[id] = arrived
        try:
            self._tell(Frame("count", id, body, {"protocol": protocol}))
            async with asyncio.timeout(within):
                return int((await arrived.get()).facts.get("tokens", 0))
        except TimeoutError:
            return 0
        finally:
            del self._open[id]

    def _spoken(
        self, id: int, job: Job, answer: aiohttp.ClientResponse, early: bytes, arrived: asyncio.Queue[Frame]
    ) -> Spoken:
        kind = answer.headers.get("Content-Type", "")
        heard = listener(job.native, answer.status, kind, answer.headers.get("Content-Encoding", ""))
        billed = Guarded(heard, lambda error: f"{type(error).__name__} in the provider's own words")
        pump = asyncio.ensure_future(self._pump(id, answer, billed, kind))

        def close() -> None:
            pump.cancel()
            answer.close()
            self._forget(id)

        return Spoken(answer.url.host or "the provider", job.stream, billed, early, arrived, close)

    async def _pump(self, id: int, answer: aiohttp.ClientResponse, billed: Listener, kind: str) -> None:
        """The provider's answer to the worker, heard on the way; then the worker has its time to end its own."""
        self._tell(Frame("head", id, facts={"status": answer.status, "type": kind}))
        try:
            while chunk := await received(answer):
                billed.feed(chunk)
                self._tell(Frame("data", id, chunk))
            billed.rest()
            self._tell(Frame("end", id))
            await asyncio.sleep(TRANSLATE_S)
            self._arrive(Frame("error", id, facts={"why": f"the worker took longer than {TRANSLATE_S:.0f} s"}))
        except (UpstreamError, aiohttp.ClientError) as error:
            self._arrive(Frame("error", id, facts={"why": str(error)}))
            self._tell(Frame("lost", id))

    def _forget(self, id: int) -> None:
        if self._open.pop(id, None) is not None and self.pid is not None:
            self._tell(Frame("cancel", id))

    def _arrive(self, frame: Frame) -> None:
        if frame.kind == "counting":
            self.counts = True
        queue = self._open.get(frame.id)
        if queue is not None:
            queue.put_nowait(frame)

    def _tell(self, frame: Frame) -> None:
        process = self._process
        if process is not None and process.stdin is not None and not process.stdin.is_closing():
            process.stdin.write(packed(frame))

    # -- the process -------------------------------------------------------------------------------------------------

    async def _ready(self) -> None:
        """Wait until a worker answers. Raises TranslationError when none can be started in time."""
        self.warm()
        if self._starting is None or not self.started:
            raise TranslationError(f"the translation worker could not be started less than {AGAIN_S:.0f} s ago")
        try:
            await asyncio.shield(self._starting)
        except (OSError, TranslationError) as error:
            self._starting, self._not_before = None, asyncio.get_running_loop().time() + AGAIN_S
            raise TranslationError(f"the translation worker cannot be started: {error}") from error

    async def _start(self) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "pointsman.shell.translation.worker", stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, start_new_session=True, env=_environment(),
        )  # fmt: skip
        self._process = process
        assert process.stdout is not None
        arriving = frames(process.stdout)
        try:
            async with asyncio.timeout(READY_S):
                first = await anext(arriving, None)
            if first is None or first.kind != "ready":
                raise TranslationError("it ended before it was ready; is litellm installed whole, with mcp beside it?")
        except BaseException as error:
            _kill(process)  # another one will be tried: this one must not linger
            if isinstance(error, TimeoutError):
                raise TranslationError("it did not answer in time") from error
            raise
        self._reading = asyncio.ensure_future(self._read(process, arriving))
        if self._natives:
            self._tell(Frame("warm", facts={"natives": sorted(self._natives)}))

    async def _read(self, process: asyncio.subprocess.Process, arriving: Any) -> None:
        """Hand out what the worker says; when it dies, its requests are lost, and another takes its place."""
        born = self._born = asyncio.get_running_loop().time()
        with contextlib.suppress(ValueError):
            async for frame in arriving:
                self._spoke = asyncio.get_running_loop().time()
                self._arrive(frame)
        _kill(process)
        await process.wait()
        self.counts = False
        for id in list(self._open):
            self._arrive(Frame("error", id, facts={"why": "the translation worker died"}))
        if asyncio.get_running_loop().time() - born > LIVED_S:
            self.warm()  # one that dies at once is left alone until it is needed


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()


async def _until_sent(arrived: asyncio.Queue[Frame]) -> tuple[bytes, Frame]:
    """The translated request, and what LiteLLM had for the client before it. Raises TranslationError where there is none."""
    early = b""
    while True:
        frame = await arrived.get()
        if frame.kind == "send":
            return early, frame
        if frame.kind != "data":
            raise TranslationError(str(frame.facts.get("why", "the worker gave no request")))
        early += frame.data


def _environment() -> dict[str, str]:
    """What the worker needs of our environment: where Python and its packages are; no keys."""
    kept = ("PATH", "HOME", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")
    return {name: os.environ[name] for name in kept if name in os.environ}


def asdict_job(job: Job) -> dict[str, Any]:
    """A job as the facts of its frame."""
    return {name: getattr(job, name) for name in job.__struct_fields__}


def job_of(
    client: Protocol, native: Protocol, target: Target, *, stream: bool, effort: str | None, cache_key: str, prompt: int,
    read: int,
) -> Job:  # fmt: skip
    """The job of translating a request of ``client`` for ``target``."""
    return Job(client, native, target.vendor, stream, effort, asdict(target), cache_key, prompt, read)
