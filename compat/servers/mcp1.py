"""Server on the Python SDK 1.x: python mcp1.py stdio|http|json|stateless|sse [PORT]"""

import json
import sys

import anyio
import mcp.types as types
from mcp.server.fastmcp import Context, FastMCP, Image
from mcp.server.fastmcp.prompts.base import UserMessage
from pydantic import AnyUrl, BaseModel, Field

MODE, PORT = sys.argv[1], int((sys.argv[2:] or ["0"])[0])
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000002"
    "0000050001a2a0b5ac0000000049454e44ae426082"
)

server = FastMCP(
    "compat-mcp1",
    instructions="A server to compare with.",
    host="127.0.0.1",
    port=PORT or 8000,
    json_response=MODE in ("json", "stateless"),
    stateless_http=MODE == "stateless",
)
low = server._mcp_server
subscribers = []


class Form(BaseModel):
    name: str
    count: int = Field(ge=3)
    sure: bool
    colour: str = Field(json_schema_extra={"enum": ["red", "green"]})


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


@server.tool()
async def ask(ctx: Context) -> str:
    """Asks with a form."""
    result = await ctx.elicit("Who?", Form)
    return json.dumps({"action": result.action, "data": result.data.model_dump() if result.action == "accept" else None})


@server.tool()
async def sample(ctx: Context) -> str:
    """Asks for a sampling."""
    message = types.SamplingMessage(role="user", content=types.TextContent(type="text", text="hello"))
    result = await ctx.session.create_message([message], max_tokens=10, related_request_id=ctx.request_id)
    return result.content.text


@server.tool()
async def roots(ctx: Context) -> str:
    """Asks for the roots."""
    result = await ctx.session.list_roots()
    return json.dumps([str(root.uri) for root in result.roots])


@server.tool()
async def touch() -> str:
    """Changes the counter."""
    for session in subscribers:
        await session.send_resource_updated(AnyUrl("compat://counter"))
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


@low.subscribe_resource()
async def subscribe(uri):
    subscribers.append(low.request_context.session)


@low.unsubscribe_resource()
async def unsubscribe(uri):
    if low.request_context.session in subscribers:
        subscribers.remove(low.request_context.session)


server.run({"stdio": "stdio", "sse": "sse"}.get(MODE, "streamable-http"))
