"""Clients of the soak on the Python SDK 2, in both eras. SOAK: JSON of {url, count, round, seed, pause, keys, ca}.

Prints {"ready": true} once all are connected, and a line for each call that is over. Commands come on stdin: run, rest, close,
and a list of keys that replaces the one before.
"""

import json
import os
import random
import ssl
import sys
import time
import traceback

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ElicitResult

asked = json.loads(os.environ["SOAK"])
TRUST = ssl.create_default_context(cafile=asked["ca"]) if asked.get("ca") else True
CALL_S = 60


def say(**line):
    print(json.dumps(line), flush=True)


class Wrong(Exception):
    pass


class One:
    def __init__(self, number):
        self.era = "2026-07-28" if number % 3 == 2 else "legacy"
        self.name = f"python{asked['round']}n{number}"
        self.user = number % len(asked["keys"])
        self.random = random.Random(f"{asked['seed']}/{number}")
        self.made = 0
        self.answer = ""
        self.client = None

    def mark(self):
        self.made += 1
        return f"{self.name}-{self.made}-{self.random.getrandbits(48):012x}"

    async def answered(self, _context, _params):
        return ElicitResult(action="accept", content={"mark": self.answer})

    async def shows_key(self, request):
        # It may have changed since the client connected.
        request.headers["authorization"] = f"Bearer {asked['keys'][self.user]}"

    def opened(self):
        hooks = {"request": [self.shows_key]}
        http = httpx2.AsyncClient(event_hooks=hooks, verify=TRUST, timeout=httpx2.Timeout(CALL_S, read=CALL_S))
        transport = streamable_http_client(asked["url"], http_client=http)
        return Client(transport, mode=self.era, elicitation_callback=self.answered, cache=None)

    async def text(self, tool, arguments, **options):
        with anyio.fail_after(CALL_S):
            result = await self.client.call_tool(tool, arguments, **options)
        found = "\n".join(getattr(part, "text", "") for part in result.content)
        if result.is_error:
            raise RuntimeError(f"the tool failed: {found[:300]}")
        return found

    async def echo(self, tool, argument):
        mark = self.mark()
        found = await self.text(tool, {argument: mark})
        if mark not in found:
            raise Wrong(f"{tool} gave {found[:300]!r} for {mark}")

    async def steps(self, tool):
        mark = self.mark()
        seen = []

        async def told(progress, total, message):
            seen.append(progress)
            if message != mark or total != 4:
                raise Wrong(f"{tool} told {mark} of {message}")

        found = await self.text(tool, {"mark": mark, "count": 4}, progress_callback=told)
        if mark not in found or seen != sorted(set(seen)):
            raise Wrong(f"{tool} gave {found[:300]!r} and told of {seen} for {mark}")

    async def ask(self):
        mark = self.mark()
        self.answer = f"answer-to-{mark}"
        found = await self.text("python__ask", {"mark": mark})
        if found != f"{mark} {self.answer}":
            raise Wrong(f"python__ask gave {found[:300]!r} for {mark}")

    async def list(self):
        with anyio.fail_after(CALL_S):
            names = [tool.name for tool in (await self.client.list_tools()).tools]
        if len(names) != len(set(names)):
            raise Wrong(f"tools/list has a name twice: {names}")

    async def read(self):
        mark = self.mark()
        with anyio.fail_after(CALL_S):
            result = await self.client.read_resource(f"soak://mark/{mark}")
        if result.contents[0].text != mark:
            raise Wrong(f"soak://mark/{mark} gave {result.contents[0].text[:300]!r}")

    def chosen(self):
        weighed = [
            (10, ("call", "web", lambda: self.echo("web__echo", "message"))),
            (6, ("call", "child", lambda: self.echo("child__echo", "message"))),
            (8, ("call", "python", lambda: self.echo("python__echo", "mark"))),
            (6, ("call", "go", lambda: self.echo("go__echo", "mark"))),
            (4, ("call", "guarded", lambda: self.echo("guarded__real__echo", "message"))),
            (3, ("progress", "python", lambda: self.steps("python__steps"))),
            (3, ("progress", "go", lambda: self.steps("go__steps"))),
            (3, ("question", "python", self.ask)),
            (3, ("read", "python", self.read)),
            (2, ("list", None, self.list)),
        ]
        return self.random.choices([what for _, what in weighed], [weight for weight, _ in weighed])[0]

    async def act(self, operation, server, work):
        """Returns whether the session is good."""
        began = time.monotonic()
        line = {"operation": operation, "client": self.name, "user": self.user, "server": server}
        try:
            await work()
        except Wrong as error:
            say(**line, ms=1000 * (time.monotonic() - began), wrong=str(error))
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            # The SDK calls a session terminated when it is answered 404.
            lost = self.era == "legacy" and ("terminated" in text.lower() or "ended session" in text)
            say(**line, ms=1000 * (time.monotonic() - began), error=text, lost=lost)
            return not lost and "401" not in text and "closed" not in text.lower()
        else:
            say(**line, ms=1000 * (time.monotonic() - began))
        return True


async def live(one, connected, running, resting, closing):
    first = True
    while first or not closing.is_set():
        began = time.monotonic()
        entered = False
        try:
            async with one.opened() as client:
                one.client = client
                entered = True
                if not first:
                    say(operation="connect", client=one.name, user=one.user, server=None, ms=1000 * (time.monotonic() - began))
                first = False
                connected.release()
                await running.wait()
                while not resting.is_set():
                    if not await one.act(*one.chosen()):
                        break
                    with anyio.move_on_after(one.random.random() * 2 * asked["pause"]):
                        await resting.wait()
                if resting.is_set():
                    connected.release()
                    await closing.wait()
        except Exception as error:
            if first:
                raise
            if entered:
                # It ended with what it had left; the calls in it were told.
                continue
            ms = 1000 * (time.monotonic() - began)
            say(operation="connect", client=one.name, user=one.user, server=None, ms=ms, error=f"{type(error).__name__}: {error}")
            if resting.is_set():
                connected.release()
                await closing.wait()
                return
            await anyio.sleep(0.5)


async def commands(all_ones):
    connected = anyio.Semaphore(0)
    running, resting, closing = anyio.Event(), anyio.Event(), anyio.Event()
    async with anyio.create_task_group() as group:
        for one in all_ones:
            group.start_soon(live, one, connected, running, resting, closing)
        for _ in all_ones:
            await connected.acquire()
        say(ready=True)
        while True:
            line = await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
            if line.startswith("["):
                asked["keys"] = json.loads(line)
            elif line.strip() == "run":
                running.set()
            elif line.strip() == "rest":
                for _ in range(10_000):
                    try:
                        connected.acquire_nowait()
                    except anyio.WouldBlock:
                        break
                resting.set()
                running.set()
                with anyio.move_on_after(2 * CALL_S):
                    for _ in all_ones:
                        await connected.acquire()
                say(ready=True)
            else:
                closing.set()
                resting.set()
                running.set()
                with anyio.move_on_after(10):
                    return
    os._exit(0)


async def main():
    try:
        await commands([One(number) for number in range(asked["count"])])
    except BaseException:
        traceback.print_exc()
        os._exit(1)


anyio.run(main)
