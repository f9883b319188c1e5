"""Server on FastMCP 3 and 4 (4: of both eras): python fastmcp_server.py stdio|http|json|stateless|sse [PORT]"""

import json
import sys
from dataclasses import dataclass
from typing import Literal

import anyio
import fastmcp
from fastmcp import Context, FastMCP
from fastmcp.utilities.types import Image
from pydantic import BaseModel, Field

if fastmcp.__version__.startswith("3"):
    import mcp.types as types
else:
    import mcp_types as types

MODE, PORT = sys.argv[1], int((sys.argv[2:] or ["0"])[0])
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000002"
    "0000050001a2a0b5ac0000000049454e44ae426082"
)

server = FastMCP("compat-fastmcp", version="1.0.0", instructions="A server to compare with.")


class Form(BaseModel):
    name: str
    count: int = Field(ge=3)
    sure: bool
    colour: Literal["red", "green"]


@dataclass
class Answer:
    answer: int
    list: list[str]


def is_modern(ctx) -> bool:
    return getattr(ctx, "_is_modern_protocol", lambda: False)()


def need(**requests):
    """Asks in the modern way: the tool runs again with the answers."""
    return types.InputRequiredResult(input_requests=requests)


MESSAGE = types.SamplingMessage(role="user", content=types.TextContent(type="text", text="hello"))


@server.tool
def echo(text: str) -> str:
    """Gives the text back."""
    return text


@server.tool
def structured() -> Answer:
    """A result with a schema."""
    return Answer(answer=42, list=["a", "b"])


@server.tool
def image() -> Image:
    """One pixel."""
    return Image(data=PIXEL, format="png")


@server.tool
def fail() -> str:
    """Fails."""
    raise ValueError("it failed")


@server.tool
async def progress(steps: int, ctx: Context) -> str:
    """Reports each step."""
    for step in range(1, steps + 1):
        await ctx.report_progress(step, steps, f"step {step}")
        await anyio.sleep(0.03)
    return "done"


@server.tool
async def log(ctx: Context) -> str:
    """Sends a log message."""
    await ctx.info("hello log")
    return "logged"


@server.tool
async def wait(ms: int, ctx: Context) -> str:
    """Takes its time."""
    await ctx.report_progress(0, 1)
    await anyio.sleep(ms / 1000)
    return "waited"


@server.tool(output_schema=None)
async def ask(ctx: Context):
    """Asks with a form."""
    if not is_modern(ctx):
        result = await ctx.elicit("Who?", Form)
        return json.dumps(result.data.model_dump() if result.action == "accept" else result.action)
    if ctx.input_responses is None:
        schema = {"type": "object", "properties": Form.model_json_schema()["properties"], "required": ["name"]}
        params = types.ElicitRequestFormParams(message="Who?", requested_schema=schema)
        return need(form=types.ElicitRequest(params=params))
    return json.dumps(ctx.input_responses["form"].content)


@server.tool(output_schema=None)
async def sample(ctx: Context):
    """Asks for a sampling."""
    if not is_modern(ctx):
        result = await ctx.session.create_message([MESSAGE], max_tokens=10, related_request_id=ctx.request_id)
        return result.content.text
    if ctx.input_responses is None:
        params = types.CreateMessageRequestParams(messages=[MESSAGE], max_tokens=10)
        return need(sampling=types.CreateMessageRequest(params=params))
    return ctx.input_responses["sampling"].content.text


@server.tool(output_schema=None)
async def roots(ctx: Context):
    """Asks for the roots."""
    if not is_modern(ctx):
        result = await ctx.session.list_roots()
        return json.dumps([str(root.uri) for root in result.roots])
    if ctx.input_responses is None:
        return need(roots=types.ListRootsRequest())
    return json.dumps([str(root.uri) for root in ctx.input_responses["roots"].roots])


@server.resource("compat://text", mime_type="text/plain")
def text() -> str:
    return "hello"


@server.resource("compat://binary", mime_type="application/octet-stream")
def binary() -> bytes:
    return bytes(range(256))


@server.resource("compat://item/{id}")
def item(id: str) -> str:
    return f"item {id}"


@server.prompt
def greet(name: str) -> str:
    """Greets."""
    return f"Hello {name}"


if hasattr(server, "completion"):

    @server.completion
    async def complete(ref, argument, context):
        return [n for n in ("anna", "ben", "bert") if n.startswith(argument.value)]


if MODE == "stdio":
    server.run("stdio", show_banner=False)
elif MODE == "sse":
    server.run("sse", host="127.0.0.1", port=PORT, show_banner=False)
else:
    server.run(
        "http",
        host="127.0.0.1",
        port=PORT,
        show_banner=False,
        json_response=MODE in ("json", "stateless"),
        stateless_http=MODE == "stateless",
    )
