"""Server on chuk-mcp-server: python chuk.py stdio|http [PORT]"""

import asyncio
import json
import sys

from chuk_mcp_server import ChukMCPServer
from chuk_mcp_server.context import create_elicitation, create_message, list_roots, send_log, send_progress

MODE, PORT = sys.argv[1], int((sys.argv[2:] or ["0"])[0])
server = ChukMCPServer(name="compat-chuk", version="1.0.0")
FORM = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "count": {"type": "integer", "minimum": 3},
        "sure": {"type": "boolean"},
        "colour": {"type": "string", "enum": ["red", "green"]},
    },
}


@server.tool
def echo(text: str) -> str:
    """Gives the text back."""
    return text


@server.tool
def structured() -> dict:
    """A result with members."""
    return {"answer": 42, "list": ["a", "b"]}


@server.tool
def fail() -> str:
    """Fails."""
    raise ValueError("it failed")


@server.tool
async def progress(steps: int) -> str:
    """Reports each step."""
    for step in range(1, steps + 1):
        await send_progress(step, steps, f"step {step}")
        await asyncio.sleep(0.03)
    return "done"


@server.tool
async def log() -> str:
    """Sends a log message."""
    await send_log("info", "hello log")
    return "logged"


@server.tool
async def wait(ms: int) -> str:
    """Takes its time."""
    await send_progress(0, 1)
    await asyncio.sleep(ms / 1000)
    return "waited"


@server.tool
async def ask() -> str:
    """Asks with a form."""
    return json.dumps(await create_elicitation("Who?", FORM))


@server.tool
async def sample() -> str:
    """Asks for a sampling."""
    message = {"role": "user", "content": {"type": "text", "text": "hello"}}
    return json.dumps(await create_message([message], max_tokens=10))


@server.tool
async def roots() -> str:
    """Asks for the roots."""
    return json.dumps(await list_roots())


@server.resource("compat://text", mime_type="text/plain")
def text() -> str:
    return "hello"


@server.resource_template("compat://item/{id}")
def item(id: str) -> str:
    return f"item {id}"


@server.prompt
def greet(name: str) -> str:
    """Greets."""
    return f"Hello {name}"


if MODE == "stdio":
    server.run(stdio=True)
else:
    server.run(host="127.0.0.1", port=PORT, stdio=False)
