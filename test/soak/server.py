"""A server of both eras on the Python SDK 2, over HTTP: python server.py PORT"""

import sys

import anyio
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve
from pydantic import BaseModel
from typing import Annotated

server = MCPServer("soak-python", version="1.0.0")


class Form(BaseModel):
    mark: str


def form() -> Elicit[Form]:
    return Elicit("Which mark?", Form)


@server.tool()
def echo(mark: str) -> str:
    """Gives the mark back."""
    return mark


@server.tool()
async def steps(mark: str, count: int, ctx: Context) -> str:
    """Reports each step."""
    for step in range(1, count + 1):
        await ctx.report_progress(step, count, mark)
        await anyio.sleep(0.05)
    return mark


@server.tool()
async def ask(mark: str, answer: Annotated[Form, Resolve(form)]) -> str:
    """Asks for another mark, and gives both."""
    return f"{mark} {answer.mark}"


@server.resource("soak://mark/{mark}", mime_type="text/plain")
def read(mark: str) -> str:
    return mark


server.run(transport="streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
