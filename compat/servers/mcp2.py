"""Server of both eras on the Python SDK 2.x: python mcp2.py stdio|http|json|stateless|sse [PORT]"""

import json
import sys
from typing import Annotated, Literal

import anyio
import mcp_types as types
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.server.mcpserver.resolve import Elicit, ListRoots, Resolve, Sample
from pydantic import BaseModel, Field

MODE, PORT = sys.argv[1], int((sys.argv[2:] or ["0"])[0])
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000002"
    "0000050001a2a0b5ac0000000049454e44ae426082"
)

server = MCPServer("compat-mcp2", version="1.0.0", instructions="A server to compare with.")
subscribers = []


class Form(BaseModel):
    name: str
    count: int = Field(ge=3)
    sure: bool
    colour: Literal["red", "green"]


class Answer(BaseModel):
    answer: int
    list: list[str]


@server.tool()
def echo(text: str) -> str:
    """Gives the text back."""
    return text


@server.tool()
def structured() -> Answer:
    """A result with a schema."""
    return Answer(answer=42, list=["a", "b"])


@server.tool(structured_output=False)
def image() -> Image:
    """One pixel."""
    return Image(data=PIXEL, format="png")


@server.tool()
def fail() -> str:
    """Fails."""
    raise ValueError("it failed")


@server.tool()
async def progress(steps: int, ctx: Context) -> str:
    """Reports each step."""
    for step in range(1, steps + 1):
        await ctx.report_progress(step, steps, f"step {step}")
        await anyio.sleep(0.03)
    return "done"


@server.tool()
async def log(ctx: Context) -> str:
    """Sends a log message."""
    await ctx.info("hello log")
    return "logged"


@server.tool()
async def wait(ms: int, ctx: Context) -> str:
    """Takes its time."""
    await ctx.report_progress(0, 1)
    await anyio.sleep(ms / 1000)
    return "waited"


def form() -> Elicit[Form]:
    return Elicit("Who?", Form)


def sampling() -> Sample:
    message = types.SamplingMessage(role="user", content=types.TextContent(type="text", text="hello"))
    return Sample([message], max_tokens=10)


def list_roots() -> ListRoots:
    return ListRoots()


@server.tool()
async def ask(answer: Annotated[Form, Resolve(form)]) -> str:
    """Asks with a form."""
    return json.dumps(answer.model_dump())


@server.tool()
async def sample(answer: Annotated[types.CreateMessageResult, Resolve(sampling)]) -> str:
    """Asks for a sampling."""
    return answer.content.text


@server.tool()
async def roots(answer: Annotated[types.ListRootsResult, Resolve(list_roots)]) -> str:
    """Asks for the roots."""
    return json.dumps([str(root.uri) for root in answer.roots])


@server.tool()
async def touch(ctx: Context) -> str:
    """Changes the counter."""
    await ctx.notify_resource_updated("compat://counter")
    for session in subscribers:
        await session.send_resource_updated("compat://counter")
    return "touched"


@server.resource("compat://text", mime_type="text/plain")
def text() -> str:
    return "hello"


@server.resource("compat://binary", mime_type="application/octet-stream")
def binary() -> bytes:
    return bytes(range(256))


@server.resource("compat://counter", mime_type="text/plain")
def count() -> str:
    return "hello"


@server.resource("compat://item/{id}")
def item(id: str) -> str:
    return f"item {id}"


@server.prompt()
def greet(name: str) -> list[UserMessage]:
    """Greets."""
    return [UserMessage(f"Hello {name}")]


@server.completion()
async def complete(ref, argument, context):
    return types.Completion(values=[n for n in ("anna", "ben", "bert") if n.startswith(argument.value)])


async def subscribe(ctx, params):
    subscribers.append(ctx.session)
    return types.EmptyResult()


async def unsubscribe(ctx, params):
    # The SDK has another session object for each request; one client at a time subscribes.
    subscribers.clear()
    return types.EmptyResult()


low = server._lowlevel_server
low.add_request_handler("resources/subscribe", types.SubscribeRequestParams, subscribe)
low.add_request_handler("resources/unsubscribe", types.UnsubscribeRequestParams, unsubscribe)

if MODE == "stdio":
    server.run("stdio")
elif MODE == "sse":
    server.run("sse", host="127.0.0.1", port=PORT)
else:
    server.run(
        "streamable-http",
        host="127.0.0.1",
        port=PORT,
        json_response=MODE in ("json", "stateless"),
        stateless_http=MODE == "stateless",
    )
